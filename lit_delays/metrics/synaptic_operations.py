"""What an inference asks of the synapses.

Shape letters: T steps, B samples, I inputs, O outputs, S synapses per pair.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from lit_delays.snn.network import RECURRENT, Network
from lit_delays.snn.recorder import LayerRecord


def _heard(record: Mapping[str, LayerRecord], name: str) -> Tensor:
    """Input of synapses, shape ``(T, B, I)``; that of recurrent ones is what their layer puts out."""
    layer = name.removesuffix(RECURRENT)
    return record[name].heard if layer == name else record[layer].output


class SynapticOperations(Metric):
    """Operations of synapses per inference, averaged over samples.

    An input costs one operation for each of its synapses where neither it nor the weight is zero: an
    accumulation (AC) in a layer whose inputs are spikes alone (-1, 0 or 1) in all samples, else a
    multiply-accumulation (MAC). ``dense`` counts all pairs, zeros as well. A delay moves an operation and
    costs none; those of spikes that arrive when their layer is silent already are counted, as a device has
    no way to know. So are steps of padding: clips of one length cost the same in batches of any size.

    Args:
        network: Whose records are to come, trained or deployed; its synapses are those that it has now.
        kwargs: As of torchmetrics' ``Metric``.

    Source:
        NeuroBench, Yik et al. (2025), https://arxiv.org/abs/2304.04640; the same counts on a network without
        delays, where its ``Linear`` layers are called once for all samples.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> from lit_delays.snn.recorder import Recorder
        >>> network = Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8, 8])).eval()
        >>> operations = SynapticOperations(network)
        >>> with Recorder(network) as recorder:
        ...     _ = network(torch.ones(10, 3, 4))
        >>> operations.update(recorder.record)
        >>> int(operations.compute()["dense"])  # inputs of the layers last 10, 22 and 34 steps
        2272
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    operations: Tensor
    graded: Tensor  # inputs that are no spikes
    dense: Tensor
    num_samples: Tensor

    def __init__(self, network: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        weights = {name: it.whole_delays()[0] for name, it in network.named_synapses().items()}  # (O, I, S)
        self._fan_outs = {name: (weight != 0).sum(dim=(0, 2)) for name, weight in weights.items()}
        self._sizes = {name: weight.numel() for name, weight in weights.items()}
        for name in ("operations", "graded", "dense"):
            self.add_state(name, torch.zeros(len(weights), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.tensor(0), dist_reduce_fx="sum")

    @override
    def update(self, record: Mapping[str, LayerRecord]) -> None:
        """Count a forward pass, as a :class:`~lit_delays.snn.recorder.Recorder` has it."""
        for layer, (name, fan_out) in enumerate(self._fan_outs.items()):
            x = _heard(record, name)
            operations = (x != 0).sum(dim=(0, 1)) * fan_out.to(x.device)
            self.operations[layer] += operations.sum()
            self.graded[layer] += ((x != 0) & (x.abs() != 1)).sum()
            self.dense[layer] += x.shape[0] * x.shape[1] * self._sizes[name]
        self.num_samples += x.shape[1]

    @override
    def compute(self) -> dict[str, Tensor]:
        """Averages a sample: ``effective_macs``, ``effective_acs``, ``dense``.

        For each layer, those of both kinds that are not on zeros: ``effective/hidden1``.. and so on.
        """
        samples, is_graded = self.num_samples, self.graded > 0
        totals = {
            "effective_macs": self.operations[is_graded],
            "effective_acs": self.operations[~is_graded],
            "dense": self.dense,
        }
        averages = {name: total.sum() / samples for name, total in totals.items()}
        layers = zip(self._fan_outs, self.operations / samples, strict=True)
        return averages | {f"effective/{name}": average for name, average in layers}

    @override
    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Figure and axes with the averages, as of any metric of torchmetrics."""
        return self._plot(val, ax)
