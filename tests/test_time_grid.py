"""One rule turns milliseconds into time steps."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_delays.errors import InputError
from lit_delays.time_grid import TimeGrid


@given(steps=st.integers(1, 10_000), time_step_ms=st.sampled_from([0.1, 0.25, 0.7, 1.0, 1.1, 3.3, 4.0, 10.0]))
def test_a_whole_number_of_steps_is_that_number_rounded_up_or_down(steps, time_step_ms):
    grid = TimeGrid(time_step_ms)
    for milliseconds in (steps * time_step_ms, float(f"{steps * time_step_ms:.6f}")):
        assert grid.whole_steps(milliseconds) == grid.covering_steps(milliseconds) == steps


def test_the_two_numbers_that_were_wrong():
    assert int(33 / 1.1) == 29
    assert TimeGrid(1.1).whole_steps(33) == 30
    assert TimeGrid(0.7).covering_steps(21) == 30


@given(milliseconds=st.floats(0.01, 1e6), time_step_ms=st.floats(0.01, 100))
def test_rounding_down_fits_and_rounding_up_covers(milliseconds, time_step_ms):
    grid = TimeGrid(time_step_ms)
    low, high = grid.whole_steps(milliseconds), grid.covering_steps(milliseconds)
    assert 0 <= high - low <= 1
    assert (low - 1e-5) * time_step_ms <= milliseconds <= (high + 1e-5) * time_step_ms


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
def test_a_step_has_a_length(wrong):
    with pytest.raises(InputError, match=re.escape(f"`time_step_ms` must be above 0 ms, got {wrong:g}.")):
        TimeGrid(wrong)


@pytest.mark.parametrize("wrong", [9.0, 0.0, float("inf"), float("nan")])
def test_a_time_below_a_step_is_refused(wrong):
    sentence = f"`tau_ms` must be at least one time step (10 ms), got {wrong:g}."
    with pytest.raises(InputError, match=re.escape(sentence)):
        TimeGrid(10.0).require("tau_ms", wrong)


def test_a_time_of_one_step_is_long_enough():
    TimeGrid(10.0).require("tau_ms", 10.0)
    TimeGrid(1.1).require("tau_ms", 3.3 / 3)


def test_steps_become_milliseconds_again():
    assert TimeGrid(2.5).milliseconds(3) == 7.5
    assert TimeGrid(2.5).steps(TimeGrid(2.5).milliseconds(3.5)) == 3.5
