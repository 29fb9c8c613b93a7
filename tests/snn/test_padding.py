"""Padding is not data: a sample has one answer, alone or in any batch, and the same gradients."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.stream import Stream
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import PLIF, SEAdLIF
from lit_delays.snn.operation import use
from lit_delays.snn.readout import class_scores
from lit_delays.snn.synapses import RecurrentDelays, SynapticDelays

from ..conftest import ROOT

LENGTHS = torch.tensor([30, 7, 18, 1, 23])
KINDS: dict[str, dict[str, Any]] = {
    "paper": {},
    "recurrent": {"recurrent": RecurrentDelays},
    "learned leak, filter": {"neuron": partial(PLIF, tau_mem_ms=30.0), "synapse_tau_ms": 20.0},
    "adaptive, mean": {"neuron": SEAdLIF, "decision": "mean"},
    "same length, maximum": {"synapses": partial(SynapticDelays, keep_length=True), "decision": "max"},
    "spike count": {"decision": "spike_count"},
    "no norm": {"norm": "none", "recurrent": RecurrentDelays},
}


def network(kind: str, dtype: torch.dtype = torch.float64, **more: Any) -> Network:
    torch.manual_seed(0)
    options = {"num_inputs": 6, "num_classes": 3, "hidden_sizes": [8, 7], "dropout": 0.0}
    made = Network(NetworkConfig(**options | KINDS[kind] | more)).to(dtype)
    made.set_sigma(2.0)
    for layer in made.layers:
        if made.config.norm == "batch":
            layer.norm.weight.data.fill_(2.0)
            layer.norm.bias.data.fill_(0.4)  # so that they also fire in silence
        else:
            layer.synapses.bias.data.fill_(1.1)
    return made


def samples(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    return [(torch.rand(int(n), 6, generator=random) < 0.4).to(dtype) for n in LENGTHS]


def padded(clips: list[Tensor], num_steps: int, noise: float = 0.0) -> Tensor:
    """Behind its end, a sample may hold anything."""
    batch = torch.full((num_steps, len(clips), 6), noise, dtype=clips[0].dtype)
    for index, clip in enumerate(clips):
        batch[: len(clip), index] = clip
    return batch


def looked_at(made: Network, batch: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Scores, and gradients, of a step of training."""
    made.zero_grad()
    scores = made.scores(batch, lengths)
    scores.square().sum().backward()
    return scores.detach(), [p.grad.clone() for p in made.parameters()]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("kind", KINDS)
def test_five_ways_to_pad_a_batch_train_alike(kind: str, dtype: torch.dtype, tolerance: float) -> None:
    clips, order = samples(dtype), torch.tensor([3, 0, 4, 1, 2])
    expected, grads = looked_at(network(kind, dtype), padded(clips, 30), LENGTHS)
    ways = {
        "longer": (padded(clips, 45), LENGTHS),
        "much longer": (padded(clips, 90), LENGTHS),
        "with noise": (padded(clips, 40, noise=1.0), LENGTHS),
        "in another order": (padded([clips[index] for index in order], 33), LENGTHS[order]),
        "in full": (padded(clips, 30), LENGTHS),
    }
    for way, (batch, lengths) in ways.items():
        scores, found = looked_at(network(kind, dtype), batch, lengths)
        wanted = expected[order] if "order" in way else expected
        torch.testing.assert_close(scores, wanted, rtol=tolerance, atol=tolerance * 10)
        for left, right in zip(found, grads, strict=True):
            size = float(right.abs().max())
            torch.testing.assert_close(
                left, right, rtol=tolerance * 100, atol=tolerance * 100 * max(size, 1e-3)
            )


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_alone_in_a_batch_and_in_a_stream_has_one_answer(kind: str) -> None:
    made, clips = network(kind), samples()
    made(padded(clips, 30), LENGTHS)  # the norms have seen something
    made.eval()
    together = made.scores(padded(clips, 50, noise=1.0), LENGTHS)
    for index, clip in enumerate(clips):
        alone = made.scores(clip.unsqueeze(1))[0]
        stream = Stream(deploy(made))
        streamed = [*[stream.step(now) for now in clip], *stream.finish()][-1].scores
        torch.testing.assert_close(together[index], alone, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(streamed, alone, rtol=1e-10, atol=1e-10)


def test_norms_take_their_statistics_from_real_steps() -> None:
    made, clips = network("paper"), samples()
    layer = made.layers[0]
    made(padded(clips, 60, noise=5.0), LENGTHS)
    extra = layer.synapses.extra_steps
    with use(layer="plain"):
        currents = torch.cat([layer.synapses(clip.unsqueeze(1))[: len(clip) + extra, 0] for clip in clips])
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * currents.mean(dim=0))
    torch.testing.assert_close(layer.norm.running_var, 0.9 + 0.1 * currents.var(dim=0))


def test_the_papers_way_counts_padding() -> None:
    clips = samples()
    ours, paper = network("paper"), network("paper", padding="paper")
    batch = padded(clips, 45)
    assert torch.equal(paper.scores(batch, LENGTHS), paper.scores(batch))
    assert not torch.allclose(ours.scores(batch, LENGTHS), paper.scores(batch, LENGTHS))


def test_lengths_of_a_full_batch_change_nothing() -> None:
    made, batch = network("paper"), padded(samples(), 30)
    full = torch.full((5,), 30)
    assert torch.equal(made.scores(batch, full), made.scores(batch))


@pytest.mark.parametrize("decision", ["sum", "mean", "max", "spike_count"])
def test_steps_that_do_not_count_have_no_vote(decision: Any) -> None:
    readout = torch.randn(6, 2, 3)
    valid = torch.tensor([[True, True]] * 2 + [[True, False]] * 4)
    scores = class_scores(readout, decision, valid)
    torch.testing.assert_close(scores[0], class_scores(readout[:, :1], decision)[0])
    torch.testing.assert_close(scores[1], class_scores(readout[:2, 1:], decision)[0])


def test_two_processes_norm_over_the_real_steps_of_both(tmp_path: Path) -> None:
    made = network("paper")
    scores, _ = looked_at(made, padded(samples(), 30), LENGTHS)
    command = [sys.executable, "-m", "tests.padding_worker", str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(rank)], cwd=ROOT) for rank in (0, 1)]
    try:
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    for rank in (0, 1):
        kept = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(kept["scores"], scores[kept["mine"]], rtol=1e-12, atol=1e-11)
        for name, parameter in made.named_parameters():
            tolerance = 1e-10 * max(float(parameter.grad.abs().max()), 1e-3)
            torch.testing.assert_close(kept["grads"][name], parameter.grad, rtol=1e-10, atol=tolerance)
        for layer, variance in zip(made.layers, kept["variances"], strict=True):
            torch.testing.assert_close(variance, layer.norm.running_var, rtol=1e-12, atol=1e-12)
