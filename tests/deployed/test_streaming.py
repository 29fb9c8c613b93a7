import re

import numpy as np
import pytest
import torch

from lit_delays.deployed.network import deploy
from lit_delays.deployed.streaming import StreamingDelaySNN
from lit_delays.errors import InputError
from lit_delays.snn.decisions import class_scores

from .conftest import signals, train_a_little


def run(stream, counts):
    """All steps of one sample, and of its end."""
    return [stream.step(count) for count in counts.numpy()] + list(stream.finish())


def compare(network, counts):
    stream = StreamingDelaySNN(deploy(network))
    for sample in range(counts.shape[1]):  # one after another: a finished clip leaves nothing behind
        clip = counts[:, sample]
        steps, batch = run(stream, clip), signals(network, clip[:, None])
        for index, name in enumerate(list(batch)[:-1]):
            spikes = np.stack([step.spikes[index] for step in steps])
            lasts = len(batch[name])
            np.testing.assert_allclose(spikes[:lasts], batch[name][:, 0], rtol=0, atol=1e-12)
            assert not spikes[lasts:].any()
        np.testing.assert_allclose(
            [step.readout for step in steps], batch["readout"][:, 0], rtol=0, atol=1e-12
        )
        scores = class_scores(torch.from_numpy(batch["readout"]), network.config.decision)[0]
        np.testing.assert_allclose(steps[-1].scores, scores, rtol=0, atol=1e-10)


def test_every_step_gives_the_spikes_of_the_batch(trained, counts):
    compare(trained, counts)


def test_other_neurons_stream_too(other, counts):
    compare(other, counts)


def test_nothing_looks_ahead(counts):
    """Another future changes no step before it."""
    network = deploy(train_a_little().double())
    clip, other_future = counts[:, 0], counts[:, 0].clone()
    other_future[15:] = counts[15:, 1] + 1
    left = run(StreamingDelaySNN(network), clip)
    right = run(StreamingDelaySNN(network), other_future)
    for before, after in zip(left[:15], right[:15], strict=True):
        assert np.array_equal(before.readout, after.readout)
    assert not np.array_equal(left[-1].readout, right[-1].readout)


def test_a_step_wants_a_number_for_every_input():
    stream = StreamingDelaySNN(deploy(train_a_little()))
    sentence = "`counts` must have one number for each of the 20 inputs, got shape (3,)."
    with pytest.raises(InputError, match=re.escape(sentence)):
        stream.step([1, 2, 3])
