"""The basilar membrane: sound spreads along it, and every place moves most at a pitch of its own.

In the shallow-water approximation the membrane is a damped spring at every place ``x``,

    xi(omega, x) = S(x) - m omega^2 - i omega R(x),  S = C exp(-alpha x) - a,  R = R_0 exp(-alpha x / 2),

which carries a pressure wave of wave number ``g = omega sqrt(rho / (h xi))``:

    p(omega, x) = sqrt(G / g) H_0(G),                G(omega, x) = 2 g(omega, 0) / alpha + int_0^x g dx'.

The velocity at ``x`` of a sound at the oval window is ``2 omega / xi(x) p(x) / p(0) z(omega)``, with the
input impedance ``z``. Lengths in cm, masses in g. Letters: F frequencies, N channels, T steps.

Source:
    Sieroka, Dosch, Rupp (2006), Semirealistic models of the cochlea, J. Acoust. Soc. Am. 120, 297;
    constants of the tool that made SHD and SSC, Cramer et al. (2020), arXiv 1910.07407. The integral is
    solved in closed form, and the membrane remembers 107 ms. The equations are of waves
    ``exp(-i omega t)``. The tool sums waves ``exp(i omega t)``, so its membrane swings before the sound, and
    low pitches lead; and it takes every second step of the membrane's movement, so pitches above 12 kHz are
    folded down. A network trained on its spikes knows them so: this one does the same.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

AUDIO_RATE, RATE = 48_000, 24_000  # Hz; the membrane is as fast as half the sound
NUM_CHANNELS = 700  # from the base, 22 kHz, to the apex, 110 Hz
BLOCK, STEPS = 50, 150  # channels filtered, and steps handed on, at once: they fit a processor's cache
# steps filtered at once, a second of sound in two, and of the sound around them that count
SEGMENT, AFTER, BEFORE = 12_184, 2560, 256
SIZE = BEFORE + SEGMENT + AFTER
LENGTH = 3.5
STIFFNESS, ALPHA, SLACK = 1e9, 3.0, 3500.0  # C, alpha, a
DEPTH, DENSITY, MASS, DAMPING = 0.1, 1.0, 0.05, 0.15  # h, rho, m, and R_0 / sqrt(C m)


def transfer_function(num_channels: int = NUM_CHANNELS) -> NDArray[np.complex64]:
    """Velocity of every place for a sound of every frequency, shape ``(N, F)``.

    Frequencies are those of the real spectrum of ``2 * SIZE`` steps at ``AUDIO_RATE``; takes seconds.
    """
    omega = 2 * np.pi * np.arange(SIZE + 1) * RATE / SIZE
    response = np.zeros((num_channels, len(omega)), np.complex64)
    for channel, place in enumerate(np.linspace(0, LENGTH, num_channels)):
        low = slice(1, _num_frequencies(place))
        response[channel, low] = velocity(omega[low], place)
    return response


def velocity(omega: NDArray[np.float64], place: float) -> NDArray[np.complex128]:
    """Velocity of one place, for a sound of these angular frequencies, in 1 / s, above 0.

    Args:
        omega: Angular frequencies, shape ``(F,)``.
        place: Distance from the oval window, in cm, 0 to 3.5.
    """
    pressure = _pressure(omega, place) / _pressure(omega, 0.0)
    moved: NDArray[np.complex128] = 2 * omega / _xi(omega, place) * pressure * _impedance(omega)
    return moved


def phase(omega: NDArray[np.float64], place: float) -> NDArray[np.complex128]:
    """``G``: the integral in closed form, as ``xi`` is quadratic in ``u = exp(-alpha x / 2)``."""
    inertia = np.sqrt(SLACK + MASS * omega**2)

    def logarithm(u: float) -> NDArray[np.complex128]:
        root = np.sqrt(_xi_at(omega, u))
        inside: NDArray[np.complex128] = 1j * inertia - root - omega * _friction() * u / (2 * inertia)
        return np.log(inside / u)

    integral = (logarithm(1.0) - logarithm(np.exp(-ALPHA * place / 2))) / (1j * inertia)
    whole: NDArray[np.complex128] = (2 * omega / ALPHA) * np.sqrt(DENSITY / DEPTH) * integral
    return 2 * _wave_number(omega, 0.0) / ALPHA + whole


def membrane_velocity(
    samples: NDArray[np.floating], response: NDArray[np.complex64]
) -> Iterator[NDArray[np.float32]]:
    """Velocity of every place over time, a segment after another, shapes ``(T, N)``.

    Args:
        samples: Sound pressure at ``AUDIO_RATE``.
        response: The membrane's ``transfer_function``.
    """
    from scipy import fft

    padded = np.concatenate([np.zeros(2 * BEFORE, np.float32), samples.astype(np.float32)])
    num_frequencies = [_num_frequencies(place) for place in np.linspace(0, LENGTH, len(response))]
    for start in range(0, len(samples), 2 * SEGMENT):
        spectrum = fft.rfft(padded[start : start + 2 * SIZE], 2 * SIZE) / 2  # for every second step
        num_steps = min(SEGMENT, -(-(len(samples) - start) // 2))
        velocity = np.empty((num_steps, len(response)), np.float32)
        for first in range(0, len(response), BLOCK):
            here, low = slice(first, first + BLOCK), slice(num_frequencies[first])
            moved = fft.irfft(_every_second(response[here, low] * spectrum[low]), SIZE, axis=1)
            velocity[:, here] = moved[:, BEFORE : BEFORE + num_steps].T
        yield from np.array_split(velocity, range(STEPS, num_steps, STEPS))


def _every_second(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Twice that of every second step: the upper half of the frequencies is folded onto the lower one."""
    folded, upper = spectrum[:, : SIZE // 2 + 1], spectrum[:, SIZE // 2 :]
    if upper.size:
        upper = upper.conj()
        folded[:, folded.shape[1] - upper.shape[1] :] += upper[:, ::-1]
    return folded


def _num_frequencies(place: float) -> int:
    """Lowest frequencies that move a place: far above its own pitch, stiffer places before it take all."""
    highest = 2 * _resonance(place) / (2 * np.pi) + 300
    return min(int(highest * SIZE / RATE) + 1, SIZE + 1)


def _pressure(omega: NDArray[np.float64], place: float) -> NDArray[np.complex128]:
    from scipy.special import hankel1

    reached = phase(omega, place)
    pressure: NDArray[np.complex128] = np.sqrt(reached / _wave_number(omega, place)) * hankel1(0, reached)
    return pressure


def _wave_number(omega: NDArray[np.float64], place: float) -> NDArray[np.complex128]:
    slowness: NDArray[np.complex128] = np.sqrt(DENSITY / (DEPTH * _xi(omega, place)))
    return omega * slowness


def _xi(omega: NDArray[np.float64], place: float) -> NDArray[np.complex128]:
    return _xi_at(omega, np.exp(-ALPHA * place / 2))


def _xi_at(omega: NDArray[np.float64], u: float) -> NDArray[np.complex128]:
    return STIFFNESS * u**2 - SLACK - MASS * omega**2 - 1j * omega * _friction() * u


def _impedance(omega: NDArray[np.float64]) -> NDArray[np.complex128]:
    from scipy.special import hankel2

    scaled = (2 * omega / ALPHA) * np.sqrt(2 / (DEPTH * STIFFNESS))
    ratio: NDArray[np.complex128] = 1j * hankel2(0, scaled) / hankel2(1, scaled)
    resistance = float(np.sqrt(2 * STIFFNESS / DEPTH))
    return resistance * ratio


def _friction() -> float:
    return DAMPING * float(np.sqrt(STIFFNESS * MASS))


def _resonance(place: float) -> float:
    """Angular frequency at which a place swings by itself, in 1 / s."""
    return float(np.sqrt(max(STIFFNESS * np.exp(-ALPHA * place) - SLACK, 0.0) / MASS))
