import matplotlib.image
import pytest
import torch

from lit_delays.experiments.evidence import Evidence, Sample
from lit_delays.experiments.figures import draw_delays, draw_learning
from lit_delays.experiments.gallery import draw_all
from lit_delays.experiments.portraits import draw_confusion, draw_sample
from lit_delays.snn.network import DelaySNN, NetworkConfig

TINY = NetworkConfig(num_inputs=4, num_classes=3, hidden_size=5)


def is_figure(path):
    return matplotlib.image.imread(path).std() > 0.05


def evidence(classes=3, layers=2):
    generator = torch.Generator().manual_seed(0)
    confusion = torch.randint(0, 9, (classes, classes), generator=generator)
    spikes = [(torch.rand(20, 6, generator=generator) < 0.2).float() for _ in range(layers)]
    sample = Sample(spikes[0], spikes, torch.randn(30, classes, generator=generator), label=classes - 1)
    return Evidence(confusion, {}, {}, {}, sample)


@pytest.mark.parametrize("extra", [{}, {"delay_change/hidden1": 1.5, "sigma": 2.0, "lr/delays": 0.1}])
def test_learning_curves_are_drawn_from_the_table(tmp_path, extra):
    rows = {0: {"val/acc": 0.5, **extra}, 1: {"val/acc": 0.7}}
    assert is_figure(draw_learning(rows, tmp_path / "learning.png"))


def test_the_history_of_delays_is_a_row_more(tmp_path):
    network = DelaySNN(NetworkConfig(**{**vars(TINY), "fan_in": 2}))
    history = {name: {0: [1] * 25, 1: [2] + [1] * 23 + [0]} for name in ("hidden1", "hidden2", "readout")}
    path = draw_delays(network, {}, tmp_path / "delays.png")
    assert is_figure(path)
    without = matplotlib.image.imread(path)
    with_history = matplotlib.image.imread(draw_delays(network, history, path))
    assert with_history.shape[0] > 1.5 * without.shape[0]


def test_a_network_without_delays_has_no_figure_of_them(tmp_path):
    network = DelaySNN(NetworkConfig(**{**vars(TINY), "delays": "none"}))
    assert draw_delays(network, {}, tmp_path / "delays.png") is None
    assert list(tmp_path.iterdir()) == []


def test_many_classes_are_drawn(tmp_path):
    names = [f"class {k}" for k in range(35)]
    seen = evidence(35)
    assert is_figure(draw_confusion(seen, names, tmp_path / "confusion.png"))
    config = NetworkConfig(num_classes=35, decision="max")
    assert is_figure(draw_sample(seen.sample, config, names, tmp_path / "sample.png"))


def test_nothing_is_drawn_of_what_is_not_known(tmp_path):
    figures = draw_all(DelaySNN(TINY), {}, {}, None, [], tmp_path / "new")
    assert [path.name for path in figures] == ["delays.png"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["delays.png"]
