"""Files that are wrong where it counts: in the numbers that HDF5's structures are made of.

Bytes changed at random are mostly caught by a checksum. Here a change is one that a forger would make: a
length, an address, a version or a type inside a superblock, a header, a tree or a heap, in files of
superblocks 0, 2 and 3, and the checksum of what was changed is right again.

    python -m tests.data.fuzz_hdf5 --minutes 20 --seed 0

Every file must be refused in one line, or read as spikes that are as the layout has them.
"""

import argparse
import json
import random
import shutil
import struct
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lit_delays.data.storage.spike_files import fit_together, open_spikes
from lit_delays.errors import InputError
from lit_delays.security import subprocess_reader
from tests.data import hostile
from tests.data.forking import Forker

CHECKED = b"OHDR OCHK BTHD BTIN BTLF FRHP FHIB FSHD FSSE FAHD FADB EAHD EAIB EASB EADB".split()
UNCHECKED = b"TREE HEAP SNOD GCOL FHDB".split()
MASK, LONGEST = 2**32 - 1, 1024  # bytes of a structure with a checksum
NUMBERS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 127, 128, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, MASK]
NUMBERS += [2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1]
NUM_UNITS = 700


@dataclass(frozen=True)
class Part:
    """A structure of a file, from ``start`` to ``end``, after which its checksum is, if it has one."""

    start: int
    end: int
    is_checked: bool = False


class Good:
    """A good file: its bytes, its structures, and where it holds their addresses."""

    def __init__(self, path):
        self.content = path.read_bytes()
        self.parts = [*_superblock(self.content), *_marked(self.content), *_unmarked(path)]
        self.addresses = sorted({part.start for part in self.parts} - {0})
        numbers = ((place, _number(self.content, place)) for place in range(len(self.content) - 7))
        self.pointers = [place for place, number in numbers if number in self.addresses]

    def forged(self, draw):
        """The file with one to three numbers changed, and the checksums right."""
        content = bytearray(self.content)
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            self._change(content, draw)
        for part in self.parts:
            if part.is_checked and content[part.start : part.end] != self.content[part.start : part.end]:
                struct.pack_into("<I", content, part.end, lookup3(bytes(content[part.start : part.end])))
        return bytes(content)

    def _change(self, content, draw):
        """A number, an address, or a whole structure in place of another."""
        part, other = draw.choice(self.parts), draw.choice(self.parts)
        width = draw.choice([1, 2, 4, 8])
        place = draw.randrange(part.start, max(part.end - width, part.start) + 1)
        new = _changed(int.from_bytes(content[place : place + width], "little"), width, draw)
        what = draw.choice(["number"] * 4 + ["pointer", "swap"])
        if what == "pointer":
            place, width = draw.choice(self.pointers), 8
            new = draw.choice([*self.addresses, part.start + 8, len(content), 2**64 - 1]).to_bytes(
                8, "little"
            )
        elif what == "swap":
            place, width = part.start, min(part.end - part.start, other.end - other.start)
            new = content[other.start : other.start + width]
        content[place : place + width] = new


def _changed(number, width, draw):
    """Another number of so many bytes: an odd one, one nearby, or one with a bit turned."""
    near, bit = number + draw.choice([-8, -2, -1, 1, 2, 8]), number ^ 1 << draw.randrange(8 * width)
    value = draw.choice([draw.choice(NUMBERS), draw.choice(NUMBERS), near, bit])
    return (value % 2 ** (8 * width)).to_bytes(width, "little")


def _superblock(content):
    yield Part(0, 96) if content[8] < 2 else Part(0, 44, is_checked=True)


def _marked(content):
    """Structures that begin with their name."""
    for mark in CHECKED + UNCHECKED:
        place = content.find(mark)
        while place >= 0:
            end = place + 64 if mark in UNCHECKED else _checksum_after(content, place)
            if end is not None:
                yield Part(place, min(end, len(content)), mark in CHECKED)
            place = content.find(mark, place + 1)


def _checksum_after(content, start):
    """Where the checksum of a structure is: the first number that is one."""
    for end in range(start + 8, min(start + LONGEST, len(content) - 4)):
        if lookup3(content[start:end]) == struct.unpack_from("<I", content, end)[0]:
            return end
    return None


def _unmarked(path):
    """Headers of the old format, and the references of lists to their heaps."""
    with h5py.File(path) as file:
        found = [file, *(file[name] for name in ("spikes", "extra"))]
        found += [file[name] for name in ("spikes/times", "spikes/units", "labels", "extra/keys")]
        for item in found:
            yield Part(place := h5py.h5o.get_info(item.id).addr, place + 120)
        for item in found[3:]:
            if (place := item.id.get_offset()) is not None:
                yield Part(place, place + item.id.get_storage_size())


def _number(content, place):
    return struct.unpack_from("<Q", content, place)[0]


def lookup3(data):
    """Jenkins's hash, the checksum of HDF5's structures.

    Example:
        >>> hex(lookup3(b"Four score and seven years ago"))
        '0x17770551'
    """
    count = max(-(-len(data) // 12), 1)
    words = struct.unpack(f"<{3 * count}I", data.ljust(12 * count, b"\0"))
    a = b = c = (0xDEADBEEF + len(data)) & MASK
    for place in range(0, 3 * count, 3):
        a, b, c = (a + words[place]) & MASK, (b + words[place + 1]) & MASK, (c + words[place + 2]) & MASK
        if place < 3 * count - 3:
            for by in (4, 6, 8, 16, 19, 4):  # the three take turns
                a, b, c = b, (c + b) & MASK, (a - c & MASK) ^ _turned(c, by)
    for by in (14, 11, 25, 16, 4, 14, 24):
        a, b, c = b, (c ^ b) - _turned(b, by) & MASK, a
    return b


def _turned(value, by):
    return (value << by | value >> 32 - by) & MASK


def _chunked(file, place):
    how = {"chunks": (2,), "maxshape": (None,), "compression": "gzip", "shuffle": True, "fletcher32": True}
    file.create_dataset(place, data=[1, 0, 1], **how)


def _many_links(file, place):
    """A group of so many members that they are in a heap, or in a tree of several nodes."""
    for index in range(40):
        file.require_group("extra")[f"other{index}"] = index
    file[place] = [3, 3, 4]


def good_files(folder):
    """Files of superblocks 0, 2 and 3: whole, in filtered chunks, and with groups of many members."""
    kinds = {"plain": {}, "chunked": {"labels": _chunked}, "many": {"extra_speaker": _many_links}}
    for libver, version in (("earliest", 0), (("v108", "v108"), 2), ("latest", 3)):
        for kind, changes in kinds.items():
            path = hostile.good(folder / f"{kind}_{version}.h5", libver=libver, **changes)
            assert path.read_bytes()[8] == version
            yield Good(path)


def outcome(path, caches):
    """How a file ends: ``read``, ``refused``, or refused after its reader's bad end."""
    try:
        arrays = open_spikes(path, NUM_UNITS, caches)
    except InputError as error:
        sentence = str(error)
        assert sentence.isprintable()
        assert str(path) in sentence
        assert not any(caches.iterdir()), "a refused file left something in the cache"
        ends = {
            "crashes": "refused, its reader crashed",
            "takes too long": "refused, its reader took too long",
        }
        return next((end for word, end in ends.items() if word in sentence), "refused")
    stored = {name: getattr(arrays, name) for name in ("indptr", "times", "units", "labels")}
    names = np.frombuffer("\0".join(arrays.class_names).encode(), np.uint8)
    assert fit_together(stored | {"class_names": names}, NUM_UNITS)
    return "read"


def fuzz(seconds, seed, most=None, keep=None):
    """Try forged files until the time is over, or so many are tried; counts how they end.

    Args:
        seconds: How long.
        seed: Of what is drawn; the same seed tries the same files in the same order.
        most: Number of files.
        keep: Folder for files that end in any other way, with the traceback.
    """
    outcomes, end, turn = Counter(), time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as name:
        folder, caches = Path(name), Path(name, "caches")
        goods = list(good_files(folder))
        while time.monotonic() < end and (most is None or turn < most):
            draw = random.Random(f"{seed} {turn}")
            (folder / "forged.h5").write_bytes(goods[turn % len(goods)].forged(draw))
            try:
                outcomes[outcome(folder / "forged.h5", caches)] += 1
            except Exception:
                outcomes["anything else"] += 1
                _keep(folder / "forged.h5", keep, f"{seed}_{turn}")
            shutil.rmtree(caches, ignore_errors=True)
            turn += 1
    return outcomes


def _keep(path, keep, name):
    traceback.print_exc()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, keep / f"{name}.h5")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("forged"), help="folder for what ends otherwise")
    options = parser.parse_args()
    forker = Forker(seconds=2)  # thirty times what a good file of this size takes
    subprocess_reader._started = forker
    outcomes = fuzz(60 * options.minutes, options.seed, keep=options.keep)
    forker.close()
    print(f"tried {outcomes.total():,}: " + json.dumps(dict(outcomes.most_common())))
    raise SystemExit(bool(outcomes["anything else"]))


if __name__ == "__main__":
    main()
