import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.utilities import move_data_to_device

from lit_delays.data.batches import EventBatch
from lit_delays.data.binning import Binning, steps_of
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.samples import Batches
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.errors import InputError

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
    )


def batch_of(trains, **binning):
    arrays = arrays_of(trains)
    chosen = Binning(**{"rule": "uniform", "time_step_ms": 10.0, "num_inputs": 10} | binning)
    return Batches(arrays, np.arange(len(arrays)), chosen)[np.arange(len(arrays))]


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


@pytest.mark.parametrize(("step", "clip"), [(1.1, 33), (0.7, 21)])
def test_a_clip_that_is_a_whole_number_of_steps_is_that_many(step, clip):
    assert Binning("uniform", step, 10, clip_ms=clip).num_steps(99) == 30


def test_spikes_from_lists_are_sorted_and_keep_their_precision():
    fine = SpikeArrays.of([[0.3, 0.1], [], [0.2]], [[7, 5], [], [6]], labels=[1, 0, 1], speakers=[4, 4, 9])
    assert (fine.times.dtype, fine.times.tolist()) == (np.float64, [0.1, 0.3, 0.2])
    assert (fine.units.dtype, fine.units.tolist()) == (np.uint16, [5, 7, 6])
    assert fine.batch(np.array([2, 0]), Binning("uniform", 10.0, 10)).labels.tolist() == [1, 1]
    half = SpikeArrays.of([np.float16([0.25]), []], [[1], []], labels=[0, 1])
    assert half.times.dtype == np.float16


@pytest.mark.parametrize(
    ("times", "units", "labels", "sentence"),
    [
        ([[0.1]], [[1]], [0, 1], r"`times` must have one entry a label \(2\), got 1"),
        ([[0.1]], [[1, 2]], [0], "`units` must have as many channels in every sample as `times` has times"),
        ([[-0.1]], [[1]], [0], "`times` must be at least 0 s, and `units` 0 to 65535"),
        ([[0.1]], [[70_000]], [0], "`times` must be at least 0 s, and `units` 0 to 65535"),
        ([[0.1]], [[1]], [0.5], "`labels` must be integers in one dimension, got float64"),
        (
            [[0.1]],
            [[1]],
            [-2],
            "`labels` must be 0 to the number of classes, or -1 for unknown, got -2",
        ),
        ([], [], np.zeros(0, int), "`labels` must hold at least one sample, got 0"),
    ],
)
def test_spikes_that_do_not_fit_together_are_refused(times, units, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        SpikeArrays.of(times, units, labels)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(np.float16, np.float16), (np.float32, np.float32), (float, np.float32), (int, np.float32)],
)
def test_real_values_are_batched_time_first_in_float16_or_float32(given, kept):
    values = np.arange(24).reshape(2, 4, 3).astype(given)
    arrays = RealArrays(values=values, labels=[1, 0], class_names=["no", "yes"])
    batch = arrays.batch(np.array([1, 0]), Binning("uniform", 10.0, 3, clip_ms=20))
    assert batch.values.numpy().dtype == kept
    np.testing.assert_array_equal(batch.counts(), values[::-1, :2].transpose(1, 0, 2))
    assert batch.labels.tolist() == [0, 1]


def test_real_values_need_three_dimensions_and_a_label_each():
    with pytest.raises(InputError, match=r"`values` must be numbers of samples, time steps and inputs, got"):
        RealArrays(values=np.zeros((2, 3)), labels=[0, 1])
    with pytest.raises(InputError, match=r"`values` must have one entry a label \(1\), got 2"):
        RealArrays(values=np.zeros((2, 3, 4)), labels=[0])
    with pytest.raises(InputError, match="`labels` must be 0 to 1, or -1 for unknown, got 0 to 2"):
        RealArrays(values=np.zeros((2, 3, 4)), labels=[0, 2], class_names=("a", "b"))


@pytest.mark.parametrize(
    ("arrays", "num_inputs", "rule"),
    [
        (RealArrays(values=np.zeros((2, 3, 4)), labels=[0, 1]), 3, "4"),
        (RealArrays(values=np.zeros((2, 3, 4)), labels=[0, 1]), 5, "4"),
        (SpikeArrays.of([[0.1], [0.2]], [[3], [0]], labels=[0, 1]), 3, "at least 4"),
    ],
)
def test_samples_with_other_inputs_than_their_data_set_says_are_refused(arrays, num_inputs, rule):
    with pytest.raises(InputError, match=f"`num_inputs` of the data set must be {rule}, got {num_inputs}."):
        arrays.batch(np.array([0, 1]), Binning("uniform", 10.0, num_inputs))
