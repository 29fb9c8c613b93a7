"""Caches: made once, good or made anew, whoever asks and whatever happened to them."""

import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lit_delays.data.storage import array_file as cache
from lit_delays.data.storage import cache as packing
from lit_delays.data.storage import spike_files as files
from lit_delays.data.storage.cache import default_cache_dir
from lit_delays.data.storage.hashes import sha256_of
from lit_delays.data.storage.spike_files import open_spikes
from lit_delays.errors import InputError
from tests.data.three import assert_is_the_file, write


def test_a_second_look_reads_only_the_cache(source, monkeypatch):
    open_spikes(source)
    monkeypatch.setattr(packing, "_pack", None)
    assert_is_the_file(open_spikes(source))


def test_a_changed_file_is_packed_anew(source):
    open_spikes(source)
    write(source, labels=[0, 0, 0])
    assert open_spikes(source).labels.tolist() == [0, 0, 0]


def replace_by_renaming(path, content):
    path.with_name("other").write_bytes(content)
    path.with_name("other").replace(path)


@pytest.mark.parametrize("replace", [Path.write_bytes, replace_by_renaming])
def test_a_file_replaced_by_one_of_equal_size_and_date_is_packed_anew(source, tmp_path, replace):
    other = write(tmp_path / "other.h5", labels=[0, 1, 1])
    date = source.stat().st_mtime_ns
    assert open_spikes(source).labels.tolist() == [1, 0, 1]
    first = sha256_of(source)
    assert other.stat().st_size == source.stat().st_size
    replace(source, other.read_bytes())
    os.utime(source, ns=(date, date))
    assert open_spikes(source).labels.tolist() == [0, 1, 1]
    assert sha256_of(source) != first


@pytest.mark.parametrize("note", [b"", b"no digest", b"zz" * 32, b"\xff" * 64, b"a" * 10**6, None])
def test_a_note_of_a_digest_that_is_none_is_made_anew(source, caches, note):
    first = sha256_of(source)
    caches.mkdir(exist_ok=True)
    assert sha256_of(source) == first
    (kept,) = caches.iterdir()
    kept.unlink()
    os.mkfifo(kept) if note is None else kept.write_bytes(note)
    assert sha256_of(source) == first


def crafted(**changes):
    """A cache as its file is, with a right checksum, but for some arrays."""

    def make(path):
        cache.save(path, arrays_of(path) | changes, about_of(path))

    return make


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
    "unit out of range": crafted(units=np.array([5, 700, 0], np.uint16)),
    "time that is no number": crafted(times=np.array([0.1, np.nan, 1], np.float16)),
    "infinite time": crafted(times=np.array([0.1, np.inf, 1], np.float32)),
    "time beyond the last": crafted(times=np.array([0.1, 0.25, 60.1], np.float64)),
    "negative time": crafted(times=np.array([-0.1, 0.25, 1], np.float32)),
    "times that descend": crafted(times=np.array([0.25, 0.1, 1], np.float16)),
    "big-endian times": crafted(times=np.array([0.1, 0.25, 1], ">f4")),
    "names that are not UTF-8": crafted(class_names=np.frombuffer(b"n\xff\0yes", np.uint8)),
    "a name that steers the terminal": crafted(class_names=np.frombuffer(b"n\x1b[2J\0yes", np.uint8)),
    "names that are alike": crafted(class_names=np.frombuffer(b"yes\0yes", np.uint8)),
    "an empty name": crafted(class_names=np.frombuffer(b"\0yes", np.uint8)),
    "a label without a name": crafted(labels=np.array([1, 0, 2])),
    "a negative label": crafted(labels=np.array([1, -2, 0])),
    "a label without end": crafted(labels=np.array([1, 0, 10**12]), class_names=np.frombuffer(b"", np.uint8)),
    "sample that ends before it starts": crafted(indptr=np.array([0, 2, 1, 3])),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "holes": lambda path: os.truncate(path, 10**12),
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
    monkeypatch.setattr(cache, "_checksum", None)
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
from lit_delays.data.storage import spike_files as files, cache as packing
made, save = [], packing.cache.save
packing.cache.save = lambda *words: (made.append(1), save(*words))
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
    assert about_of(packed)["file"][0] == source.stat().st_size
