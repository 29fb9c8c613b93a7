"""Recordings to spikes on the command line, and what it says to bad ones."""

import csv
import os
import re
import struct
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from lit_delays import progress
from lit_delays.audio.cochlea import transfer_function
from lit_delays.audio.recordings import read_recording
from lit_delays.cli import encode as encoding
from lit_delays.cli.main import main
from lit_delays.data.storage import array_file
from lit_delays.data.storage.spike_files import open_spikes
from lit_delays.errors import InputError

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
    bad = record(tmp_path / "bad.wav", samples, subtype="FLOAT")
    assert mistake(capsys, "encode", bad, "-o", "out.h5") == f"{bad} {sentence}"
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_bad_recording_among_good_ones_is_named_and_the_others_are_written(jobs, tmp_path, capsys):
    record(tmp_path / "in/no/0aa_nohash_0.wav", np.zeros(4800))
    record(tmp_path / "in/yes/0aa_nohash_0.wav")
    (tmp_path / "in/yes/0bb_nohash_0.wav").write_text("la la la")
    record(tmp_path / "in/yes/0cc_nohash_0.wav", glide(index=1))
    command = ["encode", "in", "-o", "out.h5", "--jobs", jobs]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "left out: in/no/0aa_nohash_0.wav must hold sound, got silence; check the microphone."
    assert lines[1].startswith("left out: in/yes/0bb_nohash_0.wav must be a wav or flac recording: ")
    assert lines[2] == (
        "lit_delays: error: out.h5 lacks 2 of 4 recordings, named above; mend or remove them and repeat the"
        " command. What is encoded is kept in .out.h5.encoded until then."
    )
    assert content("out.h5")[1:] == ([0, 0], ["yes"], [0, 1])
    record(tmp_path / "in/no/0aa_nohash_0.wav")
    (tmp_path / "in/yes/0bb_nohash_0.wav").unlink()
    main(command)
    assert content("out.h5")[1:] == ([0, 1, 1], ["no", "yes"], [0, 0, 1])
    assert not (tmp_path / ".out.h5.encoded").exists()


def test_a_folder_whose_name_cannot_be_printed_is_named_before_anything_is_encoded(tmp_path, capsys):
    record(tmp_path / "a.wav")
    folder = tmp_path / "in" / os.fsdecode(b"caf\xe9")
    folder.mkdir(parents=True)
    (tmp_path / "a.wav").rename(folder / "a.wav")
    assert mistake(capsys, "encode", "in", "-o", "out.h5") == (
        "the names of classes, which `--labels` says where to find, of class 0 must be 1 to 200 printable"
        " characters, got 'caf\\udce9'."
    )
    main(["encode", "in", "-o", "out.h5", "--labels", "none"])
    assert len(open_spikes(tmp_path / "out.h5")) == 1


def test_where_all_recordings_are_bad_nothing_is_written(tmp_path, capsys):
    paths = [record(tmp_path / name, np.zeros(4800)) for name in ("a.wav", "b.wav")]
    with pytest.raises(SystemExit):
        main(["encode", *paths, "-o", "out.h5"])
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lit_delays: error: none of the recordings can be encoded; what is wrong with each stands above."
    )
    assert not (tmp_path / "out.h5").exists()


def test_a_run_that_is_cut_off_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    paths = [record(tmp_path / f"{index}.wav", glide(index=index)) for index in range(6)]
    main(["encode", *paths, "-o", "uncut.h5"])
    encoded, hear = [], encoding.sounds_to_spikes

    def cut(sounds, *others):
        if len(encoded) == encoding.SIDE_BY_SIDE:
            raise KeyboardInterrupt
        encoded.extend(sounds)
        return hear(sounds, *others)

    monkeypatch.setattr(encoding, "sounds_to_spikes", cut)
    with pytest.raises(SystemExit) as stopped:
        main(["encode", *paths, "-o", "out.h5"])
    assert stopped.value.code == 130
    assert not (tmp_path / "out.h5").exists()
    monkeypatch.setattr(encoding, "sounds_to_spikes", lambda *args: encoded.extend(args[0]) or hear(*args))
    main(["encode", *paths, "-o", "out.h5"])
    assert len(encoded) == 6
    assert content("out.h5") == content("uncut.h5")
    assert not (tmp_path / ".out.h5.encoded").exists()


def test_what_another_process_takes_away_is_not_missed(tmp_path, monkeypatch):
    paths = [record(tmp_path / f"{index}.wav", glide(index=index)) for index in (0, 1, 0)]
    main(["encode", *paths, "-o", "alone.h5"])
    monkeypatch.setattr(encoding.array_file, "save", lambda *args: None)
    main(["encode", *paths, "-o", "out.h5"])
    assert content("out.h5") == content("alone.h5")


def test_every_job_has_some(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        encoding, "_encode_some", lambda paths, **_: sizes.append(len(paths)) or ["bad"] * len(paths)
    )
    monkeypatch.setattr(
        encoding, "ProcessPoolExecutor", lambda jobs, _: nullcontext(SimpleNamespace(map=map))
    )
    assert list(encoding._encoded([tmp_path] * 5, 0, tmp_path, 3)) == ["bad"] * 5
    assert sizes == [2, 2, 1]


def test_what_was_encoded_for_another_seed_or_is_damaged_is_encoded_anew(tmp_path, capsys, monkeypatch):
    good, bad = record(tmp_path / "good.wav"), record(tmp_path / "bad.wav", np.zeros(4800))

    def spikes(*options):
        with pytest.raises(SystemExit):
            main(["encode", good, bad, "-o", "out.h5", *options])
        return content("out.h5")[0]

    plain = spikes()
    (kept,) = (tmp_path / ".out.h5.encoded").iterdir()
    assert spikes("--seed", "1") != plain
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert spikes() == plain


def test_a_crafted_membrane_is_made_anew(tmp_path, few_channels):
    good = encoding._membrane().copy()
    (stored,) = (path for path in (tmp_path / "cache").iterdir() if path.suffix == ".ear")
    about = {"version": encoding.EAR_VERSION, "steps": encoding.SIZE}
    wrong = {"nan": good.ravel() * np.nan, "short": good.ravel()[:-1], "type": good.ravel().real.copy()}
    for case, array in [*wrong.items(), ("name", good.ravel())]:
        array_file.save(stored, {"response" if case != "name" else "other": array}, about)
        encoding._membrane.cache_clear()
        np.testing.assert_array_equal(encoding._membrane(), few_channels)


def test_what_is_no_word_is_left_out_and_said_so(tmp_path, capsys):
    for name in ("yes/a_nohash_0.wav", "no/a_nohash_0.wav", "_background_noise_/hum.wav", "yes/._a.wav"):
        record(tmp_path / "words" / name)
    main(["encode", "words", "-o", "out.h5"])
    assert capsys.readouterr().err.splitlines()[0] == (
        "note: 2 recordings left out, hidden or in folders of no word, such as"
        " words/_background_noise_/hum.wav."
    )
    assert content("out.h5")[1:3] == ([0, 1], ["no", "yes"])
    main(["encode", "words/_background_noise_", "-o", "out.h5"])
    assert content("out.h5")[2] == ["_background_noise_"]


@pytest.mark.parametrize(
    ("subtype", "rate"),
    [("GSM610", 8000), ("G721_32", 16_000), ("NMS_ADPCM_16", 16_000), ("IMA_ADPCM", 16_000), ("ULAW", 8000)],
)
def test_compressed_wavs_are_read_whether_or_not_they_can_seek(subtype, rate, tmp_path):
    path = record(tmp_path / "a.wav", glide(rate=rate, seconds=0.2), rate, subtype=subtype)
    found, plain = read_recording(Path(path), rate).samples, glide(rate=rate, seconds=0.2)
    lag = np.argmax(np.correlate(found, plain, "full")) - len(plain) + 1
    assert 0 <= lag < 0.005 * rate
    assert np.corrcoef(found[lag : lag + len(plain) - 50], plain[:-50])[0, 1] > 0.9


def test_a_wav_that_is_cut_off_is_refused(tmp_path):
    path = Path(record(tmp_path / "a.wav"))
    whole = path.read_bytes()
    place = whole.index(b"data") + 4
    for endless in (b"\xff" * 4, struct.pack("<I", 2**31 - 1)):  # as ffmpeg and arecord write into a pipe
        path.write_bytes(whole[:place] + endless + whole[place + 4 :])
        assert len(read_recording(path, 48_000).samples) == len(glide())
    path.write_bytes(whole + b"LIST\x04\x00\x00\x00INFO")
    assert len(read_recording(path, 48_000).samples) == len(glide())
    for length, lost in ((len(whole) - 1, "0.017"), (len(whole) // 2, "50")):
        path.write_bytes(whole[:length])
        rule = f"{path} must be whole, got a recording without its last {lost} %; get it anew."
        with pytest.raises(InputError, match="^" + re.escape(rule) + "$"):
            read_recording(path, 48_000)


def test_a_flac_that_is_cut_off_is_refused(tmp_path):
    path = Path(record(tmp_path / "a.flac", glide(1.0)))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"a\.flac must be"):
        read_recording(path, 48_000)


CHANNELS = {  # what is made of them
    "inverted": ([1, -1], "0.0% of the loudness is left"),
    "nearly inverted": ([1, -0.9], "7.4% of the loudness is left"),
    "partly inverted": ([1, -0.7], "mixed down to one channel, which partly cancel each other"),
    "alike": ([1, 1], "mixed down to one channel"),
    "one silent": ([1, 0], "mixed down to one channel"),
    "one of many": ([1] + [0] * 15, "mixed down to one channel"),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_channels_that_cancel_each_other_are_not_taken_for_sound(case, tmp_path):
    gains, said = CHANNELS[case]
    path = Path(record(tmp_path / "a.wav", np.outer(glide(), gains), subtype="FLOAT"))
    if not said.startswith("mixed"):
        with pytest.raises(
            InputError, match=re.escape(f"as when one is inverted ({said}); give one channel")
        ):
            read_recording(path, 48_000)
    else:
        assert read_recording(path, 48_000).notes == (said,)


def test_a_recording_of_too_many_channels_is_refused(tmp_path):
    path = Path(record(tmp_path / "a.wav", np.outer(glide(), np.ones(33))))
    with pytest.raises(InputError, match=re.escape(f"{path} must have at most 32 channels, got 33.")):
        read_recording(path, 48_000)


@pytest.mark.parametrize("rate", [999, 400_000, 2_000_003])
def test_a_rate_that_no_recorder_has_is_refused_before_anything_is_computed(rate, tmp_path):
    path = Path(record(tmp_path / "a.wav", np.sin(np.arange(int(0.03 * rate))), rate))
    rule = f"{path} must have 1,000 to 384,000 samples a second, got {rate:,}; resample it."
    with pytest.raises(InputError, match="^" + re.escape(rule) + "$"):
        read_recording(path, 48_000)


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
