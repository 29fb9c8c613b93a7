"""SpikeData, the LightningDataModule: from the name of a data set to batches of events."""

import math
from functools import cached_property
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader
from typing_extensions import override

from lit_delays.audio.mel import NUM_BANDS, STEP_MS, MelName
from lit_delays.data.arrays import Ints, SpikeArrays
from lit_delays.data.augmentations import AugmentConfig, CountBatch, augmented, generator_of
from lit_delays.data.checks import check_classes, check_known, check_lengths, check_own_files, require
from lit_delays.data.choice import Choice, Samples
from lit_delays.data.events import Binning, EventBatch, EventBatches
from lit_delays.data.features import FeatureBatch, FeatureBatches
from lit_delays.data.files import open_spikes
from lit_delays.data.patterns import NUM_CHANNELS
from lit_delays.data.sampler import EpochSampler
from lit_delays.data.sources import Split
from lit_delays.data.spikes import BinningName
from lit_delays.data.splits import HoldOut, ValidationName
from lit_delays.errors import InputError

Loader = DataLoader[EventBatch | FeatureBatch]


class SpikeData(pl.LightningDataModule):
    """Spike trains of a public data set, of your own files, or generated.

    HDF5 files are checked and packed once, into ``$LIT_DELAYS_CACHE`` (default ``~/.cache/lit_delays``).

    Args:
        dataset: Spiking Heidelberg Digits, Spiking Speech Commands, Google Speech Commands v2 as mel
            spectrograms of 140 bands, your own ``files``, or generated ``patterns`` of 20 channels. These and
            ``gsc`` take no notice of ``channels_per_bin``, ``num_units`` and ``binning``.
        data_dir: Folder of the public data sets' files.
        train_file: Your own HDF5 file in SHD's layout, instead of ``dataset``; needs ``test_file``.
        val_file: Your own validation file.
        test_file: Your own test file.
        predict_file: What ``predict`` answers instead of the test set; its classes may be unknown.
        mel: Front end of ``gsc``: a ``sound`` one, or the paper's, with 53 empty bands, for ``reference``.
        time_step_ms: Length of a time step, in ms, above 0.
        channels_per_bin: Neighbouring channels merged into one input, at least 1.
        num_units: Channels in the files, 1 to 65536.
        binning: ``uniform`` time steps, or the ``paper``'s, whose next step starts at the next spike.
        clip_ms: Length kept of every sample, in ms from its first spike; later spikes are dropped. All of it
            by default.
        padding: Length of a batch: its ``longest`` sample, as in the paper, or ``fixed`` to ``clip_ms``.
        validation: Without a validation file: hold out whole ``speakers`` of the training set, or ``random``
            samples of it, or validate on the test set like the ``paper``.
        val_fraction: Share of the training samples to hold out, in (0, 1); for speakers, the least share.
        split_seed: Of the drawing of the samples or speakers to hold out, of the epochs' order, and of the
            augmentations; at least 0.
        batch_size: Samples a batch and process, at least 1.
        num_workers: Processes that prepare batches; 0 for the main one, which is enough.
        augment: What is done to the batches of training; nothing by default.
    """

    def __init__(
        self,
        dataset: Literal["patterns", "shd", "ssc", "gsc", "files"] = "shd",
        data_dir: str = "data",
        train_file: str | None = None,
        val_file: str | None = None,
        test_file: str | None = None,
        predict_file: str | None = None,
        mel: MelName = "sound",
        time_step_ms: float = 10.0,
        channels_per_bin: int = 5,
        num_units: int = 700,
        binning: BinningName = "uniform",
        clip_ms: float | None = None,
        padding: Literal["longest", "fixed"] = "longest",
        validation: ValidationName = "speakers",
        val_fraction: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 256,
        num_workers: int = 0,
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008  (frozen)
    ) -> None:
        super().__init__()
        given: dict[Split, str | None] = {"train": train_file, "val": val_file, "test": test_file}
        own_files = {split: Path(file).expanduser() for split, file in given.items() if file}
        self.dataset: str = "files" if own_files else dataset
        self.choice = Choice(self.dataset, Path(data_dir), own_files, num_units, mel)
        self.predict_file = Path(predict_file).expanduser() if predict_file else None
        self.split_seed, self.augment = split_seed, augment
        self.batch_size, self.num_workers = batch_size, num_workers
        require("channels_per_bin", channels_per_bin, channels_per_bin >= 1, "at least 1")
        require("num_units", num_units, 1 <= num_units <= 2**16, "from 1 to 65536")
        require("val_fraction", val_fraction, 0 < val_fraction < 1, "between 0 and 1")
        require("split_seed", split_seed, split_seed >= 0, "at least 0")
        require("batch_size", batch_size, batch_size >= 1, "at least 1")
        require("num_workers", num_workers, num_workers >= 0, "at least 0")
        check_lengths(time_step_ms, clip_ms, padding)
        if self.dataset == "files":
            check_own_files(own_files)
        if self.dataset == "gsc":
            require("time_step_ms", time_step_ms, time_step_ms == STEP_MS, f"{STEP_MS:g} ms for gsc")
        is_pattern = self.dataset == "patterns"
        without_file = "random" if is_pattern and validation == "speakers" else validation
        rule = "file" if "val" in self.choice.splits else without_file
        self.hold_out = HoldOut(rule, val_fraction, split_seed)
        fixed_inputs = {"patterns": NUM_CHANNELS, "gsc": NUM_BANDS}
        self.num_inputs = fixed_inputs.get(self.dataset) or math.ceil(num_units / channels_per_bin)
        self.binning = Binning(
            rule="uniform" if is_pattern else binning,
            time_step_ms=time_step_ms,
            num_inputs=self.num_inputs,
            channels_per_bin=1 if is_pattern else channels_per_bin,
            clip_ms=clip_ms,
            fixed=padding == "fixed",
        )
        augment.check(time_step_ms, self.num_inputs)
        self._opened: dict[Split, Samples] = {}

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by label; their numbers where the training file names none."""
        return self._open("train").names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def num_test_samples(self) -> int:
        """Number of samples in the test set."""
        return len(self._open("test"))

    @property
    def selection(self) -> str:
        """What a network is chosen by, in words for tables."""
        train = self._open("train")
        return self.hold_out.describe(len(train), train.speakers)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of the file of every split; the generated patterns have none."""
        return {} if self.dataset == "patterns" else {s: self.choice.digest(s) for s in self.choice.splits}

    @override
    def prepare_data(self) -> None:
        """Check and pack the files, in one process a machine."""
        for split in self.choice.splits:
            self.choice.open(split)

    @override
    def setup(self, stage: str | None = None) -> None:
        """Open all files: a wrong test file shows before the training, not after it."""
        for split in self.choice.splits:
            self._open(split)
        _ = self._held_out  # so that a wrong split shows now

    @override
    def train_dataloader(self) -> Loader:
        loader = self._loader(self._open("train"), self._held_out[0], shuffle=True)
        if self.trainer is not None:
            fit = self.trainer.fit_loop  # of a run that goes on: where it is
            assert isinstance(loader.sampler, EpochSampler)
            epoch = fit.epoch_progress.current.processed  # type: ignore[attr-defined]
            loader.sampler.go_on(epoch, fit.batch_idx + 1 if fit.restarting else 0)
        return loader

    @override
    def val_dataloader(self) -> Loader:
        if self.hold_out.rule == "file":
            return self._loader(self._open("val"))
        if self.hold_out.rule == "paper":
            return self.test_dataloader()
        return self._loader(self._open("train"), self._held_out[1])

    @override
    def test_dataloader(self) -> Loader:
        return self._loader(self._open("test"))

    @override
    def predict_dataloader(self) -> Loader:
        if self.predict_file is None:
            return self.test_dataloader()
        if self.dataset in ("patterns", "gsc"):
            raise InputError(
                f"`--data.predict_file` holds spikes, which a network for {self.dataset} cannot hear."
            )
        arrays = open_spikes(self.predict_file, self.choice.num_units)
        check_classes(arrays, self.class_names, self.predict_file)
        return self._loader(arrays)

    @override
    def on_after_batch_transfer(
        self, batch: EventBatch | FeatureBatch, dataloader_idx: int
    ) -> EventBatch | FeatureBatch | CountBatch:
        """Augment a batch of training; what is drawn is a function of its place, so a resumed run agrees."""
        if self.trainer is None or not (self.trainer.training and self.augment.is_on):
            return batch
        place = (self.trainer.current_epoch, self.trainer.fit_loop.batch_idx + 1, self.trainer.global_rank)
        return augmented(
            batch.counts(),
            batch.labels,
            self.augment,
            num_classes=self.num_classes,
            time_step_ms=self.binning.time_step_ms,
            generator=generator_of(self.split_seed, *place, device=batch.labels.device),
        )

    def _loader(self, arrays: Samples, indices: Ints | None = None, shuffle: bool = False) -> Loader:
        indices = np.arange(len(arrays)) if indices is None else indices
        batches: EventBatches | FeatureBatches
        if isinstance(arrays, SpikeArrays):
            batches = EventBatches(arrays, indices, self.binning)
        else:
            batches = FeatureBatches(arrays, indices, self.binning)
        rank, world_size, on_gpu = 0, 1, False
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            on_gpu = self.trainer.strategy.root_device.type == "cuda"
        sampler = EpochSampler(len(batches), self.batch_size, shuffle, self.split_seed, rank, world_size)
        return DataLoader(
            batches,
            sampler=sampler,
            batch_size=None,  # the sampler hands out whole batches: one gather instead of many
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=on_gpu,
        )

    @cached_property
    def _held_out(self) -> tuple[Ints, Ints]:
        """Places in the training set to train on, and to validate on."""
        train = self._open("train")
        try:
            return self.hold_out.split(len(train), train.speakers)
        except InputError as error:
            raise InputError(f"{self.choice.path('train')}: {error}") from error

    def _open(self, split: Split) -> Samples:
        if split not in self._opened:
            samples = self.choice.open(split)
            if isinstance(samples, SpikeArrays) and self.dataset != "patterns":
                check_known(samples.labels, self.choice.path(split))
                if split != "train":
                    check_classes(samples, self.class_names, self.choice.path(split))
            self._opened[split] = samples
        return self._opened[split]
