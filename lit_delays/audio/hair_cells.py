"""Inner hair cells and the fibres of the auditory nerve: from the membrane's velocity to spikes.

A cell holds transmitter in three pools, free ``q``, in the cleft ``c`` and on its way back ``w``,

    dq/dt = y (1 - q) + x w - k q,  dc/dt = k q - (l + r) c,  dw/dt = r c - x w,  k = g (v + A) / (v + A + B),

and every fibre on it fires with the rate ``h c``, then rests for a millisecond. Letters: T steps, N channels.

Source:
    Meddis (1986), J. Acoust. Soc. Am. 79, 702; Meddis (1988), 83, 1056, whose constants these are, in 1 / s;
    40 fibres a channel as in Cramer et al. (2020).
"""

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.cochlea import RATE, Floats

REPLENISHMENT, REPROCESSING, LOSS, REUPTAKE = 5.05, 66.3, 2500.0, 6580.0  # y, x, l, r
PERMEABILITY, A, B = 2000.0, 5.0, 300.0  # g
FIRING = 50_000.0  # h
NUM_FIBRES = 40  # bits of a word
REST = RATE // 1000  # steps


class HairCells:
    """Cells at rest; they take one segment after another.

    Args:
        num_channels: Number of cells.
    """

    def __init__(self, num_channels: int) -> None:
        open_at_rest = PERMEABILITY * A / (A + B)
        lost = LOSS + REUPTAKE
        cleft = REPLENISHMENT * open_at_rest / (LOSS * open_at_rest + REPLENISHMENT * lost)
        levels = np.array([cleft * lost / open_at_rest, cleft, cleft * REUPTAKE / REPROCESSING], np.float32)
        self.free, self.cleft, self.returning = np.repeat(levels[:, None], num_channels, axis=1)

    def drop(self, channels: NDArray[np.int64]) -> None:
        """Go on without some cells."""
        levels = np.delete([self.free, self.cleft, self.returning], channels, axis=1)
        self.free, self.cleft, self.returning = levels

    def firing_probability(self, velocity: Floats) -> Floats:
        """Chance of a rested fibre to fire in a step, given the velocity, both ``(T, N)``; in its place."""
        dt = np.float32(1 / RATE)
        opened = np.maximum(velocity + np.float32(A), 0)
        opened *= PERMEABILITY * dt / (opened + np.float32(B))
        kept = 1 - REPLENISHMENT * dt - opened
        # scaled, so that what one pool loses is what the next one gets: REUPTAKE and REPROCESSING per step
        scale = np.float32(REUPTAKE * REPROCESSING) * dt * dt
        opened *= scale
        free, cleft = self.free, self.cleft * scale
        returned = self.returning * REPROCESSING * dt
        released = np.empty_like(free)
        # whole rows: a number alone is made an array of in every step
        supply, back, left = (
            np.full_like(free, rate)
            for rate in (REPLENISHMENT * dt, 1 - REPROCESSING * dt, 1 - (LOSS + REUPTAKE) * dt)
        )
        for leaves, stays, following in zip(opened, kept, velocity, strict=True):  # a step of Euler's each
            np.multiply(free, leaves, out=released)
            np.multiply(free, stays, out=free)
            np.add(free, returned, out=free)
            np.add(free, supply, out=free)
            np.multiply(returned, back, out=returned)
            np.add(returned, cleft, out=returned)
            np.multiply(cleft, left, out=following)
            np.add(following, released, out=following)
            cleft = following
        self.free, self.cleft, self.returning = free, cleft / scale, returned / (REPROCESSING * dt)
        velocity *= FIRING * dt / scale
        return velocity


class Fibres:
    """Forty fibres a channel, one bit of a word each, of recordings side by side.

    Args:
        num_channels: Number of channels of a recording.
        random: Where the chances of each come from.
    """

    def __init__(self, num_channels: int, random: list[np.random.Generator]) -> None:
        self.num_channels, self.random = num_channels, random
        self.fired = np.zeros((REST - 1, len(random) * num_channels), np.uint64)

    def drop(self, channels: NDArray[np.int64]) -> None:
        """Go on without the recordings of these channels."""
        self.fired = np.delete(self.fired, channels, axis=1)
        over = set((channels // self.num_channels).tolist())
        self.random = [random for index, random in enumerate(self.random) if index not in over]

    def spikes(self, probability: Floats, lengths: list[int]) -> NDArray[np.uint8]:
        """Number of fibres that fire.

        Args:
            probability: Of each channel's to fire in each step, shape ``(T, recordings N)``.
            lengths: Steps of each recording; later ones draw no chances.
        """
        num_steps, rest = len(probability), REST - 1
        words = np.zeros((rest + num_steps, probability.shape[1]), np.uint64)
        words[:rest] = self.fired
        for index, (random, length) in enumerate(zip(self.random, lengths, strict=True)):
            mine = slice(index * self.num_channels, (index + 1) * self.num_channels)
            words[rest : rest + length, mine] = _draw(probability[:length, mine], random)
        # a window of REST - 1 steps is the end of one block and the start of the next
        for block in range(rest, len(words), rest):
            _let_rest(words[block - rest : block], words[block : block + rest])
        self.fired = words[num_steps:]
        number: NDArray[np.uint8] = np.bitwise_count(words[rest:])
        return number


def _let_rest(earlier: NDArray[np.uint64], now: NDArray[np.uint64]) -> None:
    """Silence what fired in the window before, or earlier in this one, less than a rest ago."""
    fired = np.zeros_like(earlier)  # in this step of the window before, or in a later one
    fired[-1] = earlier[-1]
    for step in range(len(earlier) - 2, -1, -1):
        np.bitwise_or(fired[step + 1], earlier[step], out=fired[step])
    now &= np.invert(fired[: len(now)], out=fired[: len(now)])
    rested = np.full_like(now[0], -1 % 2**64)
    for words in now:
        np.bitwise_and(words, rested, out=words)
        np.bitwise_xor(rested, words, out=rested)


def _draw(probability: Floats, random: np.random.Generator) -> NDArray[np.uint64]:
    """Which fibres would fire if they were rested, as bits, ``(T, N)``.

    The events of 40 fibres are those of a Poisson process, each given to a fibre by chance: two that meet
    in one fibre and step are one, which makes the chance of a fibre ``1 - exp(-rate) = probability``.
    """
    shape, probability = probability.shape, probability.ravel()
    uniform, words = random.random(probability.size, np.float32), np.zeros(probability.size, np.uint64)
    at = np.flatnonzero(uniform > _power_40(1 - probability))
    chance = 1 - uniform[at].astype(np.float64)  # never 0, or there were no end of events
    rate = -NUM_FIBRES * np.log1p(-probability[at].astype(np.float64))
    number, term = 1, np.exp(-rate)
    more = 1 - term  # probability of at least ``number`` events
    while len(at):
        fibre = random.integers(NUM_FIBRES, size=len(at), dtype=np.uint8)
        words[at] |= np.uint64(1) << fibre.astype(np.uint64)
        term = term * rate / number
        more = more - term
        kept = chance < more
        at, rate, chance, term, more = at[kept], rate[kept], chance[kept], term[kept], more[kept]
        number += 1
    return words.reshape(shape)


def _power_40(x: Floats) -> Floats:
    """``x ** NUM_FIBRES``, ten times as fast, in its place."""
    for _ in range(3):
        np.square(x, out=x)
    x32 = np.square(x)
    np.square(x32, out=x32)
    x *= x32
    return x
