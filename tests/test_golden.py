"""A port started from the reference's first parameters must follow its whole training, to the last digits."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor
from torch.nn import functional as F

from lit_delays.deploy.deploy import deploy
from lit_delays.snn.fast.circle import Circle, Dft
from lit_delays.snn.fast.compiled import stages
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, PLIF, Heaviside, Neuron
from lit_delays.snn.operation import use
from lit_delays.snn.readout import class_scores
from lit_delays.snn.surrogates import ATan
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer, schedule_optimizer
from lit_delays.training.schedules import sigma_at

from .conftest import GOLDEN

FILES = [path for path in sorted(GOLDEN.glob("*.npz")) if "meta" in np.load(path)]
DELAYS = {"snn_delays": "learned", "snn_delays_lr0": "fixed", "snn": "none"}
NEURONS: dict[str, type[Neuron]] = {"lif": LIF, "plif": PLIF, "heaviside": Heaviside}
DECISIONS = {"sum": "sum", "mean": "mean", "max": "max", "spike_count": "spike_count"}
WEIGHT_LR, DELAY_LR = 5e-3, 0.1
OFFSET = 0.27  # between the true width and what the reference stores


def test_the_golden_files_are_found() -> None:
    if not GOLDEN.exists():
        pytest.skip(f"no golden files at {GOLDEN}")
    assert FILES


COMPILED = pytest.param("compiled", marks=pytest.mark.skipif(stages() is None, reason="no numba"))


@pytest.fixture(params=["plain", "spectral", COMPILED])
def _algorithm(request: pytest.FixtureRequest) -> Iterator[None]:
    with use(delayed_sum=request.param):
        yield


@pytest.fixture(params=["plain", "fused"])
def _neurons(request: pytest.FixtureRequest) -> Iterator[None]:
    plain = {"neuron": "plain", "layer": "plain", "soft_kernel": "plain"}
    with use(**(plain if request.param == "plain" else {})):
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_reference_starts_with_weights_as_large_as_ours_sparse_or_not(path: Path) -> None:
    golden = np.load(path)
    torch.manual_seed(0)
    meta = json.loads(str(golden["meta"]))
    ours = Network(network_config(meta, fan_in=8 if meta["sparsity"] else None))
    for index, layer in enumerate(ours.named_synapses().values()):
        theirs = abs(golden[f"init.weight{index}"]).max()
        assert theirs == pytest.approx(layer.weight.abs().max().item(), rel=0.1)


@pytest.mark.usefixtures("_algorithm", "_neurons")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_reference_training_is_followed(path: Path) -> None:
    golden = np.load(path)
    meta = json.loads(str(golden["meta"]))
    network = build(meta, golden)
    follow(network, meta, golden)
    network.eval()
    close(network(counts(golden, 0)), golden["eval.output"], rtol=1e-6)
    close(deploy(network)(counts(golden, 0)), golden["eval.output"], rtol=1e-6)


@pytest.mark.parametrize(("form", "which"), [("spectral", 0), ("spectral", 3), ("compiled", 2)])
@pytest.mark.parametrize("path", FILES[:2], ids=lambda path: path.stem)
def test_the_reference_training_is_followed_by_every_transform(
    path: Path, form: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks, with transforms of one product, of two or in stages, whatever the cost."""

    def in_blocks(dft: Dft, num_steps: int, num_lags: int, *_: int) -> Circle:
        block = max(1, num_steps // 3)
        return Circle(block, *dft.circles(block + num_lags - 1)[which], 0.0)

    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.cheapest_circle", in_blocks)
    golden = np.load(path)
    meta = json.loads(str(golden["meta"]))
    with use(delayed_sum=form):
        follow(build(meta, golden), meta, golden)


def follow(network: Network, meta: dict[str, Any], golden: NpzFile) -> None:
    config = OptimizerConfig(weight_lr=WEIGHT_LR, delay_lr=DELAY_LR)
    optimizer = make_optimizer(network, config)
    for epoch in range(meta["epochs"]):
        anneal(network, meta, golden, epoch)
        schedule_optimizer(optimizer, config, epoch, meta["epochs"])
        check_rates(optimizer, golden["lr_w,beta1,lr_pos"][epoch])
        for step in range(meta["steps"]):
            optimizer.zero_grad()
            output = network(counts(golden, step))
            labels = torch.from_numpy(golden[f"y{step}"])
            loss = F.cross_entropy(class_scores(output, network.config.decision), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            close(loss, golden["losses"][epoch * meta["steps"] + step])
            if epoch == step == 0:
                close(output, golden["first.output"])
                check_gradients(network, golden)
            optimizer.step()
            network.constrain()
        if epoch == 0:
            check_parameters(network, golden, "epoch1")
    check_parameters(network, golden, "final")


def network_config(meta: dict[str, Any], fan_in: int | None) -> NetworkConfig:
    return NetworkConfig(
        num_inputs=meta["I"],
        num_classes=meta["O"],
        time_step_ms=1.0,
        hidden_sizes=[meta["H"]] * meta["hidden_layers"],
        synapses=partial(
            SynapticDelays,
            delays=DELAYS[meta["model"]],  # type: ignore[arg-type]
            max_delay_ms=meta["max_delay"],
            num_synapses=meta["kernel_count"],
            fan_in=fan_in,
        ),
        neuron=partial(NEURONS[meta["neuron"]], **neuron_options(meta)),  # type: ignore[arg-type]
        synapse_tau_ms=2.0 if meta["synapse_filter"] else None,
        dropout=meta["dropout"],
        decision=DECISIONS[meta["loss"]],  # type: ignore[arg-type]
    )


def neuron_options(meta: dict[str, Any]) -> dict[str, Any]:
    options = {"v_threshold": meta["v_threshold"], "surrogate": partial(ATan, slope=meta["alpha"])}
    return options if meta["neuron"] == "heaviside" else options | {"tau_mem_ms": meta["tau_steps"]}


def build(meta: dict[str, Any], golden: NpzFile) -> Network:
    network = Network(network_config(meta, fan_in=1 if meta["sparsity"] else None)).double()
    with torch.no_grad():
        for mine, theirs in matched(network, golden, "init"):
            mine.copy_(theirs.view_as(mine))
        for index, layer in enumerate(network.named_synapses().values()):
            if layer.mask is not None:
                layer.mask.copy_(torch.from_numpy(golden[f"mask{index}"]))
    return network


def matched(network: Network, golden: NpzFile, moment: str) -> list[tuple[Tensor, Tensor]]:
    """Every tensor of ours beside the reference's at a moment of its training."""
    pairs = []

    def pair(mine: Tensor, name: str) -> None:
        pairs.append((mine, torch.from_numpy(np.asarray(golden[f"{moment}.{name}"]))))

    for index, layer in enumerate(network.named_synapses().values()):
        pair(layer.weight, f"weight{index}")
        if layer.delay is not None:
            position = torch.from_numpy(golden[f"{moment}.P{index}"][0])
            pairs.append((layer.delay, layer.num_lags // 2 - position))
    for index, block in enumerate(network.layers):
        for name in ("weight", "bias", "running_mean", "running_var"):
            pair(getattr(block.norm, name), f"bn{index}_{name}")
    for index, layer in enumerate(network.named_layers().values()):
        if hasattr(layer.neuron, "leak_logit"):
            pair(layer.neuron.leak_logit, f"plif_w{index}")
    return pairs


def anneal(network: Network, meta: dict[str, Any], golden: NpzFile, epoch: int) -> None:
    if not network.learns_delays:
        return
    start = meta["max_delay"] // 2 + OFFSET
    sigma = sigma_at(epoch, "exponential", start=start, final=0.5, num_epochs=meta["final_epoch"])
    close(sigma - OFFSET, golden["SIG"][epoch])
    network.set_sigma(sigma)


def check_rates(optimizer: torch.optim.Optimizer, expected: np.ndarray) -> None:
    groups = {group["name"]: group for group in optimizer.param_groups}
    for name in ("weights", "norms"):
        close(groups[name]["lr"], expected[0])
        close(groups[name]["betas"][0], expected[1])
    if len(expected) > 2:
        close(groups["delays"]["lr"], expected[2])
        assert groups["delays"]["betas"][0] == 0.9


def check_gradients(network: Network, golden: NpzFile) -> None:
    for index, layer in enumerate(network.named_synapses().values()):
        assert layer.weight.grad is not None
        close(layer.weight.grad, golden[f"first.grad_weight{index}"])
        if isinstance(layer.delay, torch.nn.Parameter):
            assert layer.delay.grad is not None
            close(-layer.delay.grad, golden[f"first.grad_P{index}"][0])


def check_parameters(network: Network, golden: NpzFile, moment: str) -> None:
    for mine, theirs in matched(network, golden, moment):
        close(mine, theirs.numpy())


def close(mine: Tensor | float, theirs: np.ndarray | np.floating[Any], rtol: float = 1e-8) -> None:
    """Equal to ``rtol``, relative to the largest entry: a small entry is a difference of large ones."""
    mine = torch.as_tensor(mine, dtype=torch.float64).detach()
    expected = torch.as_tensor(np.asarray(theirs, dtype=np.float64)).view(mine.shape)
    scale = float(expected.abs().max())
    torch.testing.assert_close(mine, expected, rtol=rtol, atol=rtol * scale)


def counts(golden: NpzFile, step: int) -> Tensor:
    return torch.from_numpy(golden[f"x{step}"].astype(np.float64))
