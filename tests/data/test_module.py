import re
from functools import partial

import h5py
import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from lit_delays.data.datasets import SHD, SSC, Dataset, Patterns, SpikeFiles
from lit_delays.data.module import SpikeData
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.storage.sources import SOURCES
from lit_delays.errors import InputError
from lit_delays.interface import Interface


def write(path, labels=(0, 1, 0, 1, 0, 1), speakers=(3, 3, 4, 4, 7, 7), keys=(b"no", b"yes")):
    """Sample ``i`` has ``i`` spikes, all of channel ``i``, 10 ms apart."""
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            file.create_dataset(f"spikes/{name}", (len(labels),), h5py.vlen_dtype(kind))
        for index in range(len(labels)):
            file["spikes/times"][index] = np.float16([0, *np.arange(0.015, 1, 0.01)][:index])
            file["spikes/units"][index] = np.full(index, index, np.uint16)
        file["labels"] = labels
        for name, content in (("extra/speaker", speakers), ("extra/keys", keys)):
            if content is not None:
                file[name] = np.array(content)
    return str(path)


@pytest.fixture
def own(tmp_path):
    return {"train_file": write(tmp_path / "train.h5"), "test_file": write(tmp_path / "test.h5")}


def files(own, **options):
    """SpikeData of one's own files; ``own`` and some options are the files', others SpikeData's."""
    of_files = {"channels_per_bin", "num_units", "binning", "val_file"}
    mine = {name: options.pop(name) for name in of_files & options.keys()}
    return SpikeData(partial(SpikeFiles, **own, **mine), **options)


def labels_of(loader):
    return torch.cat([batch.labels for batch in loader]).tolist()


def num_spikes_of(loader):
    return torch.cat([batch.counts().sum(dim=(0, 2)) for batch in loader]).int().tolist()


def test_what_the_network_needs_is_known_before_setup(own):
    data = files(own)
    assert (data.num_inputs, data.num_classes, data.class_names) == (140, 2, ("no", "yes"))
    assert files(own, channels_per_bin=3, num_units=100).num_inputs == 34


def test_generated_patterns_need_no_files():
    data = SpikeData(Patterns)
    data.prepare_data()
    data.setup()
    assert (data.num_inputs, data.num_classes, data.num_test_samples) == (20, 10, 500)
    assert data.selection == "random 10 % of train"
    assert len(labels_of(data.train_dataloader())) + len(labels_of(data.val_dataloader())) == 2000
    assert len(labels_of(data.test_dataloader())) == 500


def notes(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


def test_sound_data_need_no_note(own, tmp_path, capsys):
    SpikeData(Patterns).setup()
    files(own).setup()
    assert notes(capsys) == []


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((0, 3, 0, 3, 1, 1), "1 of its 4 classes (2)"),
        ((1, 2, 1, 2, 1, 2), "1 of its 3 classes (0)"),
        (
            (0, 100, 200, 300, 0, 100),
            f"297 of its 301 classes ({', '.join(map(str, range(1, 21)))}, ... (297 in all))",
        ),
    ],
)
def test_classes_without_samples_are_named_once(labels, said, tmp_path, capsys):
    own = {f"{split}_file": write(tmp_path / f"{split}.h5", labels, keys=None) for split in ("train", "test")}
    data = files(own)
    for stage in ("fit", "test"):
        data.setup(stage)
    where = own["train_file"]
    assert notes(capsys) == [
        f"note: {where} has no sample of {said}; labels are numbers from 0 without gaps."
    ]


def test_a_named_class_without_samples_is_named(own, tmp_path, capsys):
    own["train_file"] = write(tmp_path / "train.h5", keys=(b"no", b"yes", b"maybe"))
    own["test_file"] = write(tmp_path / "test.h5", keys=(b"no", b"yes", b"maybe"))
    files(own).setup()
    (note,) = notes(capsys)
    assert "has no sample of 1 of its 3 classes (maybe)" in note


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_a_single_spike_is_refused(split, own, tmp_path):
    write(tmp_path / f"{split}.h5", labels=[0], speakers=[3])
    with pytest.raises(InputError) as refused:
        files(own).setup()
    assert str(refused.value) == (
        f"{own[f'{split}_file']}: samples must have inputs, got 1 without a single spike or value; there is"
        " nothing to learn."
    )


def test_real_values_that_are_all_zero_are_refused():
    with pytest.raises(InputError, match="got 4 without a single spike or value; there is nothing to learn"):
        SpikeData(Zeros).setup()


class Zeros(Dataset):
    num_inputs = 3

    def open(self, split):
        return RealArrays(values=np.zeros((4, 5, 3), np.float16), labels=[0, 1, 0, 1])


def timed(own, tmp_path, scale, **options):
    """Files whose samples last from the first spike to the last ``scale`` s."""
    for split in ("train", "test"):
        path = write(tmp_path / f"{split}.h5")
        with h5py.File(path, "a") as file:
            for name, row in (("times", np.float32([0, scale])), ("units", np.uint16([1, 2]))):
                for index in range(6):
                    file[f"spikes/{name}"][index] = row
    files(own, **options).setup()


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (
            50,
            "half of the samples last 50 s or longer; times are in s, so divide them by 1000 if they are in"
            " ms.",
        ),
        (0.004, "half of the samples last 4 ms or shorter, and a time step 10 ms; times are in s."),
    ],
)
def test_times_in_another_unit_are_noticed_in_every_file(scale, said, own, tmp_path, capsys):
    timed(own, tmp_path, scale)
    assert notes(capsys) == [f"note: {own[f'{split}_file']}: {said}" for split in ("train", "test")]
    own_file = own["train_file"]
    files(own, predict_file=own_file).predict_dataloader()
    assert f"note: {own_file}: {said}" in notes(capsys)
    timed(own, tmp_path, 0.004 if scale < 1 else 5, time_step_ms=1)
    assert notes(capsys) == []


NAMES = {
    "`class_names` must differ, got 'yes' for class 0 and class 1.": ("yes", "yes"),
    "`class_names` of class 1 must be 1 to 200 printable characters, got 'nononononononononono'.": (
        "yes",
        "no" * 101,
    ),
    "`class_names` of class 0 must be 1 to 200 printable characters, got ''.": ("", "yes"),
    "`class_names` must have at most 1,048,576 characters in all, got 1,200,000.": [
        f"{label:0200}" for label in range(6000)
    ],
}


@pytest.mark.parametrize("sentence", NAMES)
def test_names_of_classes_are_checked_as_a_whole_whatever_the_data_set(sentence):
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        RealArrays(values=np.ones((2, 5, 3)), labels=[0, 1], class_names=NAMES[sentence])


def test_whole_speakers_are_held_out(own):
    data = files(own)
    data.setup()
    held_out = num_spikes_of(data.val_dataloader())
    assert len(held_out) == 2
    assert sorted(held_out + num_spikes_of(data.train_dataloader())) == [0, 1, 2, 3, 4, 5]
    speaker = {0: 3, 2: 4, 4: 7}[held_out[0]]
    assert data.selection == f"held-out speaker {speaker}"
    assert re.fullmatch(r"held-out speakers \d, \d", files(own, val_fraction=0.5).selection)


def test_a_random_share_is_held_out(own):
    data = files(own, validation="random", val_fraction=0.5)
    assert data.selection == "random 50 % of train"
    held_out = num_spikes_of(data.val_dataloader())
    assert sorted(held_out + num_spikes_of(data.train_dataloader())) == [0, 1, 2, 3, 4, 5]
    assert len(held_out) == 3


def test_the_papers_habit_trains_on_everything_and_validates_on_test(own, tmp_path):
    own["test_file"] = write(tmp_path / "three.h5", labels=(1, 1, 1), speakers=None)
    data = files(own, validation="paper")
    assert data.selection == "test set (paper protocol)"
    assert len(labels_of(data.train_dataloader())) == 6
    assert labels_of(data.val_dataloader()) == [1, 1, 1]


def test_a_validation_file_is_used_where_there_is_one(own, tmp_path):
    data = files(own, val_file=write(tmp_path / "val.h5", labels=(1, 1), speakers=None))
    assert data.selection == "validation file"
    assert len(labels_of(data.train_dataloader())) == 6
    assert labels_of(data.val_dataloader()) == [1, 1]


def test_public_data_sets_are_found_by_their_files(tmp_path):
    for name in SOURCES["ssc"].files.values():
        write(tmp_path / name)
    data = SpikeData(partial(SSC, data_dir=str(tmp_path)))
    data.setup()
    assert data.selection == "validation file"
    assert data.num_test_samples == 6


def test_predictions_follow_the_file(own):
    data = files(own, batch_size=4)
    assert [len(batch.labels) for batch in data.predict_dataloader()] == [4, 2]
    assert num_spikes_of(data.predict_dataloader()) == [0, 1, 2, 3, 4, 5]


def test_batches_have_the_length_of_their_longest_sample_or_of_the_clip(own):
    def num_steps(**options):
        loader = files(own, batch_size=4, **options).test_dataloader()
        return [len(batch.counts()) for batch in loader]

    assert num_steps() == [3, 5]
    assert num_steps(clip_ms=40) == [3, 4]
    assert num_steps(clip_ms=40, padding="fixed") == [4, 4]


def test_workers_give_the_same_batches(own):
    counts = [
        [batch.counts() for batch in files(own, batch_size=4, num_workers=workers).test_dataloader()]
        for workers in (0, 1)
    ]
    assert all(torch.equal(alone, worked) for alone, worked in zip(*counts, strict=True))


class Listener(pl.LightningModule):
    """Notes what it is fed."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.heard = []

    def training_step(self, batch):
        self.heard.append((self.current_epoch, batch.counts().sum(dim=(0, 2)).int().tolist()))
        return self.weight * 0

    def validation_step(self, batch):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_epoch_has_its_own_order_and_a_resumed_one_the_same(num_workers, own, tmp_path):
    options = {"validation": "paper", "batch_size": 4, "num_workers": num_workers}

    def heard(max_epochs, ckpt_path=None):
        listener, data = Listener(), files(own, **options)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=max_epochs,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
            **quiet,
        )
        trainer.fit(listener, data, ckpt_path=ckpt_path, weights_only=True)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return listener.heard

    straight = heard(4)
    heard(2)
    assert heard(4, tmp_path / "last.ckpt") == straight[4:]
    assert straight[0][1] != straight[2][1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"time_step_ms": 0}, "`--data.time_step_ms` must be above 0 ms, got 0."),
        ({"clip_ms": 4}, "`--data.clip_ms` must be at least one time step (10 ms), got 4."),
        ({"padding": "fixed"}, "`--data.padding=fixed` needs `--data.clip_ms`, the length to pad to, in ms."),
        ({"val_fraction": 1}, "`--data.val_fraction` must be between 0 and 1, got 1."),
        ({"batch_size": 0}, "`--data.batch_size` must be at least 1, got 0."),
        ({"num_workers": -1}, "`--data.num_workers` must be at least 0, got -1."),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        SpikeData(**options)


NO_TRAIN = "your own files need `--data.dataset.train_file`; give the path of an HDF5 file."
NO_TEST = "your own files need `--data.dataset.test_file`; give the path of an HDF5 file."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels_per_bin": 0}, "`--data.dataset.channels_per_bin` must be at least 1, got 0."),
        ({"num_units": 70_000}, "`--data.dataset.num_units` must be from 1 to 65536, got 70000."),
        ({}, NO_TRAIN),
        ({"train_file": "a.h5"}, NO_TEST),
        ({"val_file": "a.h5"}, NO_TRAIN),
    ],
)
def test_wrong_options_of_ones_own_files_are_refused(options, sentence):
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        SpikeFiles(**options)


def test_a_missing_public_file_comes_with_the_command_that_gets_it(tmp_path):
    path = tmp_path / "shd_test.h5"
    command = f"python -m lit_delays data fetch shd --data-dir {tmp_path}"
    with pytest.raises(
        InputError, match="^" + re.escape(f"cannot find {path}; get it with: {command}") + "$"
    ):
        SHD(data_dir=str(tmp_path)).path("test")


def test_a_missing_file_of_ones_own_is_named_with_its_option(own, tmp_path):
    own["test_file"] = str(tmp_path / "none.h5")
    sentence = f"cannot find {tmp_path / 'none.h5'}; check `--data.dataset.test_file`."
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        files(own).setup()


def test_speakers_must_be_known_to_be_held_out(own, tmp_path):
    own["train_file"] = write(tmp_path / "nobody.h5", speakers=None)
    sentence = (
        f"{own['train_file']}: `--data.validation=speakers` needs two or more speakers in `extra/speaker`,"
        " got none; give --data.validation=random."
    )
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        files(own).setup()


def test_test_classes_must_be_those_of_training(own, tmp_path):
    own["test_file"] = write(tmp_path / "other.h5", keys=(b"yes", b"no"))
    sentence = "`extra/keys` must name the classes of the training file, no, yes, got yes, no."
    with pytest.raises(InputError, match=re.escape(f"{own['test_file']}: {sentence}")):
        files(own).setup()


def test_test_labels_must_be_known_in_training(own, tmp_path):
    own["test_file"] = write(tmp_path / "more.h5", labels=(0, 2), speakers=None, keys=None)
    sentence = "`labels` must be below 2, the training file's classes, got 2."
    with pytest.raises(InputError, match=re.escape(f"{own['test_file']}: {sentence}")):
        files(own).setup()


def test_the_interface_holds_all_that_a_network_needs_elsewhere(own):
    data = files(own, clip_ms=200, channels_per_bin=7, binning="paper")
    found = data.interface
    assert (found.class_names, found.num_units, found.channels_per_bin) == (("no", "yes"), 700, 7)
    assert (found.binning, found.clip_ms) == ("paper", 200)
    assert found.dataset["class_path"].endswith(".SpikeFiles")
    assert found.dataset["init_args"]["train_file"] == own["train_file"]
    assert Interface.of(found.plain) == found
    assert SpikeData(Patterns).interface.num_units is None


@pytest.mark.parametrize("changes", [{"keys": (b"yes",)}, {"keys": None}])
def test_a_single_class_is_refused_before_the_training(own, tmp_path, changes):
    own["train_file"] = write(tmp_path / "one.h5", labels=(0, 0, 0), speakers=(1, 2, 3), **changes)
    name = "yes" if changes["keys"] else "0"
    sentence = (
        f"{own['train_file']}: `labels` must be of two or more classes, got 1 ({name});"
        " there is nothing to learn from one."
    )
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        _ = files(own).num_classes


class Waves(Dataset):
    """A data set of somebody else: real values in memory."""

    num_inputs = 3

    def __init__(self, *, size=10, groups=False):
        self.size, self.groups = size, groups

    def open(self, split):
        labels = np.arange(self.size) % 2
        speakers = np.arange(self.size) // 2 if self.groups else None
        values = np.random.default_rng(0).normal(size=(self.size, 20, 3))
        return RealArrays(values=values, labels=labels, class_names=("flat", "steep"), speakers=speakers)


def test_a_data_set_from_outside_is_one_class():
    data = SpikeData(partial(Waves, size=20), batch_size=5, clip_ms=150)
    data.prepare_data()
    data.setup()
    assert (data.num_inputs, data.class_names, data.hashes()) == (3, ("flat", "steep"), {})
    assert data.selection == "random 10 % of train"
    assert next(iter(data.train_dataloader())).counts().shape == (15, 5, 3)
    assert data.interface.dataset["init_args"] == {"size": 20, "groups": False}
    assert SpikeData(partial(Waves, groups=True)).selection.startswith("held-out speaker")
    with pytest.raises(
        InputError, match="which are no inputs for Waves; leave it out to predict the test set"
    ):
        SpikeData(Waves, predict_file="a.h5").predict_dataloader()


def test_another_file_is_predicted_where_data_are_files_of_spikes(own, tmp_path):
    path = write(tmp_path / "more.h5", labels=(-1, -1), speakers=None, keys=None)
    assert labels_of(files(own, predict_file=path).predict_dataloader()) == [-1, -1]


def test_fine_times_are_binned_where_they_are(own, tmp_path):
    """float16 knows 33.3 s to 16 ms; float32 and float64 lose no step."""
    for dtype in (np.float32, np.float64):
        with h5py.File(tmp_path / "fine.h5", "w") as file:
            for name, kind, row in (("times", dtype, [1.0, 33.333, 33.343]), ("units", np.uint16, [0, 1, 2])):
                rows = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(kind))
                rows[0], rows[1] = np.array(row, kind), np.zeros(0, kind)
            file["labels"] = [0, 1]
        own["test_file"] = str(tmp_path / "fine.h5")
        (batch,) = files(own, channels_per_bin=1).test_dataloader()
        assert batch.counts().nonzero()[:, [0, 2]].tolist() == [[0, 0], [3233, 1], [3234, 2]]
