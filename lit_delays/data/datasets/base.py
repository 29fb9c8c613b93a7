"""What a data set must be: a number of inputs, splits, and the samples of each.

One from outside is one class, chosen by its path; see ``docs/extend.md``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from lit_delays.data.binning import BinningName
from lit_delays.data.samples import Samples
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError
from lit_delays.time_grid import TimeGrid


def require(option: str, value: float, holds: bool, rule: str) -> None:
    """Refuse the value of an option that breaks its rule."""
    if not holds:
        raise InputError(f"`--data.{option}` must be {rule}, got {value:g}.")


class Dataset(ABC):
    """A labelled data set; its options are keyword arguments of ``__init__``, each with a plain value.

    Attributes:
        num_inputs: Inputs of a network that learns it.
        splits: Those that there are; without ``val``, a part of ``train`` is held out for validation.
        num_units: Channels of a recording; None where inputs are no spikes of channels.
        channels_per_bin: Neighbouring channels of a recording that are merged into one input.
        binning: How the times of its spikes are cut into steps.
        scale: Mean and standard deviation of every channel, where values are taken in deviations from the
            mean; a network keeps them.
        crossing: Distance in deviations between two levels, where inputs are spikes at each that is crossed.
        task: What is asked of a network: a class of :mod:`lit_delays.tasks`, or the path of another one.
        names_speakers: Whether samples must name who spoke them. If they need not and do not, validation
            by speakers means a random share.
    """

    num_inputs: int
    splits: Sequence[Split] = ("train", "test")
    num_units: int | None = None
    channels_per_bin: int = 1
    binning: BinningName = "uniform"
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    crossing: float | None = None
    task: str = "ClassPerSequence"
    names_speakers: bool = False

    def prepare(self) -> None:  # noqa: B027  (most have nothing to prepare)
        """Do what takes long and can be kept, such as packing files: called once a machine."""

    @abstractmethod
    def open(self, split: Split) -> Samples:
        """The samples of a split: ``SpikeArrays`` or ``RealArrays``, in memory or mapped from disk."""

    def open_file(self, path: Path) -> Samples:
        """The samples of another file, for ``predict``.

        Raises:
            InputError: If there are no files of this data set's kind.
        """
        raise InputError(
            f"`--data.predict_file` must be a file of spikes, which are no inputs for {type(self).__name__};"
            " leave it out to predict the test set."
        )

    def digest(self, split: Split) -> str | None:
        """SHA-256 of what a split is made of, which a resumed run is held to; None for nothing to hold to."""
        return None

    def check(self, grid: TimeGrid) -> None:  # noqa: B027
        """Refuse time steps that do not suit the data, with an ``InputError``."""

    def name_of(self, split: Split) -> str:
        """What messages call a split: its file, where it is one."""
        return f"{type(self).__name__} ({split})"
