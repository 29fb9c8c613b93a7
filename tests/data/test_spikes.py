import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_delays.data.binning import steps_of

RULES = ("uniform", "paper")
SHARED = Path(__file__).parents[2].parent / "shared"
GOLDEN = Path(os.environ.get("LIT_DELAYS_GOLDEN", SHARED / "golden")) / "binning_10ms_x5.npz"

seconds = st.lists(st.floats(0, 2.5, width=16), max_size=60).map(lambda times: np.sort(np.float16(times)))
samples = st.lists(seconds, min_size=1, max_size=6)


def joined(trains):
    return np.concatenate(trains), np.array([len(times) for times in trains])


@pytest.mark.parametrize("rule", RULES)
def test_steps_are_those_of_the_reference(rule, speech):
    if not GOLDEN.exists():
        pytest.skip(f"the golden binning is not at {GOLDEN}")
    golden = np.load(GOLDEN)
    with h5py.File(speech / "fsdd_train.h5", locking=False) as file:
        for index in range(24):
            steps = steps_of(file["spikes/times"][index], rule, 10.0)
            counts = np.zeros((steps.max() + 1, 140), int)
            np.add.at(counts, (steps, file["spikes/units"][index] // 5), 1)
            np.testing.assert_array_equal(counts, golden[f"{rule}.{index}"])


@pytest.mark.parametrize("rule", RULES)
@given(trains=samples, time_step_ms=st.sampled_from([1.0, 5.6, 10.0]))
def test_samples_in_one_go_are_binned_as_one_by_one(rule, trains, time_step_ms):
    times, lengths = joined(trains)
    alone = [steps_of(train, rule, time_step_ms) for train in trains]
    np.testing.assert_array_equal(steps_of(times, rule, time_step_ms, lengths), np.concatenate(alone))


@pytest.mark.parametrize("rule", RULES)
@given(times=seconds)
def test_every_spike_gets_one_step_and_steps_ascend_from_zero(rule, times):
    steps = steps_of(times, rule)
    assert steps.shape == times.shape
    assert np.all(np.diff(steps) >= 0)
    assert len(steps) == 0 or steps[0] == 0


@given(times=seconds)
def test_the_paper_drops_silence(times):
    steps = steps_of(times, "paper")
    assert set(steps.tolist()) == set(range(len(set(steps.tolist()))))


@given(times=seconds, time_step_ms=st.sampled_from([1.0, 5.6, 10.0]))
def test_the_papers_rule_is_a_walk_from_spike_to_spike(times, time_step_ms):
    times_ms, step, left, walked = np.float16(1000) * times, -1, None, []
    for time_ms in times_ms:
        if left is None or time_ms - left > np.float16(time_step_ms):
            step, left = step + 1, time_ms
        walked.append(step)
    assert steps_of(times, "paper", time_step_ms).tolist() == walked


@pytest.mark.parametrize("rule", RULES)
@given(eighths=st.lists(st.integers(0, 8), min_size=1), shift=st.integers(0, 8))
def test_a_shift_in_time_changes_nothing(rule, eighths, shift):
    times = np.sort(np.array(eighths)) / 8  # s: exact in float16, in ms too
    np.testing.assert_array_equal(steps_of(times + shift / 8, rule), steps_of(times, rule))


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_sample_has_no_steps_and_a_single_spike_one(rule):
    assert steps_of(np.array([], np.float16), rule).tolist() == []
    assert steps_of(np.array([0.7], np.float16), rule).tolist() == [0]
    assert steps_of(np.array([0.7], np.float16), rule, 10.0, np.array([0, 1, 0])).tolist() == [0]


def test_the_last_uniform_step_takes_the_spike_on_its_edge():
    assert steps_of(np.array([0.0, 0.0625, 0.125]), "uniform", 62.5).tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(steps=st.lists(st.integers(0, 1000), min_size=1, max_size=30), offset=st.integers(0, 6))
def test_decimals_that_lie_on_edges_fall_where_they_should(dtype, steps, offset):
    """What float16 rounds by up to 4 ms, and floating point by a little, is a whole number of steps."""
    steps = np.sort(steps) - min(steps)
    for step_us in (700, 1100, 10_000):
        times = ((steps * step_us + offset * step_us) / 1e6).astype(dtype)
        expected = np.minimum(steps, max(steps.max() - 1, 0))  # the last step takes its right edge
        np.testing.assert_array_equal(steps_of(times, "uniform", step_us / 1000), expected)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    trains=st.lists(st.lists(st.floats(0, 60, width=32), max_size=20), min_size=1, max_size=5),
    step=st.sampled_from([0.7, 10.0]),
)
def test_fine_samples_in_one_go_are_binned_as_one_by_one(rule, dtype, trains, step):
    trains = [np.sort(np.array(train, dtype)) for train in trains]
    times, lengths = joined(trains)
    alone = [steps_of(train, rule, step) for train in trains]
    np.testing.assert_array_equal(steps_of(times, rule, step, lengths), np.concatenate(alone))


@given(times=st.lists(st.integers(0, 3000), max_size=30), step=st.sampled_from([0.7, 1.1, 10.0]))
def test_the_papers_rule_walks_over_whole_milliseconds_too(times, step):
    times, index, left, walked = np.sort(times), -1, None, []
    for time in times.tolist():
        if left is None or time - left > step + 1e-9:
            index, left = index + 1, time
        walked.append(index)
    assert steps_of(times / 1000, "paper", step).tolist() == walked
