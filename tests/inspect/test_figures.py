import dataclasses
from functools import partial

import matplotlib.image
import pytest
import torch

from lit_delays.data.batches import DenseBatch
from lit_delays.inspect import figures, sample_figures, task_figures
from lit_delays.inspect.figures import draw_delays, draw_learning
from lit_delays.inspect.observation import Observation, Sample, observe
from lit_delays.inspect.run_figures import draw_all
from lit_delays.inspect.sample_figures import draw_confusion, draw_sample
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.synapses import SynapticDelays


def tiny(layers=(), **synapses):
    made = partial(SynapticDelays, **synapses)
    return Network(
        NetworkConfig(num_inputs=4, num_classes=3, hidden_sizes=[5, 5], synapses=made, layers=layers)
    )


def is_figure(path):
    return matplotlib.image.imread(path).std() > 0.05


def observation(classes=3, spikes=True):
    generator = torch.Generator().manual_seed(0)
    confusion = torch.randint(0, 9, (classes, classes), generator=generator)
    outputs = {name: torch.rand(20, 6, generator=generator) for name in ("hidden1", "hidden2")}
    if spikes:
        outputs = {name: (output < 0.2).float() for name, output in outputs.items()}
    readout = torch.randn(30, classes, generator=generator)
    sample = Sample(outputs["hidden1"], outputs, readout, label=classes - 1)
    pairs = torch.zeros(1, classes), torch.zeros(1)
    return Observation(int(confusion.sum()), confusion, pairs, {}, {}, {}, sample)


@pytest.mark.parametrize(
    "extra", [{}, {"delay_change/hidden1": 1.5, "sigma": 2.0, "lr/delays": 0.1, "window/hidden1": 6.0}]
)
def test_learning_curves_are_drawn_from_the_table(tmp_path, extra):
    rows = {0: {"val/acc": 0.5, **extra}, 1: {"val/acc": 0.7}}
    assert is_figure(draw_learning(rows, tmp_path / "learning.png"))


def test_metrics_that_no_panel_shows_draw_nothing(tmp_path):
    assert draw_learning({0: {"abs_weight/hidden1": 1.0}}, tmp_path / "learning.png") is None
    assert list(tmp_path.iterdir()) == []


def test_the_history_of_delays_is_a_row_more(tmp_path):
    network = tiny(fan_in=2)
    history = {name: {0: [1] * 25, 1: [2] + [1] * 23 + [0]} for name in ("hidden1", "hidden2", "readout")}
    path = draw_delays(network, {}, tmp_path / "delays.png")
    assert is_figure(path)
    without = matplotlib.image.imread(path)
    with_history = matplotlib.image.imread(draw_delays(network, history, path))
    assert with_history.shape[0] > 1.5 * without.shape[0]


def test_layers_with_windows_of_their_own_have_axes_of_their_own(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or path)
    none, short = (
        LayerConfig(synapses=partial(SynapticDelays, **own))
        for own in ({"delays": "none"}, {"max_delay_ms": 50.0})
    )
    history = {"hidden2": {0: [5] * 5, 4: [9, 7, 5, 3, 1]}, "readout": {0: [1] * 25, 4: [1] * 25}}
    draw_delays(tiny(layers=[none, short]), history, tmp_path / "delays.png")
    upper, lower = drawn[0].axes[:2], drawn[0].axes[2:4]
    assert [axis.get_title().partition(",")[0] for axis in upper] == ["hidden2", "readout"]
    assert [axis.get_ylim() for axis in upper] == [(-5.0, 45.0), (-5.0, 245.0)]
    assert [round(axis.dataLim.x1) for axis in lower] == [45, 245]


def test_a_network_without_delays_has_no_figure_of_them(tmp_path):
    assert draw_delays(tiny(delays="none"), {}, tmp_path / "delays.png") is None
    assert list(tmp_path.iterdir()) == []


def test_many_classes_are_drawn(tmp_path):
    names = [f"class {k}" for k in range(35)]
    seen = observation(35)
    assert is_figure(draw_confusion(seen, names, tmp_path / "confusion.png"))
    config = NetworkConfig(num_classes=35, decision="max")
    assert is_figure(draw_sample(seen.sample, config, names, tmp_path / "sample.png"))


@pytest.mark.parametrize("spikes", [True, False])
def test_spikes_are_dots_and_other_outputs_shades(spikes, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(sample_figures, "save", lambda figure, path: drawn.append(figure) or path)
    draw_sample(observation(spikes=spikes).sample, NetworkConfig(num_classes=3), "abc", tmp_path / "a.png")
    assert [len(axis.images) for axis in drawn[0].axes[:3]] == ([0] * 3 if spikes else [1] * 3)


def test_a_network_in_half_precision_is_drawn(tmp_path):
    network, batch = tiny().bfloat16(), DenseBatch(torch.rand(9, 2, 4), torch.tensor([0, 2]))
    paths = draw_all(network, {}, {}, observe(network, [batch]), "abc", tmp_path)
    assert [path.name for path in paths] == ["delays.png", "confusion.png", "sample.png"]


def test_nothing_is_drawn_of_what_is_not_known(tmp_path):
    paths = draw_all(tiny(), {}, {}, None, [], tmp_path / "new")
    assert [path.name for path in paths] == ["delays.png"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["delays.png"]


def test_a_figure_of_labels_ends_with_the_last_one(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(task_figures, "save", lambda figure, path: kept.append(figure))
    seen = observation()
    target = torch.full((2, 20), task_figures.IGNORE)
    target[0, 3:9] = 2
    answer = torch.nn.functional.one_hot(torch.full((2, 25), 1), 3).float()
    answer[:, 3:6] = torch.tensor([0.0, 0.0, 1.0])
    pairs = dataclasses.replace(seen, pairs=(answer, target))
    task_figures.draw_labels(pairs, NetworkConfig(time_step_ms=10), "abc", tmp_path / "labels.png")
    above, below = kept[0].axes
    asked, answered = (part.get_offsets()[:, 0].tolist() for part in below.collections)
    assert asked == answered == [30, 40, 50, 60, 70, 80]
    assert above.collections[0].get_offsets()[:, 0].max() <= 80
    assert above.get_title().startswith("50.0% of the 6 labelled steps")
