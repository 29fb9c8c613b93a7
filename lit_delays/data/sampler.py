"""The order of an epoch, for one of several processes."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import SequentialSampler

from lit_delays.data.samples import Ints
from lit_delays.errors import InputError


class EpochSampler(SequentialSampler):
    """Batches of indices, for one of several processes.

    Lightning sets the epoch, and the order is a function of it and the seed: a resumed run needs no state.
    A shuffled epoch keeps its last, smaller batch, and repeats samples only to give every process as many as
    the others. An epoch in order never repeats a sample, so that every sample counts once, and gives every
    process as many batches, none of them empty: where that cannot be in batches of 1, one is of 2.
    To Lightning it is a sequential sampler, or ``overfit_batches`` would put another into its place.

    Args:
        num_samples: Number of samples.
        batch_size: Samples a batch.
        shuffle: Draw a new order every epoch.
        seed: Of the order.
        rank: This process, from 0.
        world_size: Number of processes.

    Raises:
        InputError: If there are fewer samples than processes.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_samples < world_size:
            raise InputError(
                f"`--trainer.devices` must be at most the number of samples to share, {num_samples}, got"
                f" {world_size}; give fewer devices."
            )
        self.num_samples, self.batch_size, self.shuffle = num_samples, batch_size, shuffle
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch = self.num_seen = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def go_on(self, epoch: int, num_seen: int) -> None:
        """Choose the order of this epoch, and leave out its first batches once: they have been seen."""
        self.epoch, self.num_seen = epoch, num_seen

    def __len__(self) -> int:
        samples_per_process = -(-self.num_samples // self.world_size)
        num_batches = -(-samples_per_process // self.batch_size)
        return num_batches if self.shuffle else min(num_batches, self.num_samples // self.world_size)

    def __iter__(self) -> Iterator[Ints]:  # type: ignore[override]  # whole batches of indices
        own = self._order()[self.rank :: self.world_size]
        # in order, a process with one sample less must still take part in as many batches
        in_order = self.world_size > 1 and not self.shuffle
        parts = len(self) if in_order else range(self.batch_size, len(own), self.batch_size)
        num_seen, self.num_seen = self.num_seen, 0
        yield from np.array_split(own, parts)[num_seen:]

    def _order(self) -> Ints:
        if not self.shuffle:
            return np.arange(self.num_samples)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_samples)
        return np.resize(order, -(-self.num_samples // self.world_size) * self.world_size)
