"""Mel spectrograms: how loud a recording is in bands as wide as the ear's, in every time step.

Two front ends, both with 140 bands and a step of 10 ms:

- ``sound``: windows of 25 ms at 16 kHz, bands from 50 Hz to 8 kHz, none empty, in dB, brought to mean 0
  and deviation 1 over each recording: loudness and microphone do not matter, a recording of one's own needs
  no statistics of a training set, and the zeros that pad a batch are the mean.
- ``reference``: as the paper's code has it. At 8 kHz, with bands up to 14 kHz, so 53 of them lie above all
  there is and stay at -100 dB; not normalised, so the zeros that pad a batch are loud.

Letters: T steps, N bands, F frequencies, L samples.

Source:
    Hammouamri et al. (2023), code of the Google Speech Commands experiment. Deviation: the filter that
    halves the rate is SciPy's.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.recordings import resample

MelName = Literal["sound", "reference"]
Floats = NDArray[np.floating]

SECONDS = 1.0  # length of a recording of Speech Commands; shorter ones are padded with silence
STEP_MS = 10.0
FLOOR = 1e-10  # of the power: -100 dB
NUM_BANDS = 140


@dataclass(frozen=True)
class FrontEnd:
    """Settings of a mel spectrogram.

    Attributes:
        rate: Sampling rate, in Hz.
        window: Length of the Hann window, in samples.
        transform: Length of the Fourier transform, in samples.
        lowest: Where the lowest band starts, in Hz.
        highest: Where the highest band ends, in Hz.
        normalised: Bring every recording to mean 0 and deviation 1.
    """

    rate: int
    window: int
    transform: int
    lowest: float
    highest: float
    normalised: bool


FRONT_ENDS: dict[MelName, FrontEnd] = {
    "sound": FrontEnd(16_000, window=400, transform=1024, lowest=50, highest=8000, normalised=True),
    "reference": FrontEnd(8000, window=256, transform=256, lowest=50, highest=14_000, normalised=False),
}


def mel_spectrogram(samples: Floats, rate: int, name: MelName) -> NDArray[np.float32]:
    """Loudness of one second of a recording, shape ``(101, 140)``: a window is centred on every step.

    Args:
        samples: The recording; what is longer than a second is cut off, what is shorter ends in silence.
        rate: Its sampling rate, in Hz.
        name: The front end.
    """
    front = FRONT_ENDS[name]
    length = round(SECONDS * rate)
    second = np.zeros(length, np.float32)
    second[: len(samples)] = samples[:length]
    if rate != front.rate:
        second = resample(second, rate, front.rate)
    decibels = 10 * np.log10(np.maximum(_power(second, front) @ filterbank(front).T, FLOOR))
    if front.normalised:
        decibels -= decibels.mean()
        decibels /= max(float(decibels.std()), 1e-3)  # silence stays silent
    return decibels.astype(np.float32)


@cache
def filterbank(front: FrontEnd) -> NDArray[np.float64]:
    """Weight of every frequency in every band, shape ``(N, F)``: triangles of height 1, each from the peak of
    the band below to that of the band above, evenly spaced on O'Shaughnessy's (1987) mel scale.
    """  # noqa: D205
    frequencies = np.fft.rfftfreq(front.transform, 1 / front.rate)
    low, high = (2595 * math.log10(1 + edge / 700) for edge in (front.lowest, front.highest))
    edges = 700 * (10 ** (np.linspace(low, high, NUM_BANDS + 2) / 2595) - 1)
    below, peak, above = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - below) / (peak - below), (above - frequencies) / (above - peak)
    return np.maximum(0, np.minimum(rising, falling))


def _power(samples: Floats, front: FrontEnd) -> Floats:
    """Power spectrum around every step, shape ``(T, F)``; the sound is mirrored at both ends."""
    hop = round(front.rate * STEP_MS / 1000)
    mirrored = np.pad(samples, front.transform // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, front.transform)[::hop]
    window = np.zeros(front.transform)
    start = (front.transform - front.window) // 2
    window[start : start + front.window] = np.hanning(front.window + 1)[:-1]  # periodic
    power: NDArray[np.float64] = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return power
