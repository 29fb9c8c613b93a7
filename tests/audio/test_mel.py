import numpy as np
import pytest

from lit_delays.audio.mel import FRONT_ENDS, filterbank, mel_spectrogram


def triangle(frequency, band, lowest, highest):
    """Weight of a frequency in a band, in closed form: linear in Hz between peaks that are even in mel."""

    def hertz(mel):
        return 700 * (np.exp(mel / 1127.0104802) - 1)  # 2595 / ln 10

    mels = [1127.0104802 * np.log1p(f / 700) for f in (lowest, highest)]
    below, peak, above = (hertz(mels[0] + (band + k) * (mels[1] - mels[0]) / 141) for k in (0, 1, 2))
    if below < frequency <= peak:
        return (frequency - below) / (peak - below)
    if peak < frequency < above:
        return (above - frequency) / (above - peak)
    return 0.0


@pytest.mark.parametrize(
    ("name", "spacing", "highest"), [("sound", 16_000 / 1024, 8000), ("reference", 8000 / 256, 14_000)]
)
def test_bands_are_triangles_on_the_mel_scale(name, spacing, highest):
    bank = filterbank(FRONT_ENDS[name])
    for band in range(0, 140, 13):
        expected = [triangle(k * spacing, band, 50, highest) for k in range(bank.shape[1])]
        np.testing.assert_allclose(bank[band], expected, atol=1e-6)


def test_the_reference_has_53_bands_that_hear_nothing_and_the_sound_one_has_none():
    empty = {name: int((filterbank(front).sum(axis=1) == 0).sum()) for name, front in FRONT_ENDS.items()}
    assert empty == {"sound": 0, "reference": 53}
    noise = np.random.default_rng(0).normal(size=16_000)
    silent = filterbank(FRONT_ENDS["reference"]).sum(axis=1) == 0
    assert np.all(mel_spectrogram(noise, 16_000, "reference")[:, silent] == -100)


def test_a_tone_has_the_power_of_its_closed_form():
    """In a Hann window of 256, a tone of amplitude 1 has power (128 / 2)^2 at its own frequency."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)  # the 32nd of 129 frequencies
    loudest = mel_spectrogram(tone, 8000, "reference").max(axis=1)
    weights = filterbank(FRONT_ENDS["reference"])[:, 31:34] @ [0.25, 1, 0.25]  # a Hann window's side bands
    np.testing.assert_allclose(loudest[5:-5], 10 * np.log10(64**2 * weights.max()), atol=0.02)


def test_a_click_is_in_the_frames_around_it():
    click = np.zeros(16_000)
    click[8000] = 1
    spectrogram = mel_spectrogram(click, 16_000, "sound")
    assert spectrogram.shape == (101, 140)
    assert np.flatnonzero(spectrogram.max(axis=1) > 0).tolist() == [49, 50, 51]


@pytest.mark.parametrize("loudness", [1.0, 0.01])
def test_the_sound_front_end_has_mean_0_and_deviation_1_at_any_loudness(loudness):
    noise = loudness * np.random.default_rng(0).normal(size=12_000)
    spectrogram = mel_spectrogram(noise, 16_000, "sound")
    assert spectrogram.mean() == pytest.approx(0, abs=1e-3)
    assert spectrogram.std() == pytest.approx(1, abs=1e-3)


def test_silence_and_recordings_of_any_length_are_spectrograms_too():
    assert np.all(mel_spectrogram(np.zeros(3), 16_000, "sound") == 0)
    assert np.all(mel_spectrogram(np.zeros(3), 16_000, "reference") == -100)
    noise = np.random.default_rng(0).normal(size=40_000)
    cut = mel_spectrogram(noise[:16_000], 16_000, "reference")
    assert np.array_equal(mel_spectrogram(noise, 16_000, "reference"), cut)
