"""Synapses among the neurons of one layer, with delays: DelRec's.

Shape letters: N neurons.
"""

from collections.abc import Callable
from typing import Literal, get_args

from torch import nn

from lit_delays.errors import InputError
from lit_delays.snn.delays import Delays, SummedDelays
from lit_delays.snn.kernels import DelRecTriangle, Kernel
from lit_delays.snn.synapses.structured_delays import StructuredDelays

WeightStart = Literal["orthogonal", "uniform"]


class RecurrentDelays(StructuredDelays):
    """Recurrent synapses: :class:`~.structured_delays.StructuredDelays` from a layer to itself.

    A spike arrives a time step later, plus the delay: with a delay of 0 it is an ordinary recurrent network.

    Args:
        num_inputs: Number of neurons, ``N``.
        num_outputs: The same.
        time_step_ms: Length of a time step, in ms.
        delays: The rule: what is learned, what is fixed, and where it starts. Neither learned nor fixed
            parts: an ordinary recurrent layer.
        max_delay_ms: Longest delay in ms; null for no limit, as published: the window follows the delays.
        kernel: Shape of the soft delays in training.
        learn_spread: Whether every neuron learns the width of its soft delays, between 0 and twice the
            ``sigma`` of the schedule.
        weight_start: How weights start: ``orthogonal``, or ``uniform`` within 1 / sqrt(N), which is 0.58
            times as large.

    Attributes:
        weight: Shape ``(N, N)``, target first.

    Raises:
        InputError: If there are other numbers of inputs and outputs, there is no such start, or as of
            ``StructuredDelays``.

    Source:
        Queant et al. (2025), DelRec, https://arxiv.org/abs/2509.24852. Delays are kept at 0 or above after
        every optimiser step, which its code for SSC leaves to evaluation; evaluation has one tap, where its
        code keeps the last width.

    Example:
        >>> synapses = RecurrentDelays(4, 4, 10.0).eval()
        >>> synapses.dense_kernel().shape[1:]
        torch.Size([4, 4])
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        time_step_ms: float,
        *,
        delays: Callable[[int, int | None, float], Delays] = SummedDelays,
        max_delay_ms: float | None = None,
        kernel: Callable[[], Kernel] = DelRecTriangle,
        learn_spread: bool = False,
        weight_start: WeightStart = "orthogonal",
    ) -> None:
        if num_inputs != num_outputs:
            raise InputError(
                f"recurrent synapses lead from a layer to itself, got {num_inputs} inputs and {num_outputs}"
                " neurons; choose RecurrentDelays for `recurrent`, not for `synapses`."
            )
        super().__init__(
            num_inputs,
            num_outputs,
            time_step_ms,
            delays=delays,
            max_delay_ms=max_delay_ms,
            kernel=kernel,
            learn_spread=learn_spread,
            keep_length=True,
        )
        if weight_start not in get_args(WeightStart):
            raise InputError(f"`weight_start` must be orthogonal or uniform, got {weight_start!r:.80}.")
        if weight_start == "orthogonal":
            nn.init.orthogonal_(self.weight)
        else:
            nn.init.uniform_(self.weight, -(bound := num_inputs**-0.5), bound)

    def _make_delays(self, delays: Callable[[int, int | None, float], Delays], step_ms: float) -> Delays:
        return delays(self.num_inputs, None, step_ms)
