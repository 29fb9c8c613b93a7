import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_delays.experiments.results import Result, count_parameters, interval
from lit_delays.snn.network import DelaySNN, NetworkConfig

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


@pytest.mark.parametrize(
    ("layers", "synapses", "expected"),
    [(2, 1, 705_536), (2, 2, 1_409_024), (3, 1, 1_230_848), (3, 2, 2_458_624)],
)
def test_parameters_are_counted_as_the_paper_counts_them(layers, synapses, expected):
    config = NetworkConfig(
        num_classes=35, hidden_size=512, num_hidden_layers=layers, num_synapses=synapses, max_delay_ms=300
    )
    assert count_parameters(DelaySNN(config)) == expected


@pytest.mark.parametrize(("delays", "per_synapse"), [("learned", 2), ("fixed", 1), ("none", 1)])
def test_synapses_that_do_not_exist_are_not_counted(delays, per_synapse):
    config = NetworkConfig(num_inputs=30, num_classes=4, hidden_size=20, fan_in=10, delays=delays)
    neurons = 20 + 20 + 4
    assert count_parameters(DelaySNN(config)) == neurons * 10 * per_synapse + 2 * (20 + 20)
