"""Recordings to spikes on the command line, and what it says to bad ones."""

import csv
import sys

import h5py
import numpy as np
import pytest

from lit_delays import progress
from lit_delays.audio.cochlea import transfer_function
from lit_delays.audio.recordings import read_recording
from lit_delays.cli import encode as encoding
from lit_delays.cli.main import main
from lit_delays.data.storage.spike_files import open_spikes

from .test_cli import TINY, files, mistake

soundfile = pytest.importorskip("soundfile")

SHORT = 0.06  # s


@pytest.fixture(scope="session")
def few_channels():
    return transfer_function(10)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, few_channels):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoding, "transfer_function", lambda: few_channels)
    encoding._membrane.cache_clear()


def glide(seconds=SHORT, rate=48_000, index=0):
    time = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (300 + 200 * index + 2000 * time) * time)


def record(path, samples=None, rate=48_000, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, glide() if samples is None else samples, rate, **options)
    return str(path)


def content(path):
    with h5py.File(path) as file:
        spikes = [
            (*map(list, pair),) for pair in zip(file["spikes/times"], file["spikes/units"], strict=True)
        ]
        speakers = file["extra/speaker"][:].tolist() if "extra/speaker" in file else None
        return spikes, file["labels"][:].tolist(), [key.decode() for key in file["extra/keys"]], speakers


def test_a_folder_is_a_class_and_the_file_has_shds_layout(tmp_path, capsys):
    for word in ("yes", "no"):
        for speaker in ("0aa", "0bb"):
            record(tmp_path / f"words/{word}/{speaker}_nohash_0.flac")
    main(["encode", "words", "-o", "made/words.h5"])
    assert capsys.readouterr().out.startswith("made/words.h5: 4 samples, ")
    _, labels, names, speakers = content("made/words.h5")
    assert (labels, names, speakers) == ([0, 0, 1, 1], ["no", "yes"], [0, 1, 0, 1])
    arrays = open_spikes(tmp_path / "made/words.h5")
    assert len(arrays) == 4
    assert arrays.sample(0)[0].max() < SHORT + 0.01


def test_the_name_may_hold_the_class_and_classes_are_numbered_as_in_another_file(tmp_path, capsys):
    files(tmp_path, names=(b"seven", b"nine"))
    paths = [record(tmp_path / name) for name in ("nine_ann_0.wav", "seven_bob_0.wav", "eight_bob_0.wav")]
    main(["encode", *paths, "-o", "own.h5", "--labels", "name", "--keys-of", "train.h5"])
    assert "3 samples, 1 of them without a known class" in capsys.readouterr().out
    assert content("own.h5")[1:] == ([1, 0, -1], ["seven", "nine"], [0, 1, 1])


def test_spikes_depend_on_the_seed_and_the_sound_but_not_on_order_or_jobs(tmp_path, capsys):
    paths = [record(tmp_path / f"{index}.wav", glide(index=index)) for index in range(3)]

    def spikes(*options, order=(0, 1, 2)):
        main(["encode", *(paths[k] for k in order), "-o", "spikes.h5", *options])
        return content("spikes.h5")[0]

    plain = spikes()
    assert spikes(order=(2, 0, 1)) == [plain[2], plain[0], plain[1]]
    assert spikes("--jobs", "2") == plain
    assert spikes("--seed", "1") != plain


def test_a_log_is_told_how_far_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_S", 0)
    paths = [record(tmp_path / f"{index}.wav") for index in range(3)]
    main(["encode", *paths, "-o", "out.h5"])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("encoding")]
    assert lines == ["encoding: 0 of 3 (0%)", "encoding: 1 of 3 (33%)", "encoding: 2 of 3 (67%)"]


def test_what_was_done_to_a_recording_is_said_once(tmp_path, capsys):
    both = np.stack([glide(), glide(index=1)], axis=1)
    record(tmp_path / "in/stereo.wav", both)
    record(tmp_path / "in/two.wav", both)
    record(tmp_path / "in/slow.wav", glide(rate=8000), 8000)
    record(tmp_path / "in/loud.wav", np.clip(9 * glide(), -1, 1))
    main(["encode", "in", "-o", "out.h5"])
    assert sorted(line for line in capsys.readouterr().err.splitlines() if "note" in line) == [
        "note: 1 recording was clipped: recorded too loud, so spikes may be wrong.",
        "note: 1 recording was resampled from 8 to 48 kHz, which has nothing above 4 kHz.",
        "note: 2 recordings were mixed down to one channel.",
    ]


def test_channels_are_averaged_and_a_resampled_tone_is_the_same_tone(tmp_path):
    both = np.stack([glide(), 0 * glide()], axis=1)
    path = tmp_path / "a.wav"
    record(path, both, subtype="FLOAT")
    expected = glide() / 2
    np.testing.assert_allclose(read_recording(path, 48_000).samples, expected - expected.mean(), atol=1e-6)
    record(path, np.sin(2 * np.pi * 500 * np.arange(1600) / 16_000), 16_000, subtype="FLOAT")
    tone = np.sin(2 * np.pi * 500 * np.arange(4800) / 48_000)
    np.testing.assert_allclose(read_recording(path, 48_000).samples[300:-300], tone[300:-300], atol=5e-3)


NAN = glide()
NAN[7] = np.nan


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros(4800), "must hold sound, got silence; check the microphone."),
        (np.full(4800, 0.1), "must hold sound, got silence; check the microphone."),
        (np.zeros(0), "must hold sound, got an empty recording."),
        (NAN, "must hold numbers, got NaN or infinite samples; record it anew."),
        (np.zeros(480), "must be 0.02 to 8 s long, got 0.01 s; cut it into words."),
        (np.zeros(9 * 48_000), "must be 0.02 to 8 s long, got 9 s; cut it into words."),
    ],
)
def test_a_bad_recording_is_one_line_and_leaves_no_file(samples, sentence, tmp_path, capsys):
    good, bad = record(tmp_path / "good.wav"), record(tmp_path / "bad.wav", samples, subtype="FLOAT")
    assert mistake(capsys, "encode", good, bad, "-o", "out.h5") == f"{bad} {sentence}"
    assert not (tmp_path / "out.h5").exists()


def test_what_is_not_sound_or_not_there_is_one_line(tmp_path, capsys):
    (tmp_path / "text.wav").write_text("la la la")
    assert "text.wav must be a wav or flac recording: " in mistake(
        capsys, "encode", "text.wav", "-o", "out.h5"
    )
    line = mistake(capsys, "encode", "none.wav", "-o", "out.h5")
    assert line == f"cannot find {tmp_path / 'none.wav'}; check the path."
    (tmp_path / "empty").mkdir()
    line = mistake(capsys, "encode", "empty", "-o", "out.h5")
    assert line == "no recordings in empty; it must hold .wav or .flac files."
    line = mistake(capsys, "encode", "text.wav", "-o", "out.h5", "--jobs", "0")
    assert line == "`--jobs` must be at least 1 and `--seed` at least 0, got 0, 0."
    line = mistake(capsys, "encode", "text.wav", "-o", "out.h5", "--keys-of", "text.wav")
    assert line.startswith("text.wav must be a whole HDF5 file; HDF5 says: ")
    files(tmp_path, names=[], without=("extra/keys",))
    line = mistake(capsys, "encode", "text.wav", "-o", "out.h5", "--keys-of", "train.h5")
    assert line == "train.h5: `extra/keys` must name the classes, got none; leave --keys-of out."
    assert not (tmp_path / "out.h5").exists()


def test_a_missing_package_comes_with_the_command_that_gets_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert "pip install scipy soundfile" in mistake(capsys, "encode", "a.wav", "-o", "out.h5")


def test_a_recording_of_ones_own_is_classified_in_two_commands(tmp_path, capsys):
    data = files(tmp_path)
    main(["fit", *data, *TINY, "--trainer.accelerator=cpu", "--name=words"])
    paths = [record(tmp_path / "me/1.wav"), record(tmp_path / "me/2.wav", glide(index=1))]
    main(["encode", *paths, "-o", "me.h5", "--labels", "none"])
    main(["predict", "--config", "runs/words/config.yaml", "--data.predict_file", "me.h5"])
    with (tmp_path / "runs/words/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == ["0", "1"]
    assert {row["prediction"] for row in rows} <= {"a", "b"}
    assert {row["label"] for row in rows} == {""}
    line = mistake(capsys, "test", "--config", "runs/words/config.yaml", "--data.dataset.test_file", "me.h5")
    assert "`labels` of sample 0 must be known, got -1; give the file as --data.predict_file" in line
