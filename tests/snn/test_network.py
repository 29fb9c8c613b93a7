"""The blocks of the network, where the golden trajectories cannot look: they run without dropout."""

import torch

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
