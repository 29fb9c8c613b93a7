"""Your own files of spikes."""

from pathlib import Path

from typing_extensions import override

from lit_delays.data.binning import BinningName
from lit_delays.data.datasets.spike_recordings import SpikeRecordings
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError


class SpikeFiles(SpikeRecordings):
    """Your own HDF5 files in SHD's layout.

    Args:
        train_file: File to train on.
        val_file: File to validate on; without one, a part of the training file is held out.
        test_file: File to test on.
        num_units: Channels in the files, 1 to 65536.
        channels_per_bin: Neighbouring channels merged into one input, at least 1.
        binning: ``uniform`` time steps, or the ``paper``'s, whose next step starts at the next spike.
    """

    def __init__(
        self,
        *,
        train_file: str | None = None,
        val_file: str | None = None,
        test_file: str | None = None,
        num_units: int = 700,
        channels_per_bin: int = 5,
        binning: BinningName = "uniform",
    ) -> None:
        super().__init__(num_units=num_units, channels_per_bin=channels_per_bin, binning=binning)
        given: dict[Split, str | None] = {"train": train_file, "val": val_file, "test": test_file}
        self.files = {split: Path(file).expanduser() for split, file in given.items() if file}
        self.splits = tuple(self.files)
        for split in ("train", "test"):
            if split not in self.files:
                raise InputError(
                    f"your own files need `--data.dataset.{split}_file`; give the path of an HDF5 file."
                )

    @override
    def path(self, split: Split) -> Path:
        path = self.files[split]
        if not path.is_file():
            raise InputError(f"cannot find {path.absolute()}; check `--data.dataset.{split}_file`.")
        return path
