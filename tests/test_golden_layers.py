"""Layers beyond the paper against the numbers of the code that defined them: spikes and gradients."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor, nn

from lit_delays.snn.delays import SummedDelays
from lit_delays.snn.neurons import (
    LIF,
    AdLIF,
    CAdLIF,
    CSiLIF,
    EFAdLIF,
    Neuron,
    SEAdLIF,
    SiLIF,
    SoftResetLIF,
)
from lit_delays.snn.operation import use
from lit_delays.snn.recurrence import run_recurrent
from lit_delays.snn.surrogates import ATan
from lit_delays.snn.synapses import RecurrentDelays

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
RECURRENT = [path for path in sorted(FOLDER.glob("*.npz")) if "recurrent" in meta_of(path).get("layer", "")]


def test_the_golden_layers_are_found() -> None:
    if not FOLDER.exists():
        pytest.skip(f"no golden layers at {FOLDER}")
    assert FILES
    assert RECURRENT


@pytest.fixture(params=["plain", "fused"])
def _form(request: pytest.FixtureRequest) -> Iterator[None]:
    with use(**({"neuron": "plain", "recurrent": "plain"} if request.param == "plain" else {})):
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


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("path", RECURRENT, ids=lambda path: path.stem)
def test_recurrent_delays_give_the_published_spikes_and_gradients(path: Path) -> None:
    golden, meta = np.load(path), meta_of(path)
    neuron, synapses = build_neuron(meta, golden), build_recurrent(meta, golden)
    current = torch.from_numpy(golden["current"]).requires_grad_()
    spikes = run_recurrent(neuron, synapses, current, torch.ones_like(current[0]))
    assert np.array_equal(spikes.detach().numpy(), golden["spikes"])
    (spikes * torch.from_numpy(golden["probe"])).sum().backward()
    close(current.grad, golden["grad.current"], 1e-10)
    for name, parameter in published_parameters(synapses).items():
        close(parameter.grad, golden[f"grad.{name}"], 1e-10)


def build_neuron(meta: dict[str, Any], golden: NpzFile) -> Neuron:
    kind = LIF if meta["reset"] == "hard to 0" else SoftResetLIF
    return kind(
        golden["current"].shape[-1],
        1.0,
        tau_mem_ms=meta["tau_steps"],
        v_threshold=meta["v_threshold"],
        surrogate={"atan": lambda: ATan(meta["alpha"])}[meta["surrogate"]],
        detach_reset=meta["detach_reset"],
    )


def build_recurrent(meta: dict[str, Any], golden: NpzFile) -> RecurrentDelays:
    num_neurons = golden["current"].shape[-1]
    learned = (meta["layer"].removeprefix("recurrent_"),)
    synapses = RecurrentDelays(
        num_neurons,
        num_neurons,
        1.0,
        delays=partial(SummedDelays, learned=learned),
        learn_spread=meta["learned_spread"],
    ).double()
    with torch.no_grad():
        for name, parameter in published_parameters(synapses).items():
            parameter.copy_(torch.from_numpy(golden[name]))
    synapses.sigma.fill_(meta["sigma"])
    return synapses


def published_parameters(synapses: RecurrentDelays) -> dict[str, nn.Parameter]:
    """By their names in the files."""
    (delay,) = synapses.delays.parameters()
    named = {"weight": synapses.weight, "delay": delay}
    return named if synapses.spread is None else named | {"p_spread": synapses.spread}


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
