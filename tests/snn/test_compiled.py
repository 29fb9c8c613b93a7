"""Transforms in compiled loops are the sums of their definition, for any number of signals and threads."""

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast import compiled
from lit_delays.snn.fast.compiled import normed_lif_loops, stages

if stages() is None:
    pytest.skip("numba is not installed", allow_module_level=True)

from lit_delays.snn.fast.compiled import threads
from lit_delays.snn.fast.compiled.transform import Transform, make_transform
from lit_delays.snn.fast.compiled.vectors import BYTES
from lit_delays.snn.surrogates import ATan

MIXTURES = ((1.0, 1.0), (0.5, 0.0), (0.0, -2.0))
HALVES = [2, 3, 5, 6, 16, 60, 75, 512, 1280]  # of the last a single vector fills the cache
CPU = torch.device("cpu")


def definition(half: int, num_steps: int) -> Tensor:
    """Rows of the transform, groups of frequencies first, shape ``(G R, T)``."""
    num_groups, num_rows = transform(half, torch.float64).size
    frequency = torch.arange(num_groups)[:, None] + num_groups * torch.arange(num_rows // 3)
    phase = (4 * frequency.flatten()[:, None] + 1) * torch.arange(num_steps)
    angle = torch.pi * (phase % (4 * half)).double() / (2 * half)
    parts = torch.stack([angle.cos(), -angle.sin()])
    return torch.einsum("mp,pft->fmt", torch.tensor(MIXTURES).double(), parts).flatten(0, 1)


def transform(half: int, dtype: torch.dtype) -> Transform:
    return make_transform(2 * half, 0, 2 * half, MIXTURES, dtype, CPU)


@settings(max_examples=60, deadline=None)
@given(
    half=st.sampled_from(HALVES),
    steps=st.integers(1, 40),
    signals=st.integers(1, 70),
    pieces=st.integers(1, 3),
)
def test_a_transform_and_its_transpose_are_those_of_the_definition(
    half: int, steps: int, signals: int, pieces: int
) -> None:
    steps, made = min(steps, 2 * half), transform(half, torch.float64)
    rows, (num_groups, num_rows) = definition(half, steps), made.size
    x, spectrum = torch.randn(steps, 1, signals).double(), torch.randn(*made.size, 1, signals).double()
    out, back = torch.full_like(spectrum, math.nan), torch.ones_like(x)
    for first in range(0, num_groups, pieces):
        groups = slice(first, min(first + pieces, num_groups))
        made.forward(x, out[groups], groups)
        made.backward(spectrum[groups], back, groups, adds=True)
    expected = (rows @ x.flatten(1)).view(num_groups, num_rows, 1, signals)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    expected = 1 + (rows.T @ spectrum.flatten(0, 1).flatten(1)).view(x.shape)
    torch.testing.assert_close(back, expected, rtol=1e-10, atol=1e-9)
    made.backward(spectrum, back)
    torch.testing.assert_close(back, expected - 1, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spikes_as_bytes_are_the_same_signals(dtype: torch.dtype) -> None:
    spikes, made = torch.rand(30, 3, 9) > 0.5, transform(16, dtype)
    outs = [torch.empty(*made.size, 3, 9, dtype=dtype) for _ in range(2)]
    made.forward(spikes, outs[0])
    made.forward(spikes.to(dtype), outs[1])
    assert torch.equal(*outs)


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("has_team", [True, False])
def test_the_number_and_kind_of_threads_changes_nothing(
    num_threads: int, has_team: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, made, before = torch.randn(100, 15, 301), transform(60, torch.float32), torch.get_num_threads()
    alone, shared = (torch.empty(*made.size, 15, 301) for _ in range(2))
    try:
        torch.set_num_threads(1)
        made.forward(x, alone)
        if not has_team:
            monkeypatch.setattr(threads, "_team", lambda: None)
        torch.set_num_threads(num_threads)
        made.forward(x, shared)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, shared)


def test_every_thread_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, lend, before = [], threads.scratch, torch.get_num_threads()

    def counted(name: str, shape: tuple[int, ...], *rest: Any) -> Tensor:
        sizes.append(shape[0])
        return lend(name, shape, *rest)

    monkeypatch.setattr(threads, "scratch", counted)
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            transform(16, torch.float32).forward(torch.ones(9, 1, 40), torch.empty(4, 12, 1, 40))
    finally:
        torch.set_num_threads(before)
    alone, three = (size - BYTES for size in sizes)
    assert three == 3 * alone > 0


@pytest.mark.parametrize(
    "failure", [RuntimeError("no locator available"), OSError("No space left on device")]
)
def test_loops_that_cannot_be_kept_are_compiled_in_every_process(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threads.numba.cfunc

    def refuse(signature: object, cache: bool = False) -> object:
        if cache:
            raise failure
        return real(signature)

    monkeypatch.setattr(threads.numba, "cfunc", refuse)
    monkeypatch.setattr(threads, "_compiled", threads._compiled.__wrapped__)
    made = transform(3, torch.float32)
    x, out = torch.randn(5, 1, 20), torch.empty(1, 9, 1, 20)
    made.forward(x, out)
    expected = definition(3, 5).float() @ x.flatten(1)
    torch.testing.assert_close(out.view(9, 20), expected, rtol=1e-5, atol=1e-5)


def test_kept_loops_belong_to_these_very_sources() -> None:
    sources = Path(threads.__file__).parent
    kept = {path.name for path in (sources / "__pycache__").glob("loops_*")}
    assert f"loops_{threads._digest()}" in kept
    assert not Path(threads.numba.config.CACHE_DIR).name.startswith("loops_")  # numba's own, for others


DEFAULT_DEVICE = """
from functools import partial

import torch
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.synapses import SynapticDelays

kinds = partial(SynapticDelays, fan_in=None), partial(SynapticDelays, fan_in=6)
networks = [Network(NetworkConfig(synapses=kind)) for kind in kinds]
x = torch.ones(40, 32, 140)
torch.set_default_device("meta")
for network in networks:
    network(x).sum().backward()
    print(network.readout.synapses.weight.grad.device, flush=True)
"""


def test_the_default_device_is_that_of_new_tensors_and_not_of_ours() -> None:
    ran = subprocess.run([sys.executable, "-c", DEFAULT_DEVICE], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "cpu\ncpu\n"), ran.stderr


def test_loops_of_a_package_of_another_user_are_kept_in_ones_own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package := tmp_path / "package").mkdir()
    for source in Path(threads.__file__).parent.glob("*.py"):
        shutil.copy(source, package)
    monkeypatch.setattr(threads, "__file__", str(package / "threads.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    find = threads._folder.__wrapped__
    assert find().parent == package / "__pycache__"
    shutil.rmtree(package / "__pycache__")
    (package / "__pycache__").touch()  # no folder can be made there
    assert find().parent == tmp_path / "lit_delays"
    monkeypatch.setenv("XDG_CACHE_HOME", str(package / "threads.py"))
    assert find() is None


def test_where_nothing_can_be_kept_loops_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_folder", lambda: None)
    monkeypatch.setattr(threads, "_compiled", threads._compiled.__wrapped__)
    x, before = torch.ones(5, 1, 20), threads.numba.config.CACHE_DIR
    transform(3, torch.float32).forward(x, out := torch.empty(1, 9, 1, 20))
    torch.testing.assert_close(out.view(9, 20), definition(3, 5).float() @ x.flatten(1), rtol=1e-5, atol=1e-5)
    assert before == threads.numba.config.CACHE_DIR


def test_a_change_in_any_source_makes_new_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = sorted(Path(threads.__file__).parent.glob("*.py"))
    for source in sources:
        shutil.copy(source, tmp_path)
    monkeypatch.setattr(threads, "__file__", str(tmp_path / "threads.py"))
    digests = {threads._digest.__wrapped__()}
    for source in sources:
        with (tmp_path / source.name).open("a") as file:
            file.write("# changed\n")
        digests.add(threads._digest.__wrapped__())
    monkeypatch.setattr(threads.binding, "get_host_cpu_name", lambda: "another")
    digests.add(threads._digest.__wrapped__())
    assert len(digests) == 2 + len(sources)


def test_large_sums_are_compiled_and_without_numba_they_are_products(monkeypatch: pytest.MonkeyPatch) -> None:
    x, kernel = torch.randn(100, 64, 64), torch.randn(25, 64, 64)
    assert [form.name for form in delayed_sum._forms if form.can(x, kernel, 112)] == ["compiled", "spectral"]
    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.stages", lambda: None)
    assert [form.name for form in delayed_sum._forms if form.can(x, kernel, 112)] == ["spectral"]


def test_a_numba_that_does_not_start_is_told_once_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("wants NumPy 9")

    monkeypatch.setattr(compiled, "import_module", broken)
    with pytest.warns(UserWarning, match="numba does not start, so loops run without it: wants NumPy 9"):
        assert not compiled._starts.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "lit_delays.snn.fast.compiled.vectors", None)  # not installed
    assert not compiled._starts.__wrapped__()
    monkeypatch.setattr(compiled, "_starts", lambda: False)
    assert stages() is None
    assert normed_lif_loops(torch.zeros(3, 4, 64), ATan()) is None


def test_numba_is_imported_by_the_first_large_sum_and_not_before() -> None:
    code = (
        "import sys, torch, lit_delays.snn\n"
        "from lit_delays.snn.delayed_sum import delayed_sum as add\n"
        "add(torch.ones(5, 1, 1), torch.ones(2, 1, 1), 5); print('numba' in sys.modules)\n"
        "add(torch.ones(100, 64, 64), torch.ones(25, 64, 64), 112); print('numba' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert ran.stdout.split() == ["False", "True"]


SUMS = """
for dtype in dtypes:
    made = make_transform(120, 0, 120, ((1, 1), (1, 0), (0, 1)), dtype, torch.device("cpu"))
    x, spectrum = torch.ones(120, 1, 40, dtype=dtype), torch.empty(*made.size, 1, 40, dtype=dtype)
    made.forward(x, spectrum)
    sums.append(float(spectrum.abs().sum()))
    if len(dtypes) > 1:
        made.backward(spectrum, x)
        sums.append(float(x.abs().sum()))
"""
IN_A_PROCESS = """
import torch
from lit_delays.snn.fast.compiled import threads
from lit_delays.snn.fast.compiled.transform import make_transform
threads._digest = lambda: "test"
sums = []
"""


def test_loops_that_several_processes_kept_do_not_stand_for_each_other() -> None:
    """They meet in a process by name: two inner functions once had the same, and it ended in a fault."""
    kept = Path(threads.__file__).parent / "__pycache__" / "loops_test"
    shutil.rmtree(kept, ignore_errors=True)
    told, waits = [], []
    try:
        for dtypes in ("[torch.float32]", *["[torch.float32, torch.float64]"] * 2):
            code = f"{IN_A_PROCESS}dtypes = {dtypes}{SUMS}print(*sums)"
            ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            told.append([float(word) for word in ran.stdout.split()])
            waits.append(ran.stderr)
    finally:
        shutil.rmtree(kept, ignore_errors=True)
    sums: list[float] = []
    here = {"torch": torch, "make_transform": make_transform, "sums": sums}
    exec(SUMS, here | {"dtypes": [torch.float32, torch.float64]})
    assert told == [pytest.approx(some, rel=1e-6) for some in (sums[:1], sums, sums)]
    assert waits == ["compiling loops for this CPU, once: some ten seconds\n", "", ""]
