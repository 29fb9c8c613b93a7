import numpy as np
import pytest

from lit_delays.data.binning import Binning, steps_of
from lit_delays.data.datasets.patterns import make_patterns, orders


def counts_of(patterns):
    return patterns.batch(np.arange(len(patterns)), Binning("uniform", 10.0, num_inputs=20)).counts()


def test_every_channel_fires_once_and_never_with_another():
    counts = counts_of(make_patterns(500))
    assert (counts.sum(dim=0) == 1).all()
    assert counts.sum(dim=2).max() == 1


def test_rounding_moves_no_spike_out_of_its_slot():
    patterns = make_patterns(500)
    steps = steps_of(patterns.times, "uniform", 10.0, np.diff(patterns.indptr)).reshape(500, 20)
    slack = steps - 2 * np.arange(20)
    assert set(np.unique(slack)) == {-1, 0, 1}  # a first spike in its second step sets the rest back by one
    assert all(len(np.unique(row)) == 2 for row in slack[:, 1:])


def test_no_channel_is_early_or_late_on_average():
    slots = np.argsort(orders(10, 20), axis=1)
    np.testing.assert_array_equal(slots.mean(axis=0), 9.5)


def test_all_orders_differ_and_do_not_depend_on_their_number():
    many = orders(30, 20)
    assert len(np.unique(many, axis=0)) == 30
    np.testing.assert_array_equal(orders(7, 20), many[:7])


def test_training_and_test_share_the_classes_but_not_the_jitter():
    train, test = make_patterns(100, seed=0), make_patterns(100, seed=1)
    np.testing.assert_array_equal(train.units, test.units)
    assert not np.array_equal(train.times, test.times)


@pytest.mark.parametrize("num_samples", [1, 20, 25])
def test_classes_take_turns(num_samples):
    assert make_patterns(num_samples).labels.tolist() == [index % 10 for index in range(num_samples)]
