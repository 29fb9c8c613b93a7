"""SpikeData, the LightningDataModule: from a data set to batches."""

import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader
from typing_extensions import override

from lit_delays.components import Factory
from lit_delays.data.augmentations import AugmentConfig, augmented, generator_of
from lit_delays.data.batches import Batch
from lit_delays.data.binning import Binning
from lit_delays.data.class_names import listed
from lit_delays.data.datasets import SHD, Dataset
from lit_delays.data.datasets.base import require
from lit_delays.data.notes import notes_on_classes, notes_on_times
from lit_delays.data.sampler import EpochSampler
from lit_delays.data.samples import UNKNOWN, Batches, Ints, Samples
from lit_delays.data.splits import HoldOut, ValidationName
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.tasks import task_named
from lit_delays.time_grid import TimeGrid

Loader = DataLoader[Batch]


class SpikeData(pl.LightningDataModule):
    """Batches of a data set.

    HDF5 files are checked and packed once, into ``$LIT_DELAYS_CACHE`` (default ``~/.cache/lit_delays``).

    Args:
        dataset: ``SHD``, ``SSC``, ``GSC``, your own ``SpikeFiles``, generated ``Patterns``, or the class
            path of a data set of your own.
        predict_file: What ``predict`` answers instead of the test set; its classes may be unknown.
        time_step_ms: Length of a time step, in ms, above 0.
        clip_ms: Length kept of every sample, in ms from its first spike; later spikes are dropped. All of it
            by default.
        padding: Length of a batch: its ``longest`` sample, as in the paper, or ``fixed`` to ``clip_ms``.
        validation: Without a validation set: hold out whole ``speakers`` of the training set, or ``random``
            samples of it, or validate on the test set like the ``paper``.
        val_fraction: Share of the training samples to hold out, in (0, 1); for speakers, the least share.
        split_seed: Of the drawing of the samples or speakers to hold out, of the epochs' order, and of the
            augmentations; at least 0.
        batch_size: Samples a batch and process, at least 1.
        num_workers: Processes that prepare batches; 0 for the main one, which is enough.
        augment: What is done to the batches of training; nothing by default.
        task: What is asked of the network, a class of :mod:`lit_delays.tasks`; null for what the data set
            asks.
    """

    def __init__(
        self,
        dataset: Callable[[], Dataset] = SHD,
        predict_file: str | None = None,
        time_step_ms: float = 10.0,
        clip_ms: float | None = None,
        padding: Literal["longest", "fixed"] = "longest",
        validation: ValidationName = "speakers",
        val_fraction: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 256,
        num_workers: int = 0,
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008  (frozen)
        task: str | None = None,
    ) -> None:
        super().__init__()
        require("time_step_ms", time_step_ms, 0 < time_step_ms < np.inf, "above 0 ms")
        require("val_fraction", val_fraction, 0 < val_fraction < 1, "between 0 and 1")
        require("split_seed", split_seed, split_seed >= 0, "at least 0")
        require("batch_size", batch_size, batch_size >= 1, "at least 1")
        require("num_workers", num_workers, num_workers >= 0, "at least 0")
        grid = TimeGrid(time_step_ms)
        if clip_ms is not None:
            grid.require("--data.clip_ms", clip_ms)
        elif padding == "fixed":
            raise InputError("`--data.padding=fixed` needs `--data.clip_ms`, the length to pad to, in ms.")
        self._chosen = Factory.of(dataset)
        self.dataset = self._chosen()
        self.dataset.check(grid)
        self.task_name = task or self.dataset.task
        self._task = task_named(self.task_name)
        self._check_targets(augment)
        self.num_inputs, self.time_step_ms = self.dataset.num_inputs, time_step_ms
        augment.check(grid, self.num_inputs)
        self.predict_file = Path(predict_file).expanduser() if predict_file else None
        self.split_seed, self.augment = split_seed, augment
        self.batch_size, self.num_workers = batch_size, num_workers
        self.binning = Binning(
            rule=self.dataset.binning,
            time_step_ms=time_step_ms,
            num_inputs=self.num_inputs,
            channels_per_bin=self.dataset.channels_per_bin,
            clip_ms=clip_ms,
            fixed=padding == "fixed",
        )
        self._validation, self._val_fraction = validation, val_fraction
        self._opened: dict[Split, Samples] = {}

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by label; their numbers where the training set names none."""
        names = self._open("train").names
        if self._task.has_classes and len(names) < 2:
            raise InputError(
                f"{self.dataset.name_of('train')}: `labels` must be of two or more classes, got {len(names)}"
                f" ({listed(names)}); there is nothing to learn from one."
            )
        return names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def num_test_samples(self) -> int:
        """Number of samples in the test set."""
        return len(self._open("test"))

    @property
    def interface(self) -> Interface:
        """What a network that learns from these data must keep to be of use elsewhere."""
        return Interface(
            class_names=self.class_names,
            num_units=self.dataset.num_units,
            channels_per_bin=self.dataset.channels_per_bin,
            binning=self.dataset.binning,
            clip_ms=self.binning.clip_ms,
            task=self.task_name,
            scale=self.dataset.scale,
            crossing=self.dataset.crossing,
            dataset=self._chosen.plain,
        )

    @property
    def selection(self) -> str:
        """What a network is chosen by, in words for tables."""
        train = self._open("train")
        return self.hold_out.describe(len(train), train.speakers)

    @cached_property
    def hold_out(self) -> HoldOut:
        """What of the training set is kept for validation."""
        rule: ValidationName | Literal["file"] = self._validation
        if "val" in self.dataset.splits:
            rule = "file"
        elif rule == "speakers" and not self.dataset.names_speakers and self._open("train").speakers is None:
            rule = "random"
        return HoldOut(rule, self._val_fraction, self.split_seed)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every split that has one."""
        digests = {split: self.dataset.digest(split) for split in self.dataset.splits}
        return {split: digest for split, digest in digests.items() if digest is not None}

    @override
    def prepare_data(self) -> None:
        """Let the data set do what takes long, such as packing files, in one process a machine."""
        self.dataset.prepare()

    @override
    def setup(self, stage: str | None = None) -> None:
        """Open all splits: a wrong test file shows before the training, not after it."""
        for split in self.dataset.splits:
            self._open(split)
        _ = self.class_names, self._held_out  # so that what is wrong with them shows now

    @override
    def train_dataloader(self) -> Loader:
        overfits = getattr(self.trainer, "overfit_batches", 0) > 0  # on the same batches each time
        loader = self._loader(self._open("train"), self._held_out[0], shuffle=not overfits)
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
        samples = self.dataset.open_file(self.predict_file)
        _check_classes(samples, self.class_names, str(self.predict_file))
        _say(notes_on_times(samples, str(self.predict_file), self.time_step_ms))
        return self._loader(samples)

    @override
    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment a batch of training; what is drawn is a function of its place, so a resumed run agrees."""
        if self.trainer is None or not (self.trainer.training and self.augment.is_on):
            return batch
        place = (self.trainer.current_epoch, self.trainer.fit_loop.batch_idx + 1, self.trainer.global_rank)
        return augmented(
            batch.counts(),
            batch.labels,
            self.augment,
            num_classes=self.num_classes,
            time_step_ms=self.time_step_ms,
            generator=generator_of(self.split_seed, *place, device=batch.labels.device),
            lengths=batch.lengths,
        )

    def _check_targets(self, augment: AugmentConfig) -> None:
        """Refuse to change inputs where the targets would have to follow and cannot."""
        values, per_step = not self._task.has_classes, self._task.per_step
        for option, cannot, why in (
            ("cutmix_probability", values or per_step, "mixed"),
            ("time_stretch", per_step, "stretched"),
            ("scale", values, "scaled"),
        ):
            amount = getattr(augment, option)
            rule = f"0 for {self._task.__name__}, whose targets cannot be {why}"
            require(f"augment.{option}", amount, amount == 0 or not cannot, rule)

    def _loader(self, samples: Samples, indices: Ints | None = None, shuffle: bool = False) -> Loader:
        batches = Batches(samples, np.arange(len(samples)) if indices is None else indices, self.binning)
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
            raise InputError(f"{self.dataset.name_of('train')}: {error}") from error

    def _open(self, split: Split) -> Samples:
        if split not in self._opened:
            samples = self.dataset.open(split)
            if (unknown := samples.labels == UNKNOWN).any():
                raise InputError(
                    f"{self.dataset.name_of(split)}: `labels` of sample {int(unknown.argmax())} must be"
                    f" known, got {UNKNOWN}; give the file as --data.predict_file, to `predict`."
                )
            if samples.is_silent:
                raise InputError(
                    f"{self.dataset.name_of(split)}: samples must have inputs, got {len(samples):,} without a"
                    " single spike or value; there is nothing to learn."
                )
            if split != "train":
                _check_classes(samples, self.class_names, self.dataset.name_of(split))
            self._opened[split] = samples
            self._say_what_is_odd(split)
        return self._opened[split]

    def _say_what_is_odd(self, split: Split) -> None:
        samples, where = self._opened[split], self.dataset.name_of(split)
        _say(notes_on_times(samples, where, self.time_step_ms))
        if split == "train":
            _say(notes_on_classes(samples, where))


@rank_zero_only
def _say(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr, flush=True)


def _check_classes(samples: Samples, names: tuple[str, ...], where: str) -> None:
    """A split's classes are those of the training set; ``where`` is what messages call the split."""
    if samples.class_names and samples.class_names != names:
        raise InputError(
            f"{where}: `extra/keys` must name the classes of the training file,"
            f" {listed(names)}, got {listed(samples.class_names)}."
        )
    if (largest := int(samples.labels.max())) >= len(names):
        raise InputError(
            f"{where}: `labels` must be below {len(names)}, the training file's classes, got {largest}."
        )
