"""Which samples are held out for validation: pure functions of the seed.

Letter: S samples.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lit_delays.data.samples import Ints
from lit_delays.errors import InputError

ValidationName = Literal["speakers", "random", "paper"]


def random_split(num_samples: int, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Samples to train on and samples held out, both ascending; at least one of each.

    Args:
        num_samples: Number of samples, at least 2.
        fraction: Share to hold out, in (0, 1).
        seed: Of the drawing.

    Example:
        >>> train, held_out = random_split(num_samples=10, fraction=0.2, seed=0)
        >>> len(train), len(held_out)
        (8, 2)
    """
    num_held_out = min(max(round(fraction * num_samples), 1), num_samples - 1)
    order = np.random.default_rng(seed).permutation(num_samples)
    return np.sort(order[num_held_out:]), np.sort(order[:num_held_out])


def speaker_split(speakers: Ints, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Samples to train on and samples held out, with no speaker in both.

    Args:
        speakers: Who spoke each sample, shape ``(S,)``; at least two different ones.
        fraction: Least share of the samples to hold out, in (0, 1). Less where one speaker would be left
            with nothing to train on.
        seed: Of the drawing of speakers.

    Example:
        >>> speaker_split(np.array([4, 4, 9, 9, 9]), fraction=0.1, seed=0)
        (array([2, 3, 4]), array([0, 1]))
    """
    names, sizes = np.unique(speakers, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    enough = np.searchsorted(np.cumsum(sizes[order]), fraction * len(speakers)) + 1
    held_out = np.isin(speakers, names[order[: min(int(enough), len(names) - 1)]])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def in_time(num_points: int, start: float, end: float) -> slice:
    """A part of a series, from one share of its points to another: later ones are never in an earlier part.

    Example:
        >>> in_time(10, 0.6, 0.8)
        slice(6, 8, None)
    """
    return slice(round(start * num_points), round(end * num_points))


@dataclass(frozen=True)
class HoldOut:
    """What of the training set is kept for validation.

    Attributes:
        rule: Whole ``speakers``, ``random`` samples, or nothing, as validation has a ``file`` of its own or
            takes the test set like the ``paper``.
        fraction: Share of the samples, in (0, 1); for speakers, the least share.
        seed: Of the drawing.
    """

    rule: ValidationName | Literal["file"]
    fraction: float
    seed: int

    def split(self, num_samples: int, speakers: Ints | None) -> tuple[Ints, Ints]:
        """Samples to train on and samples held out.

        Raises:
            InputError: If there are too few samples, or speakers, to have some on both sides.
        """
        if self.rule in ("file", "paper"):
            return np.arange(num_samples), np.arange(0)
        if self.rule == "random":
            if num_samples < 2:
                raise InputError(f"a random split needs at least 2 training samples, got {num_samples}.")
            return random_split(num_samples, self.fraction, self.seed)
        found = 0 if speakers is None else len(np.unique(speakers))
        if speakers is None or found < 2:
            raise InputError(
                "`--data.validation=speakers` needs two or more speakers in `extra/speaker`, got"
                f" {found or 'none'}; give --data.validation=random."
            )
        return speaker_split(speakers, self.fraction, self.seed)

    def describe(self, num_samples: int, speakers: Ints | None) -> str:
        """What a network is chosen by, in words for tables."""
        if self.rule == "speakers":
            _, held_out = self.split(num_samples, speakers)
            assert speakers is not None
            names = np.unique(speakers[held_out]).tolist()
            return f"held-out speaker{'s' if len(names) > 1 else ''} {', '.join(map(str, names))}"
        return {
            "file": "validation file",
            "paper": "test set (paper protocol)",
            "random": f"random {100 * self.fraction:g} % of train",
        }[self.rule]
