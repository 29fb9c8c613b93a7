import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_delays.data.splits import HoldOut, random_split, speaker_split
from lit_delays.errors import InputError


@given(num_samples=st.integers(2, 200), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 3))
def test_a_random_split_is_a_partition_with_two_sides(num_samples, fraction, seed):
    train, held_out = random_split(num_samples, fraction, seed)
    assert sorted([*train, *held_out]) == list(range(num_samples))
    assert len(train) > 0
    assert len(held_out) == pytest.approx(fraction * num_samples, abs=1)


@given(speakers=st.lists(st.integers(0, 5), min_size=2).filter(lambda names: len(set(names)) > 1))
def test_no_speaker_is_on_both_sides(speakers):
    speakers = np.array(speakers)
    train, held_out = speaker_split(speakers, 0.2, seed=1)
    assert sorted([*train, *held_out]) == list(range(len(speakers)))
    assert not set(speakers[train]) & set(speakers[held_out])
    assert len(train) > 0
    only_one_left = len(set(speakers[train])) == 1
    assert len(held_out) >= 0.2 * len(speakers) or only_one_left


def test_no_more_speakers_are_held_out_than_needed():
    _, held_out = speaker_split(np.repeat(np.arange(10), 10), 0.2, seed=0)
    assert len(held_out) == 20


def test_what_a_network_is_chosen_by_is_in_words():
    speakers = np.repeat([4, 9, 7], 10)
    rules = {
        "file": "validation file",
        "paper": "test set (paper protocol)",
        "random": "random 50 % of train",
        "speakers": "held-out speakers 4, 7",
    }
    for rule, words in rules.items():
        hold_out = HoldOut(rule, 0.5, seed=1)
        assert hold_out.describe(30, speakers) == words
        train, held_out = hold_out.split(30, speakers)
        assert sorted([*train, *held_out]) == list(range(30))
        assert len(held_out) == {"random": 15, "speakers": 20}.get(rule, 0)


@pytest.mark.parametrize("speakers", [None, np.zeros(5, int)])
def test_speakers_to_hold_out_must_be_two_or_more(speakers):
    with pytest.raises(InputError, match="needs two or more speakers in"):
        HoldOut("speakers", 0.1, seed=0).split(5, speakers)
    with pytest.raises(InputError, match="needs two or more speakers in"):
        HoldOut("speakers", 0.1, seed=0).describe(5, speakers)


def test_a_single_sample_cannot_be_split():
    with pytest.raises(InputError, match="a random split needs at least 2 training samples, got 1"):
        HoldOut("random", 0.1, seed=0).split(1, None)
