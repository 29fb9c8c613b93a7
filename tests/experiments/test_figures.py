import pytest
import torch

from lit_delays.experiments.figures import draw_delays, draw_learning
from lit_delays.snn.network import DelaySNN, NetworkConfig


@pytest.mark.parametrize(
    "rows", ["delay_change/hidden1,val/acc\n0,1.5,0.5\n1,,0.7\n", "val/acc\n0,0.5\n1,0.7\n"]
)
def test_learning_curves_are_drawn_from_the_table(tmp_path, rows):
    (tmp_path / "metrics.csv").write_text("epoch," + rows)
    assert draw_learning(tmp_path).stat().st_size > 10_000


@pytest.mark.parametrize("fan_in", [None, 2])
def test_every_layer_of_delays_is_drawn(tmp_path, fan_in):
    torch.manual_seed(0)
    network = DelaySNN(NetworkConfig(num_inputs=4, num_classes=3, hidden_size=5, fan_in=fan_in))
    assert draw_delays(network, tmp_path).stat().st_size > 10_000


def test_a_network_without_delays_has_no_figure_of_them(tmp_path):
    network = DelaySNN(NetworkConfig(num_inputs=4, num_classes=3, hidden_size=5, delays="none"))
    assert draw_delays(network, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
