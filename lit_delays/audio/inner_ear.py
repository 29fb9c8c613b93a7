"""The artificial inner ear of the Heidelberg data sets: sound to spikes of 700 channels.

Several recordings go through it side by side: its small steps take as long to start as to run. What one
of them becomes does not depend on the others. Letters: T steps, N channels.

Source:
    Cramer et al. (2020), arXiv 1910.07407: basilar membrane, hair cells, bushy cells.
    Loudness and window are those of the tool that made the data sets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.bushy_cells import BushyCells
from lit_delays.audio.cochlea import RATE, Floats, membrane_velocity
from lit_delays.audio.hair_cells import Fibres, HairCells

LOUDNESS = 0.3  # root mean square
SIDE_BY_SIDE = 4  # recordings: more of them leave the processor's cache

Spikes = tuple[NDArray[np.float16], NDArray[np.uint16]]


@dataclass
class _Recording:
    """One on its way through the ear: where its sound comes from, and its spikes so far."""

    velocity: Iterator[Floats]
    num_steps: int = 0
    steps: list[NDArray[np.int64]] = field(default_factory=list)
    channels: list[NDArray[np.int64]] = field(default_factory=list)

    def spikes(self) -> Spikes:
        times = np.concatenate(self.steps) / RATE
        return times.astype(np.float16), np.concatenate(self.channels).astype(np.uint16)


def sounds_to_spikes(
    sounds: Sequence[NDArray[np.floating]], response: NDArray[np.complex64], seeds: Sequence[list[int]]
) -> list[Spikes]:
    """Spikes of recordings.

    Args:
        sounds: Sound pressure of each at ``AUDIO_RATE``, not all zero.
        response: The membrane's ``transfer_function``.
        seeds: Of each one's chances, those of the fibres.

    Returns:
        Times of each in s, ascending, and channels, from high pitch to low.
    """
    num_channels = len(response)
    recordings = [_Recording(membrane_velocity(_prepared(sound), response)) for sound in sounds]
    cells, bushy = HairCells(len(sounds) * num_channels), BushyCells(len(sounds), num_channels)
    fibres = Fibres(num_channels, [np.random.default_rng(seed) for seed in seeds])
    sounding = recordings
    while sounding:
        parts = [next(recording.velocity, None) for recording in sounding]
        if any(part is None for part in parts):
            is_over = np.array([part is None for part in parts])
            for stage in (cells, fibres, bushy):
                stage.drop(np.flatnonzero(is_over.repeat(num_channels)))
            sounding = [it for it, over in zip(sounding, is_over, strict=True) if not over]
        if heard := [part for part in parts if part is not None]:
            lengths = [len(part) for part in heard]
            num_fired = fibres.spikes(cells.firing_probability(_beside(heard)), lengths)
            _keep(bushy.spikes(num_fired), sounding, lengths, num_channels)
    return [recording.spikes() for recording in recordings]


def _prepared(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """As loud as any other, and faded in and out over its whole length."""
    loud: NDArray[np.floating] = samples * (LOUDNESS / np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return loud * np.hanning(len(samples))


def _beside(parts: list[Floats]) -> Floats:
    """``(T, N)`` each as one, ``(T, recordings N)``, with silence behind those that end before."""
    num_channels = parts[0].shape[1]
    longest = max(map(len, parts))
    beside = np.empty((longest, len(parts) * num_channels), np.float32)
    for index, part in enumerate(parts):
        columns = slice(index * num_channels, (index + 1) * num_channels)
        beside[: len(part), columns], beside[len(part) :, columns] = part, 0
    return beside


def _keep(
    found: tuple[NDArray[np.int64], NDArray[np.int64]],
    sounding: list[_Recording],
    lengths: list[int],
    num_channels: int,
) -> None:
    """Give every recording its spikes of a part, in order of time; none after its end."""
    steps, columns = found
    whose = columns // num_channels
    for index, (recording, length) in enumerate(zip(sounding, lengths, strict=True)):
        recording.num_steps += length
        mine = (whose == index) & (steps < recording.num_steps)
        recording.steps.append(steps[mine])
        recording.channels.append(columns[mine] % num_channels)
