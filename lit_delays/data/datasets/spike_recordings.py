"""Spikes of many channels in HDF5 files of SHD's layout: what public data sets and your own files share."""

import math
from abc import abstractmethod
from pathlib import Path

from typing_extensions import override

from lit_delays.data.binning import BinningName
from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.data.storage.hashes import sha256_of
from lit_delays.data.storage.sources import Split
from lit_delays.data.storage.spike_files import open_spikes


class SpikeRecordings(Dataset):
    """Files of spikes, a file a split, checked and packed once into a cache.

    Args:
        num_units: Channels in the files, 1 to 65536.
        channels_per_bin: Neighbouring channels merged into one input, at least 1.
        binning: ``uniform`` time steps, or the ``paper``'s, whose next step starts at the next spike.
    """

    names_speakers = True

    def __init__(self, *, num_units: int, channels_per_bin: int, binning: BinningName) -> None:
        require("dataset.channels_per_bin", channels_per_bin, channels_per_bin >= 1, "at least 1")
        require("dataset.num_units", num_units, 1 <= num_units <= 2**16, "from 1 to 65536")
        self.channels_per_bin, self.binning = channels_per_bin, binning
        self.num_units, self.num_inputs = num_units, math.ceil(num_units / channels_per_bin)

    @abstractmethod
    def path(self, split: Split) -> Path:
        """File of a split.

        Raises:
            InputError: If it is not there; says what to do.
        """

    @override
    def prepare(self) -> None:
        for split in self.splits:
            self.open(split)

    @override
    def open(self, split: Split) -> SpikeArrays:
        return self.open_file(self.path(split))

    @override
    def open_file(self, path: Path) -> SpikeArrays:
        assert self.num_units is not None
        return open_spikes(path, self.num_units)

    @override
    def digest(self, split: Split) -> str:
        return sha256_of(self.path(split))

    @override
    def name_of(self, split: Split) -> str:
        return str(self.path(split))
