import json
import os
import re
from functools import partial

import numpy as np
import pytest
import torch

from lit_delays.audio.mel import mel_spectrogram
from lit_delays.cli.main import main
from lit_delays.data.binning import Binning
from lit_delays.data.datasets.gsc import FOLDER, GSC
from lit_delays.data.module import SpikeData
from lit_delays.data.storage import array_file
from lit_delays.errors import InputError

soundfile = pytest.importorskip("soundfile")

PITCHES = {"yes": 400, "no": 1500}
NAMES = ["0aa_nohash_0.wav", "0bb_nohash_0.wav", "0cc_nohash_0.wav", "0dd_nohash_0.wav"]


def tone(word, index):
    noise = np.random.default_rng(index).normal(scale=0.01, size=16_000)
    return 0.3 * np.sin(2 * np.pi * PITCHES[word] * np.arange(16_000) / 16_000) + noise


@pytest.fixture
def folder(tmp_path):
    """Two words of four recordings, of which the third is for validation and the last for the test."""
    place = tmp_path / FOLDER
    for word in (*PITCHES, "_background_noise_"):
        (place / word).mkdir(parents=True)
    for word in PITCHES:
        for index, name in enumerate(NAMES):
            soundfile.write(place / word / name, tone(word, index), 16_000)
    for file, name in (("validation_list.txt", NAMES[2]), ("testing_list.txt", NAMES[3])):
        (place / file).write_text("".join(f"{word}/{name}\n" for word in PITCHES))
    return place


def open_split(folder, split, **options):
    return GSC(data_dir=str(folder.parent), **options).open(split)


def test_splits_are_those_of_the_lists_and_classes_the_sorted_words(folder):
    arrays = {split: open_split(folder, split) for split in ("train", "val", "test")}
    assert [len(part) for part in arrays.values()] == [4, 2, 2]
    assert arrays["train"].names == ("no", "yes")
    assert arrays["train"].labels.tolist() == [0, 0, 1, 1]
    for mel in ("sound", "reference"):
        heard, rate = soundfile.read(folder / "yes" / NAMES[3])
        expected = mel_spectrogram(heard, rate, mel)
        found = open_split(folder, "test", mel=mel).values[1]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_spectrograms_are_computed_once_and_anew_when_the_recordings_change(folder):
    open_split(folder, "train")
    (cached,) = (folder.parent / "caches").iterdir()
    before = cached.stat().st_mtime_ns
    open_split(folder, "train")
    assert cached.stat().st_mtime_ns == before
    soundfile.write(folder / "yes/0ee_nohash_0.wav", tone("yes", 9), 16_000)
    assert len(open_split(folder, "train")) == 5


def test_recordings_replaced_by_others_of_equal_names_sizes_and_dates_are_packed_anew(folder):
    path = folder / "yes" / NAMES[0]
    before, date = open_split(folder, "train").values[2].copy(), path.stat().st_mtime_ns
    soundfile.write(path, tone("no", 5), 16_000)
    os.utime(path, ns=(date, date))
    assert not np.array_equal(open_split(folder, "train").values[2], before)


@pytest.mark.parametrize("crafted", ["nan", "infinite", "short", "another name", "another type"])
def test_a_crafted_cache_of_spectrograms_is_made_anew(folder, crafted):
    good = np.array(open_split(folder, "test").values)
    (stored,) = (folder.parent / "caches").iterdir()
    text = stored.read_bytes()[len(array_file.MAGIC) + 16 :]
    about = json.JSONDecoder().raw_decode(text.decode(errors="replace"))[0]["about"]
    wrong = {"short": good[:1], "another type": good.astype(np.float32)}.get(crafted, good.copy())
    if crafted in ("nan", "infinite"):
        wrong[1, 7, 3] = {"nan": np.nan, "infinite": -np.inf}[crafted]
    array_file.save(stored, {"other" if crafted == "another name" else "features": wrong.ravel()}, about)
    np.testing.assert_array_equal(open_split(folder, "test").values, good)


def test_a_batch_has_time_first_and_the_length_of_the_clip(folder):
    arrays = open_split(folder, "train")
    for clip_ms, fixed, num_steps in ((None, False, 101), (500, False, 50), (1500, True, 150)):
        binning = Binning("uniform", 10.0, 140, clip_ms=clip_ms, fixed=fixed)
        batch = arrays.batch(np.array([3, 1]), binning)
        assert batch.labels.tolist() == [1, 0]
        values = batch.counts()
        assert values.shape == (num_steps, 2, 140)
        shown = torch.from_numpy(np.stack([arrays.values[3], arrays.values[1]], axis=1)).float()
        common = min(num_steps, 101)
        assert torch.equal(values[:common], shown[:common])
        assert not values[common:].any()


def test_workers_give_the_same_batches(folder):
    words = partial(GSC, data_dir=str(folder.parent))
    alone, worked = (
        [batch.counts() for batch in SpikeData(words, num_workers=n).train_dataloader()] for n in (0, 1)
    )
    assert torch.equal(alone[0], worked[0])


def test_a_network_learns_to_tell_tones_apart(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = {
        "data.dataset": "GSC",
        "data.dataset.data_dir": folder.parent,
        "data.batch_size": 4,
        "model.network.hidden_sizes": "[16]",
        "model.network.dropout": 0,
        "trainer.max_epochs": 20,
        "trainer.accelerator": "cpu",
        "name": "tones",
    }
    main(["fit", *(f"--{name}={value}" for name, value in options.items())])
    out = capsys.readouterr().out
    assert "test accuracy 100.00%" in out
    assert "chosen by validation file" in out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda folder: folder.rename(folder.parent / "x"),
            r"cannot find .*/speech_commands_v0.02; get it with: ",
        ),
        (
            lambda folder: (folder / "testing_list.txt").unlink(),
            r"cannot find .*testing_list.txt; unpack the data",
        ),
        (
            lambda folder: (folder / "testing_list.txt").write_text("../a.wav"),
            r"as word/name.wav, got '../a.wav'",
        ),
        (
            lambda folder: (folder / "testing_list.txt").write_text(""),
            r"must hold recordings for test, got none",
        ),
        (lambda folder: (folder / "no" / NAMES[3]).write_text("la la"), r"must be a wav or flac recording"),
        (
            lambda folder: (folder / "no" / NAMES[3]).unlink(),
            r"cannot find .*/no/0dd_nohash_0.wav; check the path",
        ),
    ],
)
def test_what_is_wrong_with_the_folder_is_said(folder, change, sentence):
    change(folder)
    with pytest.raises(InputError, match=sentence):
        open_split(folder, "test")
    assert not [path for path in (folder.parent / "caches").rglob("*") if path.is_file()]


def test_gsc_has_steps_of_10_ms_and_no_file_of_spikes_to_predict(folder):
    with pytest.raises(InputError, match=re.escape("`--data.time_step_ms` must be 10 ms for GSC, got 5.")):
        SpikeData(GSC, time_step_ms=5)
    data = SpikeData(partial(GSC, data_dir=str(folder.parent)), predict_file="a.h5")
    with pytest.raises(
        InputError, match=r"`--data.predict_file` must be a file of spikes, which are no inputs for GSC"
    ):
        data.predict_dataloader()
