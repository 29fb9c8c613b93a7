"""The artificial inner ear of the Heidelberg data sets: sound to spikes of 700 channels.

Source:
    Cramer et al. (2020), arXiv 1910.07407: basilar membrane, hair cells, bushy cells.
    Loudness and window are those of the tool that made the data sets.
"""

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.bushy_cells import BushyCells
from lit_delays.audio.cochlea import RATE, membrane_velocity
from lit_delays.audio.hair_cells import Fibres, HairCells

LOUDNESS = 0.3  # root mean square


def sound_to_spikes(
    samples: NDArray[np.floating], response: NDArray[np.complex64], seed: list[int]
) -> tuple[NDArray[np.float16], NDArray[np.uint16]]:
    """Spikes of one recording.

    Args:
        samples: Sound pressure at ``AUDIO_RATE``, not all zero.
        response: The membrane's ``transfer_function``.
        seed: Of the fibres' chances.

    Returns:
        Times in s, ascending, and channels, from high pitch to low.
    """
    num_channels = len(response)
    cells, bushy = HairCells(num_channels), BushyCells(num_channels)
    fibres = Fibres(num_channels, np.random.default_rng(seed))
    steps: list[NDArray[np.int64]] = []
    channels: list[NDArray[np.int64]] = []
    for velocity in membrane_velocity(_prepared(samples), response):
        num_fired = fibres.spikes(cells.firing_probability(velocity))
        for found, kept in zip(bushy.spikes(num_fired), (steps, channels), strict=True):
            kept.append(found)
    times = np.concatenate(steps) / RATE
    return times.astype(np.float16), np.concatenate(channels).astype(np.uint16)


def _prepared(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """As loud as any other, and faded in and out over its whole length."""
    loud: NDArray[np.floating] = samples * (LOUDNESS / np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return loud * np.hanning(len(samples))
