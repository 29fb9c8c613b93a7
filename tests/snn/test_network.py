"""The blocks of the network, where the golden trajectories cannot look: they run without dropout."""

import torch

from lit_delays.snn.convolution import use
from lit_delays.snn.network import Block, NetworkConfig


def block(dropout: float = 0.5) -> Block:
    return Block(NetworkConfig(num_inputs=4, num_classes=2, hidden_size=64, dropout=dropout), 4, 64)


def heard(training: bool = True, drive: float = 50.0) -> torch.Tensor:
    """Output of neurons that fire at every step."""
    made = block().train(training)
    made.delays.weight.data.fill_(drive)
    made.norm.weight.data.zero_()
    made.norm.bias.data.fill_(drive)
    return made(torch.ones(10, 3, 4))


def test_a_neuron_is_dropped_for_a_whole_sample() -> None:
    spikes = heard()
    assert torch.equal(spikes, spikes[:1].expand_as(spikes))
    assert set(spikes.unique().tolist()) == {0.0, 2.0}


def test_every_sample_drops_its_own_neurons() -> None:
    spikes = heard()
    assert not torch.equal(spikes[0, 0], spikes[0, 1])


def test_nothing_is_dropped_in_evaluation() -> None:
    assert heard(training=False).unique().tolist() == [1.0]


def test_watching_in_training_sees_every_spike_and_changes_nothing() -> None:
    made, x, seen = block(), torch.rand(50, 3, 4), []
    results = []
    for watch in (None, seen.append):
        torch.manual_seed(0)
        made.zero_grad()
        result = made(x, watch)
        result.square().sum().backward()
        results.append([result.detach(), made.norm.weight.grad.clone(), made.delays.weight.grad.clone()])
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[1][0] != 0, (seen[0] != 0) & (results[1][0].amax(0) > 0))
    for fused, plain in zip(*results, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)


def test_a_block_keeps_two_tensors_for_its_gradient_its_input_and_its_current() -> None:
    x, kept = torch.rand(50, 8, 64), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    config = NetworkConfig(num_inputs=64, num_classes=2, hidden_size=64, max_delay_ms=50)
    block = Block(config, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), use("spectral"):
        block(x)
    others = (2 + block.delays.max_delay) * block.delays.weight.numel()  # weight, delay, kernel
    assert sum(kept.values()) - others < 1.05 * (50 + 52) * 8 * 64
