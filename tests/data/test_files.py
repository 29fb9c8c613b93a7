import errno
import fcntl
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from lit_delays.data import cache, files
from lit_delays.data.files import default_cache_dir, open_spikes
from lit_delays.errors import InputError

TIMES = ([0.1, 0.25], [], [1.0])
UNITS = ([5, 699], [], [0])
GOOD = {"times": TIMES, "units": UNITS, "labels": [1, 0, 1], "speaker": [3, 3, 4], "keys": [b"no", b"yes"]}


def lists(rows, dtype):
    filled = np.empty(len(rows), object)
    filled[:] = [np.array(row, dtype) for row in rows]
    return filled


def write(path, time_dtype=np.float16, unit_dtype=np.uint16, **changes):
    content = GOOD | changes
    with h5py.File(path, "w") as file:
        for name, dtype in (("times", time_dtype), ("units", unit_dtype)):
            if (rows := content[name]) is not None:
                file.create_dataset(f"spikes/{name}", data=lists(rows, dtype), dtype=h5py.vlen_dtype(dtype))
        for name, place in (("labels", "labels"), ("speaker", "extra/speaker"), ("keys", "extra/keys")):
            if content[name] is not None:
                file[place] = np.array(content[name])
    return path


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "digits.h5")


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    folder = tmp_path / "caches"
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(folder))
    return folder


def assert_is_the_file(arrays):
    assert len(arrays) == 3
    for index in range(3):
        times, units = arrays.sample(index)
        np.testing.assert_array_equal(times, np.float16(TIMES[index]))
        assert units.tolist() == list(UNITS[index])
    assert arrays.labels.tolist() == [1, 0, 1]
    assert arrays.speakers.tolist() == [3, 3, 4]
    assert arrays.class_names == ("no", "yes")


def test_what_is_packed_is_what_was_in_the_file(source):
    assert_is_the_file(open_spikes(source))


def test_a_second_look_reads_only_the_cache(source, monkeypatch):
    open_spikes(source)
    monkeypatch.setattr(files, "_pack", None)
    assert_is_the_file(open_spikes(source))


def test_the_real_speech_is_packed_as_it_is(speech):
    arrays = open_spikes(speech / "fsdd_test.h5")
    with h5py.File(speech / "fsdd_test.h5", locking=False) as file:
        np.testing.assert_array_equal(arrays.times, np.concatenate(file["spikes/times"][:]))
        np.testing.assert_array_equal(arrays.units, np.concatenate(file["spikes/units"][:]))
        assert len(arrays) == 750


def test_samples_are_gathered_in_the_order_asked_for(source):
    times, units, lengths = open_spikes(source).gather(np.array([2, 1, 0, 2]))
    assert units.tolist() == [0, 5, 699, 0]
    assert lengths.tolist() == [1, 0, 2, 1]
    assert times.tolist() == np.float16([1.0, 0.1, 0.25, 1.0]).tolist()


def test_arrays_travel_as_a_path(source):
    travelling = pickle.dumps(open_spikes(source))
    assert len(travelling) < 1000
    assert_is_the_file(pickle.loads(travelling))


def test_speakers_and_names_may_be_missing(tmp_path):
    arrays = open_spikes(write(tmp_path / "plain.h5", speaker=None, keys=None))
    assert arrays.speakers is None
    assert arrays.class_names == ()
    assert arrays.names == ("0", "1")


def test_unsorted_times_are_sorted_and_keep_their_units(tmp_path):
    path = write(
        tmp_path / "mixed.h5", times=([0.5, 0.25, 0.5, 0.25], [], [1]), units=([1, 2, 3, 4], [], [5])
    )
    times, units = open_spikes(path).sample(0)
    assert times.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert units.tolist() == [2, 4, 1, 3]


def test_a_file_of_silence_is_a_file(tmp_path):
    arrays = open_spikes(write(tmp_path / "silence.h5", times=([], [], []), units=([], [], [])))
    assert arrays.gather(np.array([0, 2]))[2].tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finer_times_are_rounded_to_float16(tmp_path, dtype):
    assert_is_the_file(open_spikes(write(tmp_path / "fine.h5", time_dtype=dtype, unit_dtype=np.int64)))


def test_a_changed_file_is_packed_anew(source):
    open_spikes(source)
    write(source, labels=[0, 0, 0])
    assert open_spikes(source).labels.tolist() == [0, 0, 0]


def damage_header(path):
    path.write_bytes(path.read_bytes().replace(b'"about"', b'"abOut"'))


def damage_middle(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


def header_of(path):
    content = path.read_bytes()[len(cache.MAGIC) :]
    return json.loads(content[16 : 16 + int.from_bytes(content[:8], "little")])


def about_of(path):
    return header_of(path)["about"]


def arrays_of(path):
    return {name: np.array(array) for name, array in cache.load(path, about_of(path)).items()}


def another_version(path):
    about = about_of(path)
    cache.save(
        path, arrays_of(path) | {"labels": np.array([0, 0, 0])}, about | {"version": files.VERSION - 1}
    )


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "a byte": damage_middle,
    "header": damage_header,
    "nonsense": lambda path: path.write_bytes(cache.MAGIC + b"\xff" * 50),
    "another version": another_version,
    "foreign": lambda path: cache.save(path, {"times": np.zeros(3)}, about_of(path)),
    "foreign types": lambda path: cache.save(
        path, {name: np.float32(array) for name, array in arrays_of(path).items()}, about_of(path)
    ),
    "arrays that do not fit": lambda path: cache.save(
        path, arrays_of(path) | {"indptr": np.array([0, 2, 2, 9])}, about_of(path)
    ),
    "endless header": lambda path: path.write_bytes(cache.MAGIC + b"\xff" * 16 + b"[" * 10**6),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_not_trusted_but_rebuilt(source, caches, damage):
    open_spikes(source)
    (packed,) = caches.iterdir()
    DAMAGES[damage](packed)
    assert_is_the_file(open_spikes(source))
    assert list(caches.iterdir()) == [packed]


@pytest.fixture
def large(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "WHOLE", 2**17)
    cache.save(tmp_path / "large", {"array": np.zeros(2**20, np.uint16)}, {})
    return tmp_path / "large"


def test_a_large_array_is_checked_in_blocks(large, monkeypatch):
    monkeypatch.setattr(cache, "_mark", None)
    assert len(cache.load(large, {})["array"]) == 2**20


@pytest.mark.parametrize("place", np.random.default_rng(0).integers(1000, 2**21, 20))
def test_a_byte_written_anywhere_in_a_large_array_is_noticed(large, place):
    with large.open("r+b") as file:
        file.seek(place)
        file.write(b"\x01")
    assert cache.load(large, {}) is None


def test_a_copied_cache_is_checked_as_a_whole_and_good(large, tmp_path):
    shutil.copyfile(large, tmp_path / "copy")
    assert len(cache.load(tmp_path / "copy", {})["array"]) == 2**20


def test_a_large_array_cut_short_is_noticed(large):
    large.write_bytes(large.read_bytes()[:-8])
    assert cache.load(large, {}) is None


def test_a_link_in_place_of_the_cache_is_replaced_and_its_target_left_alone(source, caches, tmp_path):
    open_spikes(source)
    (packed,) = caches.iterdir()
    elsewhere = tmp_path / "elsewhere"
    packed.rename(elsewhere)
    packed.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert_is_the_file(open_spikes(source))
    assert not packed.is_symlink()
    assert elsewhere.read_bytes() == before


def test_a_cache_that_cannot_be_written_says_so(source, caches):
    caches.write_text("a file in place of the folder")
    rule = f"cannot write the cache into {caches}: File exists; make room, or give another $LIT_DELAYS_CACHE."
    with pytest.raises(InputError, match="^" + re.escape(rule) + "$"):
        open_spikes(source)


PACK_WHEN_TOLD = """
import sys
from pathlib import Path
from lit_delays.data import files
made, save = [], files.cache.save
files.cache.save = lambda *words: (made.append(1), save(*words))
for _ in sys.stdin:
    made.clear()
    print(files.open_spikes(Path(sys.argv[1])).labels.tolist(), len(made), flush=True)
"""


@pytest.fixture
def packers(source):
    """Two processes that pack the file when told, and say how often they made a cache."""
    command = [sys.executable, "-c", PACK_WHEN_TOLD, source]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        yield one, other
        for process in (one, other):
            process.kill()


def tell(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_of_two_processes_that_want_a_cache_one_makes_it(packers, source, caches):
    """$LIT_DELAYS_RACES: how many times."""
    for _ in range(int(os.environ.get("LIT_DELAYS_RACES", 2))):
        shutil.rmtree(caches, ignore_errors=True)
        for process in packers:
            tell(process)
        said = sorted(process.stdout.readline() for process in packers)
        assert said == ["[1, 0, 1] 0\n", "[1, 0, 1] 1\n"]
        assert len(list(caches.iterdir())) == 1
        assert_is_the_file(open_spikes(source))


def test_a_packer_that_is_killed_leaves_the_way_free(packers, source, caches):
    tell(packers[0])
    while not (caches.exists() and any(path.is_dir() for path in caches.iterdir())):
        time.sleep(0.001)
    packers[0].kill()
    packers[0].wait()
    assert_is_the_file(open_spikes(source))
    assert [path.suffix for path in caches.iterdir()] == [".spikes"]


def test_without_locks_everybody_packs(source, caches, monkeypatch):
    def no_locks(*words):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert_is_the_file(open_spikes(source))
    assert [path.suffix for path in caches.iterdir()] == [".spikes"]


def test_packing_that_fails_leaves_nothing_behind(tmp_path, caches):
    with pytest.raises(InputError):
        open_spikes(write(tmp_path / "bad.h5", units=([5, 700], [], [0])))
    assert list(caches.iterdir()) == []


def test_other_channels_are_checked_anew(source):
    open_spikes(source)
    with pytest.raises(InputError, match=re.escape("`spikes/units` of sample 0 must be 0 to 99, got 699.")):
        open_spikes(source, num_units=100)


BAD = [
    ({"times": None}, "`spikes/times` is missing; the file must follow SHD's layout."),
    ({"units": None}, "`spikes/units` is missing; the file must follow SHD's layout."),
    ({"labels": None}, "`labels` is missing; the file must follow SHD's layout."),
    ({"labels": [1, 0]}, "`extra/speaker` must have one entry a label (2), got 3."),
    ({"labels": [1, 0], "speaker": None}, "`spikes/times` must have one entry a label (2), got 3."),
    ({"units": UNITS[:2]}, "`spikes/units` must have one entry a label (3), got 2."),
    ({"units": ([5], [], [0])}, "`spikes/units` of sample 0 must have one entry a spike time (2), got 1."),
    ({"labels": np.zeros(0, int)}, "`labels` must hold at least one sample, got 0."),
    ({"labels": [0, -2, 0]}, "`labels` of sample 1 must be at least 0, or -1 for unknown, got -2."),
    (
        {"labels": [0, 1, 2]},
        "`labels` of sample 2 must be below the number of names in `extra/keys` (2), got 2.",
    ),
    ({"labels": [0.0, 1.0, 1.0]}, "`labels` must hold integers, got float64."),
    ({"labels": [[0], [1], [1]]}, "`labels` must have one dimension, got 2."),
    ({"speaker": [0.5, 1.0, 1.0]}, "`extra/speaker` must hold integers, got float64."),
    ({"keys": [1, 2]}, "`extra/keys` must hold texts, got int64."),
    ({"units": ([5, 700], [], [0])}, "`spikes/units` of sample 0 must be 0 to 699, got 700."),
    (
        {"units": ([5, -3], [], [0]), "unit_dtype": int},
        "`spikes/units` of sample 0 must be 0 to 699, got -3.",
    ),
    ({"times": ([0, 1], [], [-1])}, "`spikes/times` of sample 2 must be 0 to 60 s, got -1.0."),
    ({"times": ([0, 1], [], [np.nan])}, "`spikes/times` of sample 2 must be 0 to 60 s, got nan."),
    ({"times": ([0, np.inf], [], [1])}, "`spikes/times` of sample 0 must be 0 to 60 s, got inf."),
    ({"times": ([0, 61], [], [1])}, "`spikes/times` of sample 0 must be 0 to 60 s, got 61.0."),
    ({"time_dtype": np.int32}, "`spikes/times` must hold lists of floats, got lists of int32."),
    ({"unit_dtype": np.float32}, "`spikes/units` must hold lists of integers, got lists of float32."),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, changes, sentence):
    path = write(tmp_path / "bad.h5", **changes)
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: {sentence}") + "$"):
        open_spikes(path)


def test_a_missing_file_says_where_it_was_sought(tmp_path):
    path = tmp_path / "none.h5"
    with pytest.raises(InputError, match="^" + re.escape(f"cannot find {path}; check the path.") + "$"):
        open_spikes(path)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("spikes")
    with pytest.raises(InputError, match=re.escape(f"{path} must be a whole HDF5 file; HDF5 says: ")):
        open_spikes(path)


def with_external(file, other):
    file["labels"] = h5py.ExternalLink(str(other), "labels")


def with_soft_link(file, other):
    file["others"] = [1, 0, 1]
    file["labels"] = h5py.SoftLink("/others")


def with_external_storage(file, other):
    file.create_dataset("labels", (3,), "u1", external=[(str(other), 0, 3)])


def with_virtual_data(file, other):
    layout = h5py.VirtualLayout((3,), int)
    layout[:] = h5py.VirtualSource(str(other), "labels", (3,))
    file.create_virtual_dataset("labels", layout)


def with_another_filter(file, other):
    file.create_dataset("labels", data=[1, 0, 1], scaleoffset=0)


def with_a_promise(file, other):
    file.create_dataset("labels", (10**12,), "u1", chunks=(1024,))


LINK = "must not be a link to another place; store the data there."
FOREIGN = "must hold its data itself, not point to another file; copy the data."
HOSTILE = {
    with_external: LINK,
    with_soft_link: LINK,
    with_external_storage: FOREIGN,
    with_virtual_data: FOREIGN,
    with_a_promise: "must have at most 10,000,000 entries, got 1,000,000,000,000.",
    with_another_filter: "must use no filters but gzip, shuffle, fletcher32, lzf,"
    " got HDF5 filter 6; repack it.",
}


@pytest.mark.parametrize("trick", HOSTILE, ids=lambda trick: trick.__name__)
def test_a_file_that_points_elsewhere_is_refused(source, tmp_path, trick):
    path = write(tmp_path / "hostile.h5", labels=None)
    with h5py.File(path, "a") as file:
        trick(file, source)
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: `labels` {HOSTILE[trick]}") + "$"):
        open_spikes(path)


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compressed_files_are_read(tmp_path, compression):
    path = write(tmp_path / "small.h5", labels=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("labels", data=[1, 0, 1], compression=compression, shuffle=True, fletcher32=True)
    assert_is_the_file(open_spikes(path))


def test_caches_live_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    monkeypatch.delenv("LIT_DELAYS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert default_cache_dir() == tmp_path / "there" / "lit_delays"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert str(default_cache_dir()) == os.path.expanduser("~/.cache/lit_delays")


def test_the_cache_says_what_it_is_about(source, caches):
    open_spikes(source)
    (packed,) = caches.iterdir()
    assert about_of(packed)["size"] == source.stat().st_size
