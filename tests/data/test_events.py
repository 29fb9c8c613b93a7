import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.utilities import move_data_to_device

from lit_delays.data.arrays import SpikeArrays
from lit_delays.data.events import Binning, EventBatch, EventBatches
from lit_delays.data.spikes import steps_of

spikes = st.tuples(st.floats(0, 1, width=16), st.integers(0, 9))
samples = st.lists(st.lists(spikes, max_size=30).map(sorted), min_size=1, max_size=5)


def arrays_of(trains):
    indptr = np.cumsum([0, *map(len, trains)])
    flat = [spike for train in trains for spike in train]
    return SpikeArrays(
        indptr=indptr,
        times=np.array([time for time, _ in flat], np.float16),
        units=np.array([unit for _, unit in flat], np.uint16),
        labels=np.arange(len(trains)),
        speakers=None,
        class_names=(),
    )


def batch_of(trains, **binning):
    arrays = arrays_of(trains)
    chosen = Binning(**{"rule": "uniform", "time_step_ms": 10.0, "num_inputs": 10} | binning)
    return EventBatches(arrays, np.arange(len(arrays)), chosen)[np.arange(len(arrays))]


@given(trains=samples)
def test_counts_are_those_of_a_plain_loop(trains):
    batch = batch_of(trains, num_inputs=4, channels_per_bin=3)
    expected = torch.zeros(batch.num_steps, len(trains), 4)
    for index, train in enumerate(trains):
        times = np.array([time for time, _ in train], np.float16)
        for step, (_, unit) in zip(steps_of(times), train, strict=True):
            expected[step, index, unit // 3] += 1
    assert torch.equal(batch.counts(), expected)


@given(trains=samples, rule=st.sampled_from(["uniform", "paper"]))
def test_no_spike_is_lost(trains, rule):
    per_sample = batch_of(trains, rule=rule).counts(torch.float64).sum(dim=(0, 2))
    assert per_sample.tolist() == [len(train) for train in trains]


@given(trains=samples)
def test_a_clip_keeps_the_first_steps(trains):
    whole, clipped = batch_of(trains).counts(), batch_of(trains, clip_ms=95.0).counts()
    assert len(clipped) == min(len(whole), 10)
    assert torch.equal(clipped, whole[:10])


@given(trains=samples)
def test_fixed_padding_gives_every_batch_the_length_of_the_clip(trains):
    assert batch_of(trains, clip_ms=500.0, fixed=True).counts().shape == (50, len(trains), 10)


def test_an_empty_sample_trains_as_silence():
    batch = batch_of([[], []])
    assert torch.equal(batch.counts(), torch.zeros(1, 2, 10))
    assert batch.labels.tolist() == [0, 1]


def test_an_empty_sample_keeps_its_place():
    assert batch_of([[(0.5, 1)], [], [(0.5, 2)]]).counts().nonzero().tolist() == [[0, 0, 1], [0, 2, 2]]


def test_a_batch_moves_as_lightning_moves_it():
    batch = move_data_to_device(batch_of([[(0.0, 3)], []]), torch.device("meta"))
    assert isinstance(batch, EventBatch)
    assert batch.counts().shape == (1, 2, 10)
    assert batch.counts().device.type == "meta"


def test_an_event_takes_eight_bytes():
    batch = batch_of([[(0.0, 3)]])
    assert (batch.step.dtype, batch.channel.dtype, batch.sample.dtype) == (
        torch.int16,
        torch.int16,
        torch.int32,
    )


def test_channels_beyond_int16_survive():
    assert batch_of([[(0.0, 40_000)]], num_inputs=50_000).counts().nonzero().tolist() == [[0, 0, 40_000]]
