"""Which data set it is, and where its samples come from. A new kind of data set is one more branch here."""

from dataclasses import dataclass
from pathlib import Path

from lit_delays.audio.mel import MelName
from lit_delays.data.arrays import SpikeArrays
from lit_delays.data.features import FeatureArrays
from lit_delays.data.files import open_spikes
from lit_delays.data.hashes import sha256_of
from lit_delays.data.patterns import make_patterns
from lit_delays.data.sources import SOURCES, Split, locate
from lit_delays.data.speech_commands import digest_of_list, open_speech_commands
from lit_delays.errors import InputError

NUM_PATTERNS: dict[Split, int] = {"train": 2000, "test": 500}
PATTERN_SEEDS: dict[Split, int] = {"train": 0, "test": 1}

Samples = SpikeArrays | FeatureArrays


@dataclass(frozen=True)
class Choice:
    """A data set, as the options of ``SpikeData`` name it.

    Attributes:
        dataset: ``patterns``, ``gsc``, ``files``, or a name in ``SOURCES``.
        data_dir: Folder of the public data sets' files.
        own_files: Files of one's own, by split.
        num_units: Channels in files of spikes.
        mel: Front end of ``gsc``.
    """

    dataset: str
    data_dir: Path
    own_files: dict[Split, Path]
    num_units: int
    mel: MelName

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are."""
        if self.dataset == "patterns":
            return ("train", "test")
        if self.dataset == "gsc":
            return ("train", "val", "test")
        return tuple(self.own_files) or tuple(SOURCES[self.dataset].files)

    def path(self, split: Split) -> Path:
        """The file of a split, of those that come in files."""
        if not self.own_files:
            return locate(self.dataset, split, self.data_dir)
        path = self.own_files[split]
        if not path.is_file():
            raise InputError(f"cannot find {path.absolute()}; check `--data.{split}_file`.")
        return path

    def digest(self, split: Split) -> str:
        """SHA-256 of a split: of its file, or of the list of its recordings."""
        if self.dataset == "gsc":
            return digest_of_list(self.data_dir, split)
        return sha256_of(self.path(split))

    def open(self, split: Split) -> Samples:
        """The samples of a split: made, or mapped from their cache, which is made where there is none."""
        if self.dataset == "patterns":
            return make_patterns(NUM_PATTERNS[split], seed=PATTERN_SEEDS[split])
        if self.dataset == "gsc":
            return open_speech_commands(self.data_dir, split, self.mel)
        return open_spikes(self.path(split), self.num_units)
