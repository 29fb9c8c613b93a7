"""``python -m lit_delays encode``: recordings to spikes in SHD's layout, through the artificial inner ear."""

import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.cochlea import AUDIO_RATE, SIZE, transfer_function
from lit_delays.audio.inner_ear import sound_to_spikes
from lit_delays.audio.recordings import find_recordings, read_recording, require_soundfile
from lit_delays.cli.arguments import Arguments
from lit_delays.data.storage.cache import default_cache_dir, packed_once
from lit_delays.data.storage.shd_layout import UNKNOWN, read_class_names
from lit_delays.data.storage.shd_writing import SpikeTrain, write_spikes
from lit_delays.errors import InputError
from lit_delays.progress import track
from lit_delays.security.hdf5_guard import open_hdf5

LabelRule = Literal["folder", "name", "none"]
EAR_VERSION = 2  # of the stored membrane; one of another version is made anew


@dataclass(frozen=True)
class Tag:
    """What the name of a recording says: its class and its speaker; empty for what it does not."""

    word: str
    speaker: str


def encode(args: list[str]) -> None:
    """The command: encode the recordings, write them to one file, say what is in it."""
    options = _parser().parse_args(args)
    if options.jobs < 1 or options.seed < 0:
        raise InputError(
            f"`--jobs` must be at least 1 and `--seed` at least 0, got {options.jobs}, {options.seed}."
        )
    require_soundfile()
    paths = find_recordings(options.audio)
    tags = [tag_of(path, options.labels) for path in paths]
    names = _class_names(tags, options.keys_of)
    _ = _membrane()  # once, before there are many processes
    samples, notes = [], Counter[str]()
    speakers = sorted({tag.speaker for tag in tags})
    for tag, (times, units, said) in zip(tags, _encoded(paths, options.seed, options.jobs), strict=True):
        label = names.index(tag.word) if tag.word in names else UNKNOWN
        samples.append(SpikeTrain(times, units, label, speakers.index(tag.speaker)))
        notes.update(said)
    write_spikes(options.output, samples, names, with_speakers="" not in speakers)
    _say(options.output, samples, notes)


def tag_of(path: Path, rule: LabelRule) -> Tag:
    """Class and speaker, as the recording's place or name tells them.

    Example:
        >>> tag_of(Path("yes/0a7c2a8d_nohash_0.wav"), "folder")
        Tag(word='yes', speaker='0a7c2a8d')
        >>> tag_of(Path("recordings/7_jackson_32.wav"), "name")
        Tag(word='7', speaker='jackson')
    """
    if rule == "none":
        return Tag("", "")
    if rule == "folder":
        speaker, is_marked, _ = path.stem.partition("_nohash_")
        return Tag(path.absolute().parent.name, speaker if is_marked else "")
    word, *rest = path.stem.split("_")
    return Tag(word, rest[0] if len(rest) > 1 else "")


def _class_names(tags: list[Tag], keys_of: Path | None) -> tuple[str, ...]:
    if keys_of is None:
        return tuple(sorted({tag.word for tag in tags if tag.word}))
    with open_hdf5(keys_of) as file:
        names = read_class_names(file)
    if not names:
        raise InputError(f"{keys_of}: `extra/keys` must name the classes, got none; leave --keys-of out.")
    return names


def _encoded(
    paths: list[Path], seed: int, jobs: int
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.uint16], tuple[str, ...]]]:
    """Times, units and notes of every recording, in order."""
    encode_one = partial(_encode_one, seed=seed)
    if jobs == 1:
        yield from track(map(encode_one, paths), "encoding", len(paths))
        return
    with ProcessPoolExecutor(min(jobs, len(paths)), get_context("spawn")) as pool:
        yield from track(pool.map(encode_one, paths), "encoding", len(paths))


def _encode_one(path: Path, seed: int) -> tuple[NDArray[np.float16], NDArray[np.uint16], tuple[str, ...]]:
    """Its chances depend on the seed and the sound alone, not on its place in the list."""
    recording = read_recording(path, AUDIO_RATE)
    times, units = sound_to_spikes(
        recording.samples, _membrane(), [seed, zlib.crc32(recording.samples.tobytes())]
    )
    return times, units, recording.notes


@cache
def _membrane() -> NDArray[np.complex64]:
    """The membrane's response: takes seconds, so it is kept beside the packed spikes."""
    path, about = default_cache_dir() / "membrane.ear", {"version": EAR_VERSION, "steps": SIZE}
    stored = packed_once(
        path, about, "computing the membrane", lambda _: {"response": transfer_function().ravel()}
    )
    response: NDArray[np.complex64] = stored["response"].reshape(-1, SIZE + 1)
    return response


def _say(output: Path, samples: list[SpikeTrain], notes: Counter[str]) -> None:
    for note, count in notes.items():
        print(f"note: {count:,} recording{'s were' if count > 1 else ' was'} {note}.", file=sys.stderr)
    unknown = sum(sample.label == UNKNOWN for sample in samples)
    spikes = sum(len(sample.times) for sample in samples) / len(samples)
    without = f", {unknown:,} of them without a known class" if unknown else ""
    print(f"{output}: {len(samples):,} samples{without}, {spikes:,.0f} spikes each on average")


def _parser() -> Arguments:
    parser = Arguments(
        prog="lit_delays encode",
        description="Turn wav and flac recordings into spikes of 700 channels in SHD's layout, with the"
        " artificial inner ear of the Heidelberg data sets.",
    )
    parser.add_argument("audio", nargs="+", help="recordings of up to 8 s each, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument(
        "--labels",
        choices=get_args(LabelRule),
        default="folder",
        help="where the class of a recording is: in its folder's name, as yes/SPEAKER_nohash_0.wav (the"
        " default); in its own, as yes_SPEAKER_0.wav; or none is known",
    )
    parser.add_argument(
        "--keys-of",
        type=Path,
        metavar="TRAIN.h5",
        help="name and number classes as this file does; other words become samples without a class",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the auditory nerve's chances")
    parser.add_argument(
        "--jobs", type=int, default=1, help="processes; the spikes are the same for any number"
    )
    return parser
