import re

import numpy as np
import pytest
import torch

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.stream import Stream
from lit_delays.errors import InputError
from lit_delays.snn.readout import class_scores

from .conftest import signals, train_a_little


def run(stream, counts):
    """All steps of one sample, and of its end."""
    return [stream.step(count) for count in counts] + list(stream.finish())


def test_every_step_gives_the_spikes_of_the_batch(every_kind, counts):
    stream = Stream(deploy(every_kind))
    for sample in range(counts.shape[1]):  # one after another: a finished clip leaves nothing behind
        clip = counts[:, sample]
        steps, batch = run(stream, clip), signals(every_kind, clip[:, None])
        for index, name in enumerate(list(batch)[:-1]):
            spikes = torch.stack([step.outputs[index] for step in steps]).numpy()
            lasts = len(batch[name])
            np.testing.assert_allclose(spikes[:lasts], batch[name][:, 0], rtol=0, atol=1e-12)
            assert not spikes[lasts:].any()
        readout = torch.stack([step.readout for step in steps]).numpy()
        np.testing.assert_allclose(readout, batch["readout"][:, 0], rtol=0, atol=1e-12)
        scores = class_scores(torch.from_numpy(batch["readout"]), every_kind.config.decision)[0]
        np.testing.assert_allclose(steps[-1].scores.numpy(), scores, rtol=0, atol=1e-10)


def test_a_network_in_training_is_deployed_first(counts):
    network = train_a_little().double()
    expected = run(Stream(network), counts[:, 0])[-1].scores
    assert torch.equal(run(Stream(network.train()), counts[:, 0])[-1].scores, expected)


def test_nothing_looks_ahead(counts):
    """Another future changes no step before it."""
    network = deploy(train_a_little().double())
    clip, other_future = counts[:, 0], counts[:, 0].clone()
    other_future[15:] = counts[15:, 1] + 1
    left, right = run(Stream(network), clip), run(Stream(network), other_future)
    for before, after in zip(left[:15], right[:15], strict=True):
        assert torch.equal(before.readout, after.readout)
    assert not torch.equal(left[-1].readout, right[-1].readout)


def test_a_step_wants_a_number_for_every_input():
    stream = Stream(deploy(train_a_little()))
    sentence = "`counts` must have one number for each of the 20 inputs, got shape (3,)."
    with pytest.raises(InputError, match=re.escape(sentence)):
        stream.step([1, 2, 3])
