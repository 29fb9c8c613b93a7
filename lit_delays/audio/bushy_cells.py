"""Bushy cells of the cochlear nucleus: leaky integrators that fire when many fibres do so together.

    dI/dt = -I / tau_syn + sum of the fibres' spikes,   dv/dt = -v / tau_mem + w I / 40,

with a spike, and a millisecond of rest at 0, when ``v`` reaches 1. Letters: T steps, N channels.

Source:
    Cramer et al. (2020), arXiv 1910.07407, Sec. II-C.
"""

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.cochlea import RATE
from lit_delays.audio.hair_cells import NUM_FIBRES, REST

TAU_SYN_MS, TAU_MEM_MS = 0.5, 1.0
WEIGHT = 13_000.0  # 1 / s^2 for all fibres of a cell at once


class BushyCells:
    """Cells at rest, one a channel, which hear one segment after another.

    Args:
        num_channels: Number of cells.
    """

    def __init__(self, num_channels: int) -> None:
        self.current, self.v_mem = np.zeros((2, num_channels), np.float32)
        self.rested_at = np.zeros(num_channels, np.int32)
        self.step = 0

    def spikes(self, num_fired: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and channels of the spikes, in order, given the number of fibres that fire, ``(T, N)``."""
        keep_current = np.float32(np.exp(-1000 / (RATE * TAU_SYN_MS)))
        keep_voltage = np.float32(np.exp(-1000 / (RATE * TAU_MEM_MS)))
        weight = np.float32(WEIGHT / NUM_FIBRES / RATE)
        current, v_mem = self.current, self.v_mem
        rise, (awake, fires) = np.empty_like(v_mem), np.empty((2, len(v_mem)), bool)
        steps, channels = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for fired in num_fired * weight:
            current *= keep_current
            current += fired
            v_mem *= keep_voltage
            np.less_equal(self.rested_at, self.step, out=awake)
            np.multiply(current, awake, out=rise)
            v_mem += rise
            np.greater_equal(v_mem, 1, out=fires)
            if fires.any():
                here = np.flatnonzero(fires)
                v_mem[here] = 0
                self.rested_at[here] = self.step + 1 + REST
                steps.append(
                    np.full(len(here), self.step + 1)
                )  # as in the tool that made SHD, one step later
                channels.append(here)
            self.step += 1
        return np.concatenate(steps), np.concatenate(channels)
