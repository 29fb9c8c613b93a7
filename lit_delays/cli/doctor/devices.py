"""The parts of a machine that compute, and whether they talk to each other."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed

from lit_delays.cli.doctor.finding import Finding

GIGABYTE = 10**9
LITTLE_MEMORY = 4 * GIGABYTE  # the paper's SHD network takes about half of it
SECONDS = 180  # for processes to find each other; a busy machine takes a minute to start one
JOIN = "import sys; from lit_delays.cli.doctor.devices import join; join(1, int(sys.argv[1]), *sys.argv[2:])"


def processor() -> Iterator[Finding]:
    """Cores and memory, as a container or a job may use them."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    advice = "" if memory >= LITTLE_MEMORY else "give the job more memory, or a smaller --data.batch_size"
    found = f"{cores} cores, {memory / GIGABYTE:.0f} GB of memory, {torch.get_num_threads()} threads"
    yield Finding("warn" if advice else "ok", "processor", found, advice)


def gpus() -> Iterator[Finding]:
    """Whether the GPUs compute, and talk to each other."""
    count, built = torch.cuda.device_count(), torch.version.cuda
    if not count:
        if built or Path("/dev/nvidia0").exists():
            advice = "look at nvidia-smi; in a container, give it the GPUs (--gpus all, or apptainer's --nv)"
            if built is None:
                advice = "install the CUDA build of torch"
            yield Finding("warn", "gpu", f"none that torch finds (built for CUDA {built})", advice)
        else:
            yield Finding("ok", "gpu", "none: runs use the processor")
        return
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        ones = torch.ones(256, 256, device=f"cuda:{index}")
        right = bool(((ones @ ones) == 256).all())
        found = f"{properties.name}, {properties.total_memory / GIGABYTE:.0f} GB, CUDA {built}"
        yield Finding("ok" if right else "fail", f"gpu {index}", found)
    yield all_reduce("nccl", min(count, 2))
    if not (shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")):
        yield Finding("warn", "compiler", "none, and Triton needs one", "install gcc for the fused neurons")


def processes() -> Iterator[Finding]:
    """Whether two processes of this machine find each other."""
    yield all_reduce("gloo", 2)


def all_reduce(backend: str, count: int) -> Finding:
    """One sum over processes, as every step of a run on several devices makes."""
    with TemporaryDirectory() as folder:
        store = f"file://{folder}/store"
        words = [sys.executable, "-c", JOIN, str(count), backend, store]
        others = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(count - 1)]
        try:
            total = join(0, count, backend, store)
        except Exception as error:
            advice = "see NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME: the network between processes"
            return Finding("fail", backend, " ".join(str(error).split())[:200], advice)
        finally:
            for other in others:
                other.kill()  # it has given its part, or never will
                other.communicate()
    return Finding("ok" if total == count else "fail", backend, f"{count} processes add up to {total:g}")


def join(rank: int, count: int, backend: str, store: str) -> float:
    """Take part in the sum; every process brings a one."""
    device = f"cuda:{rank}" if backend == "nccl" else "cpu"
    torch.distributed.init_process_group(
        backend, init_method=store, rank=rank, world_size=count, timeout=timedelta(seconds=SECONDS)
    )
    try:
        one = torch.ones((), device=device)
        torch.distributed.all_reduce(one)
        return float(one)
    finally:
        torch.distributed.destroy_process_group()
