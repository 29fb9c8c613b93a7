from hypothesis import given
from hypothesis import strategies as st

from lit_delays.report.results import Result, interval

RESULT = Result(
    accuracy=0.75,
    num_samples=100,
    epoch=3,
    num_epochs=10,
    selection="held-out speakers 3, 7",
    num_parameters=12,
)


def test_a_result_is_one_line():
    assert str(RESULT) == (
        "test accuracy 75.00% (95 % interval 65.7% to 82.5%, 100 samples), epoch 3 of 10, chosen by"
        " held-out speakers 3, 7"
    )


def test_a_result_survives_its_file(tmp_path):
    RESULT.save(tmp_path)
    assert Result.load(tmp_path) == RESULT


@given(right=st.integers(0, 500), wrong=st.integers(0, 500))
def test_an_interval_holds_the_accuracy_and_stays_in_range(right, wrong):
    total = max(right + wrong, 1)
    low, high = interval(right / total, total)
    assert 0 <= low <= right / total + 1e-12
    assert right / total - 1e-12 <= high <= 1
