"""``python -m lit_delays encode``: recordings to spikes in SHD's layout, through the artificial inner ear."""

import hashlib
import shutil
import sys
import zlib
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lit_delays.audio.cochlea import AUDIO_RATE, SIZE, transfer_function
from lit_delays.audio.inner_ear import SIDE_BY_SIDE, sounds_to_spikes
from lit_delays.audio.recordings import Recording, find_recordings, read_recording, require_soundfile
from lit_delays.cli.arguments import Arguments
from lit_delays.data.class_names import check_class_names
from lit_delays.data.storage import array_file
from lit_delays.data.storage.array_file import Arrays
from lit_delays.data.storage.cache import default_cache_dir, packed_once
from lit_delays.data.storage.shd_layout import UNKNOWN, read_class_names
from lit_delays.data.storage.shd_writing import SpikeTrain, write_spikes
from lit_delays.errors import InputError
from lit_delays.progress import track
from lit_delays.security.hdf5_guard import open_hdf5

LabelRule = Literal["folder", "name", "none"]
EAR_VERSION = 3  # of the stored membrane and spikes; those of another version are made anew


@dataclass(frozen=True)
class Tag:
    """What the name of a recording says: its class and its speaker; empty for what it does not."""

    word: str
    speaker: str


@dataclass(frozen=True)
class Encoded:
    """Spikes of one recording.

    Attributes:
        times: Times in s, ascending.
        units: Channels.
        notes: What was done to the recording or is wrong with it, in words.
    """

    times: NDArray[np.float16]
    units: NDArray[np.uint16]
    notes: tuple[str, ...]


def encode(args: list[str]) -> None:
    """The command: encode the recordings, write them to one file, say what is in it.

    A bad recording is named and left out. What is encoded is kept beside the file until all recordings are,
    so that the same command goes on where it was cut off.
    """
    options = _checked(_parser().parse_args(args))
    require_soundfile()
    paths, left_out = find_recordings(options.audio)
    known = _names_in(options.keys_of) if options.keys_of else None
    words = {tag_of(path, options.labels).word for path in paths}
    check_class_names(sorted(words - {""}), "the names of classes, which `--labels` says where to find,")
    if left_out:
        number = f"{len(left_out):,} recording{'s' * (len(left_out) > 1)}"
        where = f"hidden or in folders of no word, such as {left_out[0]}"
        print(f"note: {number} left out, {where}.", file=sys.stderr)
    _ = _membrane()  # once, before there are many processes
    kept = options.output.parent / f".{options.output.name}.encoded"
    tags, good = [], []
    for path, found in zip(paths, _encoded(paths, options.seed, kept, options.jobs), strict=True):
        if isinstance(found, Encoded):
            tags.append(tag_of(path, options.labels))
            good.append(found)
        elif len(paths) == 1:
            raise InputError(found)
        else:
            print(f"left out: {found}", file=sys.stderr, flush=True)
    _write(options.output, tags, good, known)
    if num_bad := len(paths) - len(good):
        raise InputError(
            f"{options.output} lacks {num_bad:,} of {len(paths):,} recordings, named above; mend or remove"
            f" them and repeat the command. What is encoded is kept in {kept} until then."
        )
    shutil.rmtree(kept, ignore_errors=True)


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


def _names_in(keys_of: Path) -> tuple[str, ...]:
    with open_hdf5(keys_of) as file:
        names = read_class_names(file)
    if not names:
        raise InputError(f"{keys_of}: `extra/keys` must name the classes, got none; leave --keys-of out.")
    return names


def _encoded(paths: list[Path], seed: int, kept: Path, jobs: int) -> Iterator[Encoded | str]:
    """The spikes of every recording, in order, or what is wrong with it."""
    encode_some = partial(_encode_some, seed=seed, kept=kept)
    size = min(SIDE_BY_SIDE, -(-len(paths) // jobs))  # so that every job has some
    groups = [paths[first : first + size] for first in range(0, len(paths), size)]
    if jobs == 1:
        yield from track(chain.from_iterable(map(encode_some, groups)), "encoding", len(paths))
        return
    with ProcessPoolExecutor(min(jobs, len(groups)), get_context("spawn")) as pool:
        try:
            yield from track(chain.from_iterable(pool.map(encode_some, groups)), "encoding", len(paths))
        except BrokenProcessPool as error:
            raise InputError(
                "one of the --jobs ended early, perhaps for lack of memory; repeat the command with fewer to"
                " go on."
            ) from error


def _encode_some(paths: list[Path], seed: int, kept: Path) -> list[Encoded | str]:
    """Side by side; the chances of each depend on the seed and its sound alone, not on its neighbours."""
    found = [_read(path) for path in paths]
    samples = {_sha256(it.samples): it.samples for it in found if isinstance(it, Recording)}
    about = {sound: {"ear": EAR_VERSION, "seed": seed, "sound": sound} for sound in samples}
    spikes = {sound: array_file.load(kept / f"{sound}-{seed}", about[sound]) for sound in samples}
    new = [sound for sound, before in spikes.items() if before is None]
    seeds = [[seed, zlib.crc32(samples[sound].tobytes())] for sound in new]
    made = sounds_to_spikes([samples[sound] for sound in new], _membrane(), seeds)
    for sound, (times, units) in zip(new, made, strict=True):
        spikes[sound] = {"times": times, "units": units}
        array_file.save(kept / f"{sound}-{seed}", {"times": times, "units": units}, about[sound])
    return [it if isinstance(it, str) else _as_encoded(it, spikes[_sha256(it.samples)]) for it in found]


def _read(path: Path) -> Recording | str:
    try:
        return read_recording(path, AUDIO_RATE)
    except (InputError, OSError) as error:
        return str(error)


def _sha256(samples: NDArray[np.floating]) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()


def _as_encoded(recording: Recording, spikes: Arrays | None) -> Encoded:
    assert spikes is not None
    return Encoded(np.array(spikes["times"]), np.array(spikes["units"]), recording.notes)


@cache
def _membrane() -> NDArray[np.complex64]:
    """The membrane's response: takes seconds, so it is kept beside the packed spikes."""
    path, about = default_cache_dir() / "membrane.ear", {"version": EAR_VERSION, "steps": SIZE}
    stored = packed_once(
        path,
        about,
        "computing the membrane",
        lambda _: {"response": transfer_function().ravel()},
        _is_response,
    )
    response: NDArray[np.complex64] = stored["response"].reshape(-1, SIZE + 1)
    return response


def _is_response(arrays: Arrays) -> bool:
    """Whether a stored membrane is one, whoever stored it."""
    response = arrays.get("response", np.zeros(0))
    is_whole = response.dtype == np.complex64 and len(response) > 0 == len(response) % (SIZE + 1)
    return is_whole and bool(np.isfinite(response).all())


def _write(output: Path, tags: list[Tag], good: list[Encoded], known: tuple[str, ...] | None) -> None:
    if not good:
        raise InputError("none of the recordings can be encoded; what is wrong with each stands above.")
    names = tuple(sorted({tag.word for tag in tags if tag.word})) if known is None else known
    speakers = sorted({tag.speaker for tag in tags})
    samples = []
    for tag, found in zip(tags, good, strict=True):
        label = names.index(tag.word) if tag.word in names else UNKNOWN
        samples.append(SpikeTrain(found.times, found.units, label, speakers.index(tag.speaker)))
    write_spikes(output, samples, names, with_speakers="" not in speakers)
    _say(output, samples, Counter(note for found in good for note in found.notes))


def _say(output: Path, samples: list[SpikeTrain], notes: Counter[str]) -> None:
    for note, count in notes.items():
        print(f"note: {count:,} recording{'s were' if count > 1 else ' was'} {note}.", file=sys.stderr)
    unknown = sum(sample.label == UNKNOWN for sample in samples)
    spikes = sum(len(sample.times) for sample in samples) / len(samples)
    without = f", {unknown:,} of them without a known class" if unknown else ""
    print(f"{output}: {len(samples):,} samples{without}, {spikes:,.0f} spikes each on average")


def _checked(options: Namespace) -> Namespace:
    if options.jobs < 1 or options.seed < 0:
        raise InputError(
            f"`--jobs` must be at least 1 and `--seed` at least 0, got {options.jobs}, {options.seed}."
        )
    if options.output.is_dir():
        raise InputError(f"`--output` must be a file, got the folder {options.output}; name a file in it.")
    return options


def _parser() -> Arguments:
    parser = Arguments(
        prog="lit_delays encode",
        description="Turn wav and flac recordings into spikes of 700 channels in SHD's layout, with the"
        " artificial inner ear of the Heidelberg data sets.",
    )
    parser.add_argument(
        "audio",
        nargs="+",
        help="recordings of up to 8 s each, or folders of them; those in folders whose names start with _ are"
        " left out",
    )
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
