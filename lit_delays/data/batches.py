"""A batch on its way to the device: events, which are small to move, or values.

Letters: T time steps, B samples, N channels, E events, C classes.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Batch(Protocol):
    """What a network is fed."""

    @property
    def labels(self) -> Tensor:
        """Classes, int64, shape ``(B,)``, or the share of every class, shape ``(B, C)``."""
        ...

    @property
    def lengths(self) -> Tensor | None:
        """Real steps of every sample, shape ``(B,)``: what comes later is padding. None where all are."""
        ...

    def counts(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Inputs of the network, shape ``(T, B, N)``."""
        ...


class EventBatch(NamedTuple):
    """Spikes of B samples, one after another.

    Attributes:
        step: Time step of every spike, int16 or int32, shape ``(E,)``.
        channel: Input channel of every spike, int16 or int32, shape ``(E,)``.
        sample: Place in the batch of every spike, int32, shape ``(E,)``.
        labels: Classes, int64, shape ``(B,)``.
        num_steps: Length ``T`` of the batch, in time steps, at least 1.
        num_inputs: Number of channels ``N``.
        lengths: Steps up to the last spike of every sample, int64, shape ``(B,)``, at least 1.
    """

    step: Tensor
    channel: Tensor
    sample: Tensor
    labels: Tensor
    num_steps: int
    num_inputs: int
    lengths: Tensor | None = None

    def counts(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Spikes in every time step, sample and channel, shape ``(T, B, N)``, on the device of the events.

        Example:
            >>> step, channel = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1])
            >>> labels, sample = torch.tensor([7]), torch.tensor([0, 0, 0])
            >>> EventBatch(step, channel, sample, labels, num_steps=2, num_inputs=2).counts()
            tensor([[[1., 0.]],
            <BLANKLINE>
                    [[0., 2.]]])
        """
        num_samples = len(self.labels)
        size = self.num_steps * num_samples * self.num_inputs
        place = self.step.to(torch.int32 if size < 2**31 else torch.int64)  # half the memory to go through
        place = place.mul(num_samples).add_(self.sample).mul_(self.num_inputs).add_(self.channel)
        counts = torch.zeros(size, device=place.device)
        # whole numbers below 2^24: the sum is the same in any order, so on any device
        counts.index_add_(0, place, counts.new_ones(len(place)))
        return counts.view(self.num_steps, num_samples, self.num_inputs).to(dtype)


class DenseBatch(NamedTuple):
    """Values of B samples in every time step and channel.

    Attributes:
        values: Real values or counts, shape ``(T, B, N)``.
        labels: Classes, int64, shape ``(B,)``, or the share of every class, shape ``(B, C)``.
        lengths: Real steps of every sample, int64, shape ``(B,)``; None where all are.
    """

    values: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def counts(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The values: what the first layer sums up in place of spikes, shape ``(T, B, N)``."""
        return self.values.to(dtype)
