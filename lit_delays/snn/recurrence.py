r"""Synapses among the neurons of one layer: what they put out comes back to them as a current.

.. math:: i_o[t] = x_o[t] + m_o \sum_j \sum_{k=0}^{K-1} \kappa_{k,o,j}\; z_j[t-1-k]

for the normed current :math:`x`, the output :math:`z` of the neurons and a dropout mask :math:`m`. A spike of
step t with a delay of d steps arrives at step t + 1 + d: recurrence itself takes one step.

Shape letters: T steps, B samples, N neurons, K lags.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_delays.snn.neurons.base import Neuron, State
from lit_delays.snn.operation import Operation
from lit_delays.snn.synapses import Synapses


class Recurrence(nn.Module):
    """Recurrent synapses of a layer, and dropout of their currents.

    Args:
        synapses: From the layer to itself, any class; they keep the length.
        dropout: Probability that the recurrent current of a neuron is silenced for a whole sample, in [0, 1).

    Shape:
        Normed current ``(T, B, N)``, output of the neurons ``(T, B, N)``.

    Source:
        The step that recurrence itself takes, and where dropout acts: Queant et al. (2025), DelRec,
        https://arxiv.org/abs/2509.24852.
    """

    def __init__(self, synapses: Synapses, dropout: float = 0.0) -> None:
        super().__init__()
        self.synapses, self.dropout = synapses, dropout

    def forward(self, neuron: Neuron, current: Tensor) -> Tensor:
        """Output of the neurons over time, from rest."""
        mask = F.dropout(torch.ones_like(current[0]), self.dropout, self.training)  # one for all time steps
        output: Tensor = run_recurrent(neuron, self.synapses, current, mask)
        return output

    def initial_state(self, current: Tensor) -> State:
        """Nothing has fired, for currents ``(B, N)``."""
        return {"output": torch.zeros_like(current), "ring": self.synapses.initial_ring(current)}

    def step(self, state: State) -> tuple[Tensor, Tensor]:
        """Recurrent current of this step in evaluation, and the ring of those to come."""
        return self.synapses.step(state["output"], state["ring"])


def _run_recurrent(neuron: Neuron, synapses: Synapses, current: Tensor, mask: Tensor) -> Tensor:
    kernel = synapses.dense_kernel()
    ring = current.new_zeros(current.shape[1], *kernel.shape[:2])
    state, outputs = neuron.initial_state(current[0]), [torch.zeros_like(current[0])]
    for now in current.unbind():
        due, ring = synapses.due(ring + torch.einsum("bi,koi->bko", outputs[-1], kernel))
        output, state = neuron.step(now + mask * due, state)
        outputs.append(output)
    return torch.stack(outputs[1:])


run_recurrent = Operation(_run_recurrent, name="recurrent")
