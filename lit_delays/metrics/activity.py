"""How much neurons fire.

Shape letters: T' output steps, B samples, N neurons.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from lit_delays.snn.network import Network
from lit_delays.snn.recorder import LayerRecord


class Activity(Metric):
    """Firing rates of the hidden layers, over all steps and samples of the batches seen.

    A neuron fires where its output is not zero, so that the rate of neurons without spikes is that of their
    activity. The padding of a batch counts: its steps are steps of the network.

    Args:
        network: Whose records are to come.
        kwargs: As of torchmetrics' ``Metric``.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> network = Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[5]))
        >>> activity = Activity(network)
        >>> spikes = torch.zeros(10, 1, 5)
        >>> spikes[0] = 1  # one spike each in 100 ms
        >>> activity.update({"hidden1": LayerRecord(torch.zeros(10, 1, 4), spikes)})
        >>> {name: round(float(value), 3) for name, value in activity.compute().items()}
        {'activation_sparsity': 0.9, 'firing_rate/hidden1': 10.0, 'silent/hidden1': 0.0}
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, network: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        *hidden, _ = network.named_layers().items()
        self._names = [name for name, _ in hidden]
        self._steps_per_second = 1000 / network.config.time_step_ms
        for name, layer in hidden:
            zeros = torch.zeros(layer.synapses.num_outputs, dtype=torch.int64)
            self.add_state(f"spikes_{name}", zeros, dist_reduce_fx="sum")
            self.add_state(f"steps_{name}", torch.tensor(0), dist_reduce_fx="sum")

    @override
    def update(self, record: Mapping[str, LayerRecord]) -> None:
        """Count a forward pass, as a :class:`~lit_delays.snn.recorder.Recorder` has it."""
        for name in self._names:
            output = record[name].output  # (T', B, N)
            getattr(self, f"spikes_{name}").add_((output != 0).sum(dim=(0, 1)))
            getattr(self, f"steps_{name}").add_(output.shape[0] * output.shape[1])

    @override
    def compute(self) -> dict[str, Tensor]:
        """What they did, by name.

        ``activation_sparsity``, the share of zeros in the output of all hidden layers; for each of them
        ``firing_rate/hidden1``.. in spikes per second and neuron, and ``silent/hidden1``.., the share of its
        neurons that never fired.
        """
        rates, shares, fired, possible = {}, {}, torch.tensor(0), torch.tensor(0)
        for name in self._names:
            spikes, steps = getattr(self, f"spikes_{name}"), getattr(self, f"steps_{name}")
            rates[f"firing_rate/{name}"] = spikes.sum() / (steps * len(spikes)) * self._steps_per_second
            shares[f"silent/{name}"] = (spikes == 0).float().mean()
            fired, possible = fired + spikes.sum(), possible + steps * len(spikes)
        return {"activation_sparsity": 1 - fired / possible} | rates | shares

    @override
    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Figure and axes with the rates and shares, as of any metric of torchmetrics."""
        return self._plot(val, ax)
