"""Synapses as they ship: a weight and a whole delay each, and a bias.

Letters: B samples, I inputs, O outputs, S synapses per pair, K lags.
"""

import torch
from torch import Tensor

from lit_delays.errors import InputError
from lit_delays.snn.kernels import one_tap_kernel
from lit_delays.snn.synapses.base import Synapses


class WholeDelays(Synapses):
    """The deployed form of any synapses: plain tensors, nothing to learn.

    Args:
        num_inputs: Number of inputs, ``I``.
        num_outputs: Number of target neurons, ``O``.
        num_synapses: Synapses per pair, ``S``.
        num_lags: Steps that the delays can reach over; they lie in ``[0, num_lags - 1]``.
        keep_length: Whether the output has as many steps as the input.

    Attributes:
        weight: Where the norm is folded in; 0 where there is no synapse. Shape ``(O, I, S)``.
        delay: In time steps, int16, shape ``(O, I, S)``.
        bias: Current of every neuron in every step, shape ``(O,)``.
    """

    weight: Tensor
    delay: Tensor
    bias: Tensor

    def __init__(
        self, num_inputs: int, num_outputs: int, num_synapses: int, *, num_lags: int, keep_length: bool
    ) -> None:
        super().__init__(num_inputs, num_outputs, num_lags=num_lags, keep_length=keep_length)
        shape = (num_outputs, num_inputs, num_synapses)
        del self.sigma  # nothing is soft here
        self.register_buffer("weight", torch.zeros(shape))
        self.register_buffer("delay", torch.zeros(shape, dtype=torch.int16))
        self.register_buffer("bias", torch.zeros(num_outputs))

    def dense_kernel(self) -> Tensor:  # noqa: D102
        return one_tap_kernel(self.weight, self.delay, self.num_lags)

    def step(self, x: Tensor, ring: Tensor) -> tuple[Tensor, Tensor]:
        """Each input adds its weights to the currents that its delays point at; zeros cost nothing."""
        weight, delay = self.weight, self.delay
        if not torch.compiler.is_exporting():  # which knows no shapes that depend on numbers
            active = x.any(dim=0).nonzero().flatten()
            x, weight, delay = (part.index_select(1, active) for part in (x, weight, delay))
        neuron = torch.arange(self.num_outputs, device=x.device).view(-1, 1, 1)
        slot = delay.long() * self.num_outputs + neuron  # in a ring laid flat
        added = x[:, None, :, None] * weight
        flat = ring.flatten(1).index_add(1, slot.flatten(), added.flatten(1))
        return self.due(flat.view_as(ring))

    def whole_delays(self) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self.weight, self.delay.long()

    def check(self, name: str) -> None:
        """See that every weight is a number and every delay within its window.

        Raises:
            InputError: If not; says of which layer.
        """
        if not (self.weight.isfinite().all() and self.bias.isfinite().all()):
            raise InputError(
                f"the weights of {name} are not all numbers; take the checkpoint of an earlier epoch."
            )
        if self.delay.min() < 0 or self.delay.max() >= self.num_lags:
            raise InputError(
                f"the delays of {name} must be in [0, {self.num_lags - 1}] time steps,"
                f" got {int(self.delay.min())} to {int(self.delay.max())}."
            )
