"""Bytes changed at random: the reader refuses or reads, the cache is itself or nothing.

$LIT_DELAYS_FUZZ_SECONDS makes the search as long as you like, half of it for each.
"""

import os
import shutil
import struct
import time
from collections import Counter
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from lit_delays.data.storage import spike_files as files
from lit_delays.data.storage.cache import load
from lit_delays.errors import InputError
from lit_delays.security import subprocess_reader
from tests.data import fuzz_hdf5, hostile
from tests.data.forking import Forker

fit_together = partial(files.fit_together, num_units=700)
SECONDS = float(os.environ.get("LIT_DELAYS_FUZZ_SECONDS", 0)) / 2
NUMBERS = [0, 1, 2**16, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
VALUES = st.binary(min_size=1, max_size=8) | st.sampled_from([struct.pack("<Q", n) for n in NUMBERS])
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), VALUES), min_size=1, max_size=6)
CUTS = st.none() | st.integers(0, 2**20)


def packed_small(file, place):
    file.create_dataset(place, data=[1, 0, 1], chunks=(2,), compression="gzip", shuffle=True, fletcher32=True)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Good files in several formats."""
    folder = tmp_path_factory.mktemp("seeds")
    many = {"labels": np.zeros(100, int), "extra_speaker": np.arange(100)}
    many |= {f"spikes_{name}": tuple([[0.5, 0.7]] * 100) for name in ("times",)}
    many |= {"spikes_units": tuple([[3, 4]] * 100)}
    paths = [
        hostile.good(folder / "old.h5"),
        hostile.good(folder / "new.h5", libver="latest"),
        hostile.good(folder / "filters.h5", labels=packed_small),
        hostile.good(folder / "many.h5", libver="latest", **many),
    ]
    return [path.read_bytes() for path in paths]


def changed(content, changes, cut):
    content = bytearray(content)
    for place, value in changes:
        place %= len(content)
        content[place : place + len(value)] = value[: len(content) - place]
    return bytes(content if cut is None else content[: cut % len(content)])


def search(check, *strategies):
    """A few dozen examples, or as many as the time allows."""
    how = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    if not SECONDS:
        settings(**how, max_examples=60, derandomize=True)(given(*strategies)(check))()
    deadline, turn = time.monotonic() + SECONDS, 0

    @wraps(check)
    def while_there_is_time(**values):
        if time.monotonic() < deadline:
            check(**values)

    while time.monotonic() < deadline:
        turned = given(*strategies)(while_there_is_time)
        seed(turn)(settings(**how, max_examples=500, phases=[Phase.generate])(turned))()
        turn += 1


def test_a_file_with_changed_bytes_is_read_or_refused(seeds, tmp_path):
    outcomes = Counter()

    def check(which, changes, cut):
        path, caches = tmp_path / "fuzzed.h5", tmp_path / "caches"
        path.write_bytes(changed(seeds[which], changes, cut))
        try:
            arrays, sentence = files.open_spikes(path, cache_dir=caches), None
        except InputError as error:
            arrays, sentence = None, str(error)
        if arrays is None:
            outcomes["refused"] += 1
            outcomes["crashed"] += "crashes" in sentence
            outcomes["too long"] += "takes too long" in sentence
            assert sentence.isprintable()
            assert not any(caches.iterdir())
        else:
            outcomes["read"] += 1
            assert (arrays.units < 700).all()
            assert ((arrays.times >= 0) & (arrays.times <= 60)).all()
            assert len(arrays.names) <= 2**16
        shutil.rmtree(caches)

    search(check, st.integers(0, 3), CHANGES, CUTS)
    assert outcomes["read"] > 0 < outcomes["refused"]
    print(outcomes)


def test_a_cache_with_changed_bytes_is_itself_or_nothing(seeds, tmp_path):
    path = tmp_path / "good.h5"
    path.write_bytes(seeds[3])
    files.open_spikes(path, cache_dir=tmp_path / "caches")
    (packed,) = (tmp_path / "caches").iterdir()
    about = files._identity(path, 700)
    content, date = packed.read_bytes(), packed.stat().st_mtime_ns
    good = {name: np.array(array) for name, array in load(packed, about, fit_together).items()}
    outcomes = Counter()

    def check(changes, cut, with_its_date):
        damaged = Path(packed)
        damaged.write_bytes(changed(content, changes, cut))
        if with_its_date:
            os.utime(damaged, ns=(date, date))
        arrays = load(damaged, about, fit_together)
        outcomes["nothing" if arrays is None else "itself"] += 1
        if arrays is not None:
            assert fit_together(arrays)
            assert arrays.keys() == good.keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(array, good[name])

    search(check, CHANGES, CUTS, st.booleans())
    assert outcomes["itself"] > 0 < outcomes["nothing"]
    print(outcomes)


def test_the_checksum_of_structures_is_hdf5s(tmp_path):
    """As written by HDF5 behind its superblock, and as its author gives it."""
    assert fuzz_hdf5.lookup3(b"Four score and seven years ago") == 0x17770551
    content = hostile.good(tmp_path / "new.h5", libver="latest").read_bytes()
    assert fuzz_hdf5.lookup3(content[:44]) == int.from_bytes(content[44:48], "little")


def test_files_forged_in_their_structures_are_read_or_refused(tmp_path, monkeypatch):
    """`python -m tests.data.fuzz_hdf5` goes on for as long as you like."""
    forker = Forker(seconds=2)
    monkeypatch.setattr(subprocess_reader, "_started", forker)
    outcomes = fuzz_hdf5.fuzz(seconds=600, seed=0, most=90, keep=tmp_path / "forged")
    forker.close()
    assert outcomes["anything else"] == 0
    assert outcomes["read"] > 0 < outcomes["refused"]
