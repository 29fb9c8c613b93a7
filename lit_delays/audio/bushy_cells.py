"""Bushy cells of the cochlear nucleus: leaky integrators that fire when many fibres do so together.

    dI/dt = -I / tau_syn + sum of the fibres' spikes,   dv/dt = -v / tau_mem + w I / 40,

with a spike, and a millisecond of rest at 0, when ``v`` reaches 1. Letters: T steps, N channels.

A cell that has fired is silent for longer than a block of steps, so that it fires at most once in a block,
and up to there all is linear: a block is one product of matrices.

Source:
    Cramer et al. (2020), arXiv 1910.07407, Sec. II-C.
"""

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.cochlea import RATE, Floats
from lit_delays.audio.hair_cells import NUM_FIBRES, REST

TAU_SYN_MS, TAU_MEM_MS = 0.5, 1.0
WEIGHT = 13_000.0  # 1 / s^2 for all fibres of a cell at once
BLOCK = REST + 1  # steps from a spike to the first one that may follow it


class BushyCells:
    """Cells at rest, one a channel; they take one segment after another.

    Args:
        num_recordings: Recordings side by side.
        num_channels: Number of cells of each.
    """

    def __init__(self, num_recordings: int, num_channels: int) -> None:
        self.num_channels = num_channels
        self.current, self.v_mem = np.zeros((2, num_recordings * num_channels), np.float32)
        self.awake_at = np.zeros(num_recordings * num_channels, np.int64)
        self.step = 0
        steps = np.arange(BLOCK + 1)
        self.keep_current = np.exp(-steps * 1000 / (RATE * TAU_SYN_MS)).astype(np.float32)
        self.keep_voltage = np.exp(-steps * 1000 / (RATE * TAU_MEM_MS)).astype(np.float32)
        # voltage that a spike leaves, by the steps since then
        left = np.convolve(self.keep_current, self.keep_voltage)[: BLOCK + 1] * WEIGHT / NUM_FIBRES / RATE
        self.left = left.astype(np.float32)
        since = np.subtract.outer(steps, steps)
        self.kernel = np.where(since >= 0, self.left[since], np.float32(0))

    def drop(self, channels: NDArray[np.int64]) -> None:
        """Go on without some cells."""
        self.current, self.v_mem = np.delete([self.current, self.v_mem], channels, axis=1)
        self.awake_at = np.delete(self.awake_at, channels)

    def spikes(self, num_fired: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and channels of the spikes, in order, given the number of fibres that fire, ``(T, N)``."""
        found = [self._block(num_fired[start : start + BLOCK]) for start in range(0, len(num_fired), BLOCK)]
        steps, channels = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return steps, channels

    def _block(self, num_fired: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        num_steps = len(num_fired)
        v_mem = self._charge(num_fired)
        self._rest(v_mem)
        fires = v_mem >= 1
        channels = np.flatnonzero(fires.any(axis=0))
        first = fires[:, channels].argmax(axis=0)
        self.v_mem = v_mem[-1].copy()
        self.v_mem[channels] = 0
        self.awake_at[channels] = self.step + first + BLOCK
        order, start = np.argsort(first, kind="stable"), self.step
        self.step += num_steps
        return start + first[order], channels[order]

    def _charge(self, num_fired: NDArray[np.uint8]) -> Floats:
        """Voltages ``(T, N)`` of a block in which no cell fires; the current goes on to its end."""
        num_steps = len(num_fired)
        matrix = np.zeros((num_steps + 1, num_steps + 2), np.float32)
        matrix[:-1, :-2] = self.kernel[:num_steps, :num_steps]
        matrix[:-1, -2] = self.keep_voltage[1 : num_steps + 1]
        matrix[:-1, -1] = self.left[:num_steps] * self.keep_current[1]
        matrix[-1, :-2], matrix[-1, -1] = self.keep_current[:num_steps][::-1], self.keep_current[num_steps]
        before = np.concatenate([num_fired, self.v_mem[None], self.current[None]], dtype=np.float32)
        after = np.empty((num_steps + 1, before.shape[1]), np.float32)
        for first in range(0, before.shape[1], self.num_channels):  # as large a product for any number
            mine = slice(first, first + self.num_channels)
            np.matmul(matrix, before[:, mine], out=after[:, mine])
        self.current = after[-1]
        return after[:-1]

    def _rest(self, v_mem: Floats) -> None:
        """Keep cells that have fired at 0 until they wake up, whatever comes in, and start from there."""
        here = np.flatnonzero(self.awake_at > self.step)
        if len(here) == 0:
            return
        v_here, left = v_mem[:, here], self.awake_at[here] - self.step  # steps to rest yet
        last = np.minimum(left, len(v_mem)) - 1
        awake_for = np.arange(len(v_mem))[:, None] - last  # 0 in the last step of the rest
        v_here -= v_here[last, np.arange(len(here))] * self.keep_voltage[np.maximum(awake_for, 0)]
        v_here[awake_for <= 0] = 0
        v_mem[:, here] = v_here
