"""The order of an epoch, for one of several processes."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from lit_delays.data.arrays import Ints


class EpochSampler(Sampler[Ints]):
    """Batches of indices, for one of several processes.

    Lightning sets the epoch, and the order is a function of it and the seed: a resumed run needs no state.
    A shuffled epoch keeps its last, smaller batch, and repeats samples only to give every process as many as
    the others. An epoch in order never repeats a sample, and gives every process as many batches.

    Args:
        num_samples: Number of samples.
        batch_size: Samples a batch.
        shuffle: Draw a new order every epoch.
        seed: Of the order.
        rank: This process, from 0.
        world_size: Number of processes.
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
        return -(-samples_per_process // self.batch_size)

    def __iter__(self) -> Iterator[Ints]:
        own = self._order()[self.rank :: self.world_size]
        if self.world_size > 1 and not self.shuffle:
            # a process with one sample less must still take part in as many batches
            yield from np.array_split(own, len(self))
        else:
            starts = range(0, len(own), self.batch_size)[self.num_seen :]
            self.num_seen = 0
            yield from (own[start : start + self.batch_size] for start in starts)

    def _order(self) -> Ints:
        if not self.shuffle:
            return np.arange(self.num_samples)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_samples)
        return np.resize(order, -(-self.num_samples // self.world_size) * self.world_size)
