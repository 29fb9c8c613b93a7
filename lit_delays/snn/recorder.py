"""What goes into every layer of a network, and what comes out, in a forward pass.

Shape letters: T input steps, T' output steps, B samples, N neurons, I inputs.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lit_delays.snn.network import Layer, Network


@dataclass
class LayerRecord:
    """One layer in one forward pass, without gradients.

    Attributes:
        heard: Input of its synapses, shape ``(T, B, I)``.
        output: Output of its neurons, before dropout, shape ``(T', B, N)``.
    """

    heard: Tensor
    output: Tensor


class Recorder:
    """Records the layers of a network inside a ``with``, by hooks on their synapses and neurons.

    Logs, costs, tables and figures all look at a network through it. Outside the ``with`` nothing is left.

    Args:
        network: Any network, in training or in evaluation; it computes what it would anyway.

    Attributes:
        record: What the last forward pass did, by name of the layer; empty before the first.

    Example:
        >>> import torch
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> network = Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8]))
        >>> with Recorder(network) as recorder:
        ...     _ = network(torch.zeros(10, 3, 4))
        >>> {name: tuple(layer.output.shape) for name, layer in recorder.record.items()}
        {'hidden1': (22, 3, 8), 'readout': (34, 3, 2)}
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.record: dict[str, LayerRecord] = {}
        self._heard: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "Recorder":
        self._handles.append(self.network.register_forward_pre_hook(self._start))
        for name, layer in self.network.named_layers().items():
            self._handles += self._hooked(name, layer)
        return self

    def __exit__(self, *error: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _start(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.record, self._heard = {}, {}

    def _hooked(self, name: str, layer: Layer) -> list[RemovableHandle]:
        def keep_input(synapses: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._heard[name] = inputs[0].detach()

        def keep_output(neuron: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            self.record[name] = LayerRecord(self._heard.pop(name), output.detach())

        neurons = layer.neuron if layer.recurrent is None else layer.recurrent  # who runs the loop
        return [
            layer.synapses.register_forward_pre_hook(keep_input),
            neurons.register_forward_hook(keep_output),
        ]
