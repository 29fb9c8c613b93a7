"""Layers beyond the paper against the numbers of the code that defined them: spikes and gradients."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from lit_delays.snn.neurons import AdLIF, CAdLIF, CSiLIF, EFAdLIF, Neuron, SEAdLIF, SiLIF
from lit_delays.snn.operation import use

from .conftest import SHARED

FOLDER = Path(os.environ.get("LIT_DELAYS_GOLDEN_LAYERS", SHARED / "golden_layers"))
NEURONS: dict[str, type[Neuron]] = {
    "adlif": AdLIF,
    "cadlif": CAdLIF,
    "silif": SiLIF,
    "csilif": CSiLIF,
    "ef_adlif": EFAdLIF,
    "se_adlif": SEAdLIF,
}
ROUNDED = ("adlif", "cadlif", "silif", "csilif")  # their code hands spikes on in float32
STEP_MS = 4.0


def meta_of(path: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(str(np.load(path)["meta"]))
    return meta


FILES = [path for path in sorted(FOLDER.glob("*.npz")) if "neuron" in meta_of(path)]


def test_the_golden_layers_are_found() -> None:
    if not FOLDER.exists():
        pytest.skip(f"no golden layers at {FOLDER}")
    assert FILES


@pytest.fixture(params=["plain", "fused"])
def _form(request: pytest.FixtureRequest) -> Iterator[None]:
    with use(**({"neuron": "plain"} if request.param == "plain" else {})):
        yield


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_neuron_gives_the_published_spikes_and_gradients(path: Path) -> None:
    golden, meta = np.load(path), meta_of(path)
    neuron = build(meta, golden)
    current = torch.from_numpy(golden["current"]).requires_grad_()
    spikes = neuron(current)
    assert np.array_equal(spikes.detach().numpy(), golden["spikes"])
    (spikes * torch.from_numpy(golden["probe"])).sum().backward()
    tolerance = 1e-6 if meta["neuron"] in ROUNDED else 1e-10
    close(current.grad, golden["grad.current"], tolerance)
    for name, parameter in neuron.named_parameters():
        close(parameter.grad, golden[f"grad.{name}"], tolerance)


def build(meta: dict[str, Any], golden: NpzFile) -> Neuron:
    make: Callable[..., Neuron] = NEURONS[meta["neuron"]]
    ranges = {
        option: [STEP_MS * end for end in meta[key]]
        for option, key in (("tau_mem_ms", "tau_u_steps"), ("tau_adapt_ms", "tau_w_steps"))
        if key in meta
    }
    neuron = make(golden["current"].shape[-1], STEP_MS, **ranges).double()
    with torch.no_grad():
        for name, parameter in neuron.named_parameters():
            parameter.copy_(torch.from_numpy(golden[name]))
    return neuron


def close(mine: Tensor | None, theirs: np.ndarray, tolerance: float) -> None:
    """Equal relative to the largest entry: a small entry is a difference of large ones."""
    assert mine is not None
    expected = torch.from_numpy(theirs)
    torch.testing.assert_close(mine, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))
