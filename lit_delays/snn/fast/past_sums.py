r"""What arrives in a time step of what was sent in earlier ones, while time goes on.

.. math:: y[t] = \sum_{k=0}^{K-1} \kappa_k\, x[t-1-k]

Values come one step at a time, and each sum is due before the next value is known.
Shape letters: T steps, B samples, N neurons, K lags, C steps of a block.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lit_delays.snn.fast.memory_pool import recycled
from lit_delays.snn.fast.toeplitz import sum_of_diagonals, toeplitz

BLOCK = 8  # steps; in longer ones more is added step by step


class PastSums(ABC):
    """Sums of what came in earlier steps."""

    @abstractmethod
    def due(self, t: int) -> Tensor:
        """The sum of step t, shape ``(B, N)``; all earlier steps have been added."""

    @abstractmethod
    def add(self, t: int, x: Tensor) -> None:
        """What step t sends, shape ``(B, N)``."""


class SharedSums:
    r"""Sums with a kernel for each neuron, :math:`y_j[t] = \sum_k a_{k,j}\, x_j[t-1-k]`, in blocks of time.

    What all earlier blocks bring to a block is one product for each neuron; what comes inside the block is
    added to the rest of it.

    Args:
        taps: Kernels, shape ``(K, N)``.
        num_steps: Steps to come, ``T``.
        batch_size: Samples, ``B``.

    Attributes:
        history: What came, after K steps of nothing, shape ``(N, K + T or more, B)``.
    """

    def __init__(self, taps: Tensor, num_steps: int, batch_size: int) -> None:
        self.taps = taps[:num_steps].T.contiguous()  # longer lags come too late
        num_neurons, self.num_lags = self.taps.shape
        self.history = self.empty_history(num_steps, batch_size)
        self.earlier = toeplitz(self.taps, BLOCK)[..., : self.num_lags]
        self.block = taps.new_empty(num_neurons, BLOCK, batch_size)

    def empty_history(self, num_steps: int, batch_size: int) -> Tensor:
        """Memory for T steps, with nothing before them and after them up to the end of a block."""
        shape = len(self.taps), self.num_lags + -(-num_steps // BLOCK) * BLOCK, batch_size
        history = recycled(shape, self.taps.dtype, self.taps.device)
        history[:, : self.num_lags] = 0
        history[:, self.num_lags + num_steps :] = 0
        return history

    def due(self, t: int) -> Tensor:
        """The sums of step t, shape ``(N, B)``."""
        if t % BLOCK == 0:
            torch.bmm(self.earlier, self.history[:, t : t + self.num_lags], out=self.block)
        return self.block[:, t % BLOCK]

    def add(self, t: int, x: Tensor) -> None:
        """What step t sends, shape ``(N, B)``."""
        self.history[:, self.num_lags + t] = x
        rest = self.block[:, t % BLOCK + 1 :]
        taps = self.taps[:, : rest.shape[1]]
        rest[:, : taps.shape[1]].addcmul_(taps.unsqueeze(-1), x.unsqueeze(1))


class AxonalSums(PastSums):
    """Delayed by neuron, then weighed: ``shared`` sums of the outputs, times the weights ``(N, N)``."""

    def __init__(self, taps: Tensor, weight: Tensor, num_steps: int, batch_size: int) -> None:
        self.sums, self.weight = SharedSums(taps, num_steps, batch_size), weight

    def due(self, t: int) -> Tensor:  # noqa: D102
        return self.sums.due(t).T @ self.weight.T

    def add(self, t: int, x: Tensor) -> None:  # noqa: D102
        self.sums.add(t, x.T)


class DendriticSums(PastSums):
    """Weighed, then delayed by neuron: the other way round, which is the gradient's."""

    def __init__(self, taps: Tensor, weight: Tensor, num_steps: int, batch_size: int) -> None:
        self.sums, self.weight = SharedSums(taps, num_steps, batch_size), weight

    def due(self, t: int) -> Tensor:  # noqa: D102
        return self.sums.due(t).T

    def add(self, t: int, x: Tensor) -> None:  # noqa: D102
        self.sums.add(t, self.weight @ x.T)


class DenseSums(PastSums):
    """Sums with a kernel for each pair of neurons, ``(K, N, N)``: one product a step with all lags."""

    def __init__(self, kernel: Tensor, num_steps: int, batch_size: int) -> None:
        used = kernel[:num_steps].flip(0)  # oldest lag first, as steps lie in memory
        self.num_lags, num_neurons, _ = used.shape
        self.kernel = used.transpose(0, 1).reshape(num_neurons, -1)
        self.history = kernel.new_zeros(self.num_lags + num_steps, num_neurons, batch_size)

    def due(self, t: int) -> Tensor:  # noqa: D102
        return (self.kernel @ self.history[t : t + self.num_lags].flatten(0, 1)).T

    def add(self, t: int, x: Tensor) -> None:  # noqa: D102
        self.history[self.num_lags + t] = x.T


def shared_grads(outputs: Tensor, grad: Tensor, taps: Tensor, future: DendriticSums) -> tuple[Tensor, Tensor]:
    """Gradients of shared taps ``(K, N)`` and of the weights ``(N, N)`` behind them.

    Args:
        outputs: What was delayed, shape ``(T, B, N)``.
        grad: Gradient of the weighed sums, shape ``(T, B, N)``.
        taps: Kernels, shape ``(K, N)``.
        future: Has seen the gradient in reversed time, and so has the gradient of the sums.
    """
    num_steps, num_lags = len(outputs), future.sums.num_lags
    history = future.sums.empty_history(num_steps, outputs.shape[1])
    history[:, num_lags : num_lags + num_steps] = outputs.permute(2, 0, 1)
    matrices = toeplitz(future.sums.taps, BLOCK)
    pairs, weight = torch.zeros_like(matrices), torch.zeros_like(future.weight)
    for first in range(0, num_steps, BLOCK):
        last = min(first + BLOCK, num_steps)
        size, seen = last - first, history[:, first : first + matrices.shape[2]]
        sums = torch.bmm(matrices[:, :size], seen)
        weight.addmm_(sums.flatten(1), grad[first:last].flatten(0, 1))
        # the gradient of the sums, latest step first
        back = future.sums.history[:, num_lags + num_steps - last : num_lags + num_steps - first]
        pairs[:, :size] += torch.bmm(back, seen.mT).flip(1)
    grad_taps = torch.zeros_like(taps)
    grad_taps[:num_lags] = sum_of_diagonals(pairs, num_lags).T
    return grad_taps, weight.T
