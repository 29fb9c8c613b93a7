"""What a run came to: one line to read, one file to collect."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from lit_delays.atomic_files import write_atomic
from lit_delays.errors import InputError
from lit_delays.security.yaml_guard import read_text
from lit_delays.training.runs import RESULT


@dataclass(frozen=True, kw_only=True)
class Result:
    """Accuracy of a run on its test set.

    Args:
        accuracy: Share of samples (or of labelled steps) classified right, in [0, 1]; of forecasts the
            normalised mean squared error, at least 0.
        num_samples: Samples in the test set.
        epoch: Epoch of the checkpoint, counted from 1.
        num_epochs: Epochs of the run.
        selection: How that epoch was chosen.
        num_parameters: Learned numbers: weights, delays, norms.
        minutes: Time that training took.
        last_accuracy: Accuracy at the last epoch, which nothing chose: unbiased, and comparable with the
            paper protocol's.
        model: Name of the model, where an overlay under ``configs/models`` gave one.
        task: What was asked of the network.
        metric: Short name of what ``accuracy`` is: ``acc``, or ``nmse``.
        padding: Whether steps behind the end of a sample were ``ignored``, or data, as in the ``paper``.
    """

    accuracy: float
    num_samples: int
    epoch: int
    num_epochs: int
    selection: str
    num_parameters: int
    minutes: float | None = None
    last_accuracy: float | None = None
    model: str | None = None
    task: str = "ClassPerSequence"
    metric: str = "acc"
    padding: str = "ignored"

    def __str__(self) -> str:
        what = f"test accuracy {self.accuracy:.2%}" if self.metric == "acc" else f"test {self.shown}"
        known = f"95 % interval {self.shown_interval}, " if self.has_interval else ""
        return (
            f"{what} ({known}{self.num_samples} samples), epoch {self.epoch} of {self.num_epochs}, chosen by"
            f" {self.selection}"
        )

    @property
    def shown(self) -> str:
        """Its score, for tables."""
        if self.metric == "acc":
            return f"{self.accuracy:.1%}"
        return f"{self.metric.upper()} {self.accuracy:.4f}"

    @property
    def has_interval(self) -> bool:
        """Whether samples are right or wrong, each of them: steps of one sample hang together."""
        return self.metric == "acc" and self.task != "ClassPerStep"

    @property
    def shown_interval(self) -> str:
        """95 % confidence interval of its accuracy, for tables."""
        if not self.has_interval:
            return ""
        low, high = interval(self.accuracy, self.num_samples)
        return f"{low:.1%} to {high:.1%}"

    def save(self, run_dir: Path) -> None:
        """Write ``result.json``, the mark of a finished run, into its folder; whole, or not at all."""
        write_atomic(run_dir / RESULT, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, run_dir: Path) -> "Result":
        """Read ``result.json`` from the folder of a run.

        Raises:
            InputError: If it is none.
        """
        try:
            result = cls(**json.loads(read_text(run_dir / RESULT)))
            result._check()
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{run_dir / RESULT} is no result ({error}); repeat its run.") from error
        return result

    def _check(self) -> None:
        """Refuse values that no run could have."""
        shares, counts = (self.accuracy, self.last_accuracy), (self.num_samples, self.epoch, self.num_epochs)
        texts, minutes = (self.selection, self.model or ""), self.minutes or 0
        most = 1 if self.metric == "acc" else math.inf
        if not all(share is None or 0 <= share <= most for share in shares):
            raise ValueError(f"accuracies must be in [0, 1], got {shares}")
        if not all(type(count) is int and count >= 1 for count in (*counts, self.num_parameters)):
            raise ValueError(f"numbers must be whole, at least 1, got {counts}, {self.num_parameters!r:.80}")
        if not all(isinstance(text, str) for text in texts) or not 0 <= minutes < math.inf:
            raise ValueError(f"`selection` must be text, `minutes` at least 0, got {texts}, {minutes!r:.80}")


def interval(accuracy: float, num_samples: int) -> tuple[float, float]:
    """95 % confidence interval of an accuracy, both ends in [0, 1].

    Args:
        accuracy: Share of right answers, in [0, 1].
        num_samples: Number of answers, at least 1.

    Source:
        Wilson (1927), the score interval: sound near 0 and 1, where the usual one leaves the range.

    Example:
        >>> low, high = interval(0.9384, 2264)
        >>> round(low, 3), round(high, 3)
        (0.928, 0.948)
    """
    z = 1.96
    spread = z * math.sqrt(accuracy * (1 - accuracy) / num_samples + z**2 / (4 * num_samples**2))
    centre, scale = accuracy + z**2 / (2 * num_samples), 1 + z**2 / num_samples
    return max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)


def model_name(configs: Iterable[object]) -> str | None:
    """Name of the model that these config files make: the stem of the overlay under ``configs/models``.

    Example:
        >>> model_name(["configs/shd.yaml", "configs/models/no_delays.yaml"])
        'no_delays'
    """
    paths = [Path(str(config)) for config in configs]
    return next((path.stem for path in reversed(paths) if "configs/models/" in path.as_posix()), None)
