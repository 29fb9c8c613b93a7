"""Spiking Heidelberg Digits."""

import shlex
from pathlib import Path

from typing_extensions import override

from lit_delays.data.binning import BinningName
from lit_delays.data.datasets.spike_recordings import SpikeRecordings
from lit_delays.data.storage.sources import SOURCES, Split
from lit_delays.errors import InputError


class SHD(SpikeRecordings):
    """Spoken digits in two languages, 20 classes, as spikes of 700 channels of an artificial inner ear.

    Args:
        data_dir: Folder of its files.
        channels_per_bin: Neighbouring channels merged into one input, at least 1.
        binning: ``uniform`` time steps, or the ``paper``'s, whose next step starts at the next spike.

    Source:
        Cramer et al. (2020), arXiv 1910.07407.
    """

    source = "shd"

    def __init__(
        self, *, data_dir: str = "data", channels_per_bin: int = 5, binning: BinningName = "uniform"
    ) -> None:
        super().__init__(num_units=700, channels_per_bin=channels_per_bin, binning=binning)
        self.folder = Path(data_dir).expanduser().absolute()
        self.splits = tuple(SOURCES[self.source].files)

    @override
    def path(self, split: Split) -> Path:
        path = self.folder / SOURCES[self.source].files[split]
        if not path.is_file():
            command = f"python -m lit_delays data fetch {self.source} --data-dir"
            raise InputError(f"cannot find {path}; get it with: {command} {shlex.quote(str(self.folder))}")
        return path
