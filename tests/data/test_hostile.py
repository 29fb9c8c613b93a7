"""No file of a stranger takes the trainer along, whatever it is made of."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest

from lit_delays.data.storage.spike_files import READER, fit_together, open_spikes
from lit_delays.errors import InputError
from lit_delays.security import reader_process as reader
from lit_delays.security import subprocess_reader
from lit_delays.security.stored_bytes import stored_bytes
from tests.data import hostile

with TemporaryDirectory() as folder:
    hostile.make_damages(Path(folder))

SECONDS = 10  # of processor time


def refusal(path):
    with pytest.raises(InputError) as refused:
        open_spikes(path)
    sentence = str(refused.value)
    assert str(path) in sentence
    assert len(sentence.splitlines()) == 1
    assert sentence.isprintable()
    assert len(sentence) < 1100
    return sentence


def test_there_are_more_than_a_hundred_hostile_files():
    assert len(hostile.MAKERS) >= 100


@pytest.mark.parametrize("name", hostile.MAKERS)
def test_a_hostile_file_is_refused_in_one_line(name, tmp_path, caches, forker):
    path = tmp_path / "stranger.h5"
    hostile.good(tmp_path / "stranger.h5.other")
    hostile.MAKERS[name](path)
    forker.last = None
    print(refusal(path))
    assert not caches.exists() or list(caches.iterdir()) == []
    if forker.last is not None:  # a reader looked at it
        assert forker.last.peak < reader.MEMORY
        assert forker.last.seconds < SECONDS


@pytest.mark.whole_path
@pytest.mark.parametrize("name", ["a_list_of_four_billion", "external_link", "time_that_is_no_number"])
def test_a_hostile_file_is_refused_by_the_reader_in_its_own_process(name, tmp_path, capfd):
    hostile.MAKERS[name](tmp_path / "stranger.h5")
    refusal(tmp_path / "stranger.h5")
    assert capfd.readouterr() == ("", "")


ENDS = {
    "os.kill(os.getpid(), signal.SIGSEGV)": "crashes HDF5's library (SIGSEGV)",
    "os.abort()": "crashes HDF5's library (SIGABRT)",
    "os.kill(os.getpid(), signal.SIGKILL)": "had its reader killed, perhaps for lack of memory",
    "[0 for _ in iter(int, 1)]": "takes too long to read",
    "os._exit(0)": "cannot be read: its reader ended early",
    "os._exit(7)": "cannot be read: its reader ended early",
    "real(*_)\nopen(str(_[3]) + '/times.float16', 'ab').write(b'one more')": "its reader ended early",
    "print('[[['); print('null'); print('7'); os._exit(0)": "cannot be read: its reader ended early",
    "bytearray(2**31)": "needs more than 1,024 MB of memory",
    "open('/dev/full', 'w', 1).write('x' * 10**6)": "cannot be read",
}
ILL_READER = """
import os, signal, sys
from lit_delays.security import reader_process as reader
reader.SECONDS = 1
real = reader.extract
reader.extract = lambda *_: exec(sys.argv[5])
reader.main()
"""


@pytest.mark.parametrize("end", ENDS)
def test_a_reader_that_ends_badly_is_one_sentence(end, tmp_path, caches, monkeypatch, capfd):
    def started(reader, path, options, folder):
        command = [sys.executable, "-c", ILL_READER, reader, path, json.dumps(options), folder, end]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, **pipes)

    monkeypatch.setattr(subprocess_reader, "_started", started)
    assert ENDS[end] in refusal(hostile.good(tmp_path / "stranger.h5"))
    assert list(caches.iterdir()) == []
    assert capfd.readouterr() == ("", "")


SPY = """
import os, resource, sys
from lit_delays.security import reader_process as reader
reader.main()
light = not {"torch", "lightning", "rich", "lit_delays.data.module"} & set(sys.modules)
memory, core = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_CORE))
secret, plugins = os.environ.get("WANDB_API_KEY"), os.environ["HDF5_PLUGIN_PRELOAD"]
print([light, memory == reader.MEMORY, core == 0, secret, plugins])
"""


@pytest.mark.whole_path
def test_the_reader_is_light_limited_and_knows_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    said, popen = [], subprocess.Popen

    def spied(command, **pipes):
        process = popen([*command[:2], "-c", SPY, *command[4:]], **pipes)
        said.extend(process.stdout.read().splitlines())
        return process

    monkeypatch.setattr(subprocess, "Popen", spied)
    (tmp_path / "folder").mkdir()
    good = hostile.good(tmp_path / "good.h5")
    options = {"num_units": 700}
    fits = partial(fit_together, **options)
    subprocess_reader.read_in_subprocess(READER, good, options, tmp_path / "folder", fits)
    assert said[-1] == "[True, True, True, None, '::']"


def test_a_question_about_a_link_does_not_follow_it(tmp_path):
    """h5py's ``in`` opens what an external link points to; a pipe would hold it up for ever."""
    os.mkfifo(tmp_path / "pipe")
    path = hostile.good(
        tmp_path / "stranger.h5", labels=hostile.link(h5py.ExternalLink, str(tmp_path / "pipe"), "labels")
    )
    assert "must not be a link" in refusal(path)


def with_a_hole(path, place, length):
    """A hole of so many bytes in a file, which takes no room on the disk."""
    content = path.read_bytes()
    with path.open("wb") as file:
        file.write(content[:place])
        file.seek(length, os.SEEK_CUR)
        file.write(content[place:])
        file.truncate()


@pytest.mark.parametrize("at_the_end", [True, False])
def test_a_file_of_holes_is_refused_at_once_whatever_its_size(at_the_end, tmp_path, caches, forker):
    path = tmp_path / "stranger.h5"
    hostile.one_list_ten_thousand_times(path)
    stored = path.stat().st_size
    if at_the_end:
        os.truncate(path, 10**12)
    else:
        with_a_hole(path, stored, 10**12 - stored - 4096)
        with path.open("ab") as file:
            file.write(bytes(4096))
    sentence = refusal(path)
    assert "must hold the 1,000,000,000,000 bytes of its size, got " in sentence
    assert sentence.endswith(" and holes; get the file anew.")
    assert reader.seconds_for(path) < 30
    assert forker.last.seconds < SECONDS


def test_a_small_hole_adds_no_spikes(tmp_path):
    """Lists that share data need room for each: of what is stored."""
    path = tmp_path / "stranger.h5"
    hostile.one_list_ten_thousand_times(path)
    os.truncate(path, path.stat().st_size * 3 // 2)
    assert "lists must not share data" in refusal(path)


def test_a_good_file_with_a_small_hole_is_read(tmp_path):
    path = hostile.good(tmp_path / "good.h5")
    os.truncate(path, path.stat().st_size + 4096)
    assert len(open_spikes(path)) == 3


def test_stored_bytes_are_those_between_the_holes(tmp_path):
    path = tmp_path / "file"
    for content, hole in ((b"", 0), (bytes(10), 0), (b"x" * 2**20, 2**30), (b"", 2**30)):
        path.write_bytes(content)
        os.truncate(path, len(content) + hole)
        assert stored_bytes(path) == len(content)


def test_the_time_of_a_reader_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "stored_bytes", lambda path: 10**15)
    assert reader.seconds_for(hostile.good(tmp_path / "good.h5")) == reader.MOST_SECONDS


def test_names_may_be_in_any_language(tmp_path):
    names = ["null", "zéro", "零"]
    path = hostile.good(tmp_path / "names.h5", extra_keys=np.array(names, object), labels=[2, 0, 1])
    assert open_spikes(path).class_names == tuple(names)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_good_files_of_old_and_new_format_are_read(tmp_path, libver):
    assert len(open_spikes(hostile.good(tmp_path / "good.h5", libver=libver))) == 3
