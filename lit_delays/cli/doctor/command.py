"""``python -m lit_delays doctor``: whether this machine can train, and what to do where it cannot."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from platform import python_version
from tempfile import TemporaryFile
from typing import Any

import h5py
from packaging.requirements import Requirement

from lit_delays.cli import wandb_server
from lit_delays.cli.arguments import Arguments
from lit_delays.cli.doctor.devices import GIGABYTE, gpus, processes, processor
from lit_delays.cli.doctor.finding import Finding, State
from lit_delays.data.storage.cache import default_cache_dir
from lit_delays.data.storage.receipts import content_of, read_receipt
from lit_delays.data.storage.sources import SOURCES

LITTLE_SPACE, NO_SPACE = 10 * GIGABYTE, GIGABYTE
SOUND_HDF5 = (2, 2, 0)  # older ones have known flaws that a file made for it can use
SHOWN = re.compile(r"(CUDA|LIT_DELAYS|MKL|NCCL|NVIDIA|OMP|SLURM|TORCH|WANDB|XDG_CACHE)_?\w*")
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


def doctor(args: list[str]) -> None:
    """Check this machine: versions, devices, processes, folders, data and Weights & Biases.

    Exit code 1 if something fails. No key is shown: what is printed can go into a bug report.
    """
    parser = Arguments(prog="lit_delays doctor", description=doctor.__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data (data)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (runs)")
    options = parser.parse_args(args)
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "packages": packages,
        "hdf5": hdf5,
        "processor": processor,
        "processes": processes,
        "gpu": gpus,
        "folders": lambda: folders({"runs": options.runs, "cache": default_cache_dir()}),
        "data": lambda: data(options.data),
        "wandb": wandb,
        "environment": environment,
    }
    states = [show(finding) for what, look in looks.items() for finding in findings(what, look)]
    if "fail" in states:
        sys.exit(1)


def show(finding: Finding) -> str:
    """Print a finding at once, as the next one may take seconds; returns its state."""
    print(finding, flush=True)
    return finding.state


def findings(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a look finds; one that breaks is a finding too."""
    try:
        yield from look()
    except Exception as error:
        yield Finding("fail", what, f"{type(error).__name__}: {' '.join(str(error).split())}")


def packages() -> Iterator[Finding]:
    """Whether the installed versions are those that lit_delays asks for."""
    wanted = [Requirement(text) for text in metadata.requires("lit_delays") or []]
    wanted = [need for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})]
    installed = {need.name: metadata.version(need.name) for need in wanted}
    own = f"lit_delays {metadata.version('lit_delays')} on Python {python_version()}"
    yield Finding("ok", "packages", ", ".join([own, *(" ".join(pair) for pair in installed.items())]))
    for need in wanted:
        if not need.specifier.contains(installed[need.name], prereleases=True):
            advice = f'pip install "{need.name}{need.specifier}"'
            yield Finding("fail", need.name, f"{installed[need.name]}, not {need.specifier}", advice)


def hdf5() -> Iterator[Finding]:
    """Whether the library that reads data files has known flaws."""
    version = tuple(map(int, h5py.version.hdf5_version.split(".")[:3]))
    advice = (
        "" if version >= SOUND_HDF5 else "read files of people you trust; a later h5py will have HDF5 2.2"
    )
    found = f"{h5py.version.hdf5_version}, in h5py {h5py.version.version}"
    yield Finding("warn" if advice else "ok", "hdf5", found, advice)


def folders(places: dict[str, Path]) -> Iterator[Finding]:
    """Whether runs and the cache can be written, and how much."""
    for what, path in places.items():
        place = path.absolute()
        place = next(parent for parent in (place, *place.parents) if parent.exists())
        try:
            with TemporaryFile(dir=place) as file:
                file.write(b"x")
        except OSError as error:
            yield Finding(
                "fail", what, f"{path.absolute()} cannot be written: {error.strerror}", "chmod, or mount it"
            )
            continue
        free = shutil.disk_usage(place).free
        state: State = "fail" if free < NO_SPACE else "warn" if free < LITTLE_SPACE else "ok"
        advice = "" if state == "ok" else "free some, or choose another disk"
        yield Finding(state, what, f"{path.absolute()}, {free / GIGABYTE:.0f} GB free", advice)


def data(folder: Path) -> Iterator[Finding]:
    """Whether the public data sets are here, and still what was fetched."""
    for name, source in SOURCES.items():
        files = [folder / file for file in source.files.values()]
        fetch = f"python -m lit_delays data fetch {name} --data-dir {folder}"
        if not all(file.is_file() for file in files):
            yield Finding("warn", name, f"not in {folder.absolute()}", fetch)
            continue
        receipts = {file: read_receipt(file) for file in files}
        changed = [file.name for file, receipt in receipts.items() if receipt and not _agrees(file, receipt)]
        if changed:
            yield Finding(
                "fail", name, f"{', '.join(changed)} is not what was fetched", f"remove it; {fetch}"
            )
        else:
            known = "as fetched" if all(receipts.values()) else "not fetched by `data fetch`, so not compared"
            yield Finding("ok", name, f"in {folder.absolute()}, {known}")


def _agrees(file: Path, receipt: dict[str, Any]) -> bool:
    return all(receipt.get(what) == value for what, value in content_of(file).items())


def wandb() -> Iterator[Finding]:
    """Whether Weights & Biases would get a run."""
    host, _ = wandb_server.address()
    if not wandb_server.has_key():
        yield Finding("ok", "wandb", "no key: runs are kept offline; `wandb sync` sends them later")
    elif wandb_server.answers():
        yield Finding("ok", "wandb", f"a key is set (not shown), {host} answers")
    else:
        advice = "runs are kept offline; `wandb sync` them where there is a network"
        yield Finding("warn", "wandb", f"a key is set (not shown), {host} does not answer", advice)


def environment() -> Iterator[Finding]:
    """Variables that change what a run does, without their secrets."""
    shown = [
        f"{name}={redacted(name, value)}" for name, value in sorted(os.environ.items()) if SHOWN.match(name)
    ]
    yield Finding("ok", "environment", " ".join(shown) or "no variable that changes a run")


def redacted(name: str, value: str) -> str:
    """A value that may be shown.

    Example:
        >>> redacted("WANDB_API_KEY", "abc"), redacted("WANDB_BASE_URL", "https://me:abc@host")
        ('(set)', 'https://(set)@host')
    """
    return "(set)" if SECRET.search(name) else re.sub(r"//[^/@]*@", "//(set)@", value)
