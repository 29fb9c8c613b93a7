"""The blocks of the network, where the golden trajectories cannot look: they run without dropout."""

import torch

from lit_delays.snn.convolution import use
from lit_delays.snn.network import Block, NetworkConfig


def block(dropout: float = 0.5) -> Block:
    return Block(NetworkConfig(num_inputs=4, num_classes=2, hidden_size=64, dropout=dropout), 4, 64)


def test_a_neuron_is_dropped_for_a_whole_sample() -> None:
    heard = block().transmit(torch.ones(10, 3, 64))
    assert torch.equal(heard, heard[:1].expand_as(heard))
    assert set(heard.unique().tolist()) == {0.0, 2.0}


def test_every_sample_drops_its_own_neurons() -> None:
    heard = block().transmit(torch.ones(10, 3, 64))
    assert not torch.equal(heard[0, 0], heard[0, 1])


def test_nothing_is_dropped_in_evaluation() -> None:
    spikes = torch.ones(10, 3, 64)
    assert torch.equal(block().eval().transmit(spikes), spikes)


def test_a_block_keeps_two_tensors_for_its_gradient_its_input_and_its_current() -> None:
    x, kept = torch.rand(50, 8, 64), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    config = NetworkConfig(num_inputs=64, num_classes=2, hidden_size=64, max_delay_ms=50)
    block = Block(config, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), use("spectral"):
        block.transmit(block.spikes(x))
    others = (2 + block.delays.max_delay) * block.delays.weight.numel()  # weight, delay, kernel
    assert sum(kept.values()) - others < 1.05 * (50 + 52) * 8 * 64
