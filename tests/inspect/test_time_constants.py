"""What neurons have learned of their own is told, drawn, and named where it is a sign of trouble."""

import math
from functools import partial

import matplotlib.image
import pytest
import torch

from lit_delays.inspect import neuron_figures
from lit_delays.inspect.neuron_figures import draw_time_constants, learned_times, time_constant_table
from lit_delays.inspect.run_figures import draw_all
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.neurons import (
    LIF,
    PLIF,
    AdLIF,
    CAdLIF,
    CSiLIF,
    EFAdLIF,
    Neuron,
    SEAdLIF,
    SiLIF,
    TwoStateNeuron,
)
from lit_delays.training.callbacks.delay_doctor import diagnose


def network(*neurons: type[Neuron] | partial[Neuron], time_step_ms: float = 4.0) -> Network:
    layers = [LayerConfig(neuron=neuron) for neuron in neurons]
    sizes = {
        "num_inputs": 4,
        "num_classes": 3,
        "hidden_sizes": [60] * len(neurons),
        "time_step_ms": time_step_ms,
    }
    return Network(NetworkConfig(**sizes, layers=layers))  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [PLIF, AdLIF, CAdLIF, SiLIF, CSiLIF, EFAdLIF, SEAdLIF])
def test_every_neuron_that_learns_time_constants_is_drawn_and_has_rows(cls, tmp_path):
    made = network(cls, LIF)
    times = made.layers[0].neuron.learned_times_ms()
    assert learned_times(made).keys() == {"hidden1"}
    _header, _, *rows = time_constant_table(made)
    assert [row.split("|")[1].strip() for row in rows] == ["hidden1"] * len(times)
    for row, (what, values) in zip(rows, times.items(), strict=True):
        expected = [
            what,
            *(neuron_figures._ms(it) for it in (values.min(), values.quantile(0.5), values.max())),
        ]
        assert [cell.strip() for cell in row.split("|")[2:-1]] == expected
    path = draw_time_constants(made, tmp_path / "time_constants.png")
    assert matplotlib.image.imread(path).std() > 0.05


def test_neurons_that_learn_none_have_no_figure_and_no_table(tmp_path):
    made = network(LIF)
    assert draw_time_constants(made, tmp_path / "x.png") is None
    assert time_constant_table(made) == []


def test_every_neuron_is_counted_once_in_its_panel(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(neuron_figures, "save", lambda figure, path: drawn.append(figure) or path)
    draw_time_constants(network(SEAdLIF, CSiLIF), tmp_path / "x.png")
    axes = [axis for axis in drawn[0].axes if axis.patches]
    names = [axis.get_xlabel() for axis in axes]
    assert sorted(names) == ["adaptation (ms)", "membrane (ms)", "membrane (ms)", "period (ms)"]
    assert [sum(bar.get_height() for bar in axis.patches) for axis in axes] == [60] * 4


def test_the_figures_of_a_run_have_it(tmp_path):
    paths = draw_all(network(SiLIF), {}, {}, None, [], tmp_path)
    assert "time_constants.png" in [path.name for path in paths]


@pytest.mark.parametrize("cls", [AdLIF, CAdLIF, SiLIF, CSiLIF, EFAdLIF, SEAdLIF])
def test_swings_are_the_complex_roots_of_what_is_linear_in_a_neuron(cls):
    neuron: TwoStateNeuron = cls(300, 10.0, **({} if cls is CSiLIF else {"tau_mem_ms": (20.0, 100.0)}))
    c = neuron.double().coefficients()
    matrices = torch.stack([torch.stack([c.uu, c.uw], -1), torch.stack([c.wu, c.ww], -1)], -2)
    roots = torch.linalg.eigvals(matrices.detach())[:, 0]
    height, period = neuron.oscillation()
    swings = roots.imag.abs() > 1e-7
    torch.testing.assert_close(height, torch.where(swings, roots.abs(), 0.0))
    expected = torch.where(swings, 2 * math.pi / roots.angle().abs(), math.inf)
    torch.testing.assert_close(period[swings], expected[swings], rtol=1e-5, atol=0.0)
    assert period[~swings].isinf().all()


def test_neurons_that_swing_ever_higher_are_named_with_their_period_and_a_way_out():
    finding, *others = diagnose(network(EFAdLIF, time_step_ms=10.0), {}, {}, 10)
    assert not others
    assert finding.what == "hidden1 oscillates"
    assert "of its neurons swing ever higher without input, with a period of" in finding.why
    assert finding.why.endswith(
        "take --model.network.neuron SEAdLIF, whose method is stable, or lower the upper end of"
        " --model.network.neuron.a"
    )
    for cls in (SEAdLIF, partial(CAdLIF, tau_mem_ms=(20.0, 100.0)), CSiLIF, LIF):
        assert diagnose(network(cls, time_step_ms=10.0), {}, {}, 10) == []


def test_a_swing_that_is_named_does_grow():
    narrow = {"tau_mem_ms": (20.0, 20.0), "tau_adapt_ms": (240.0, 300.0), "a": (0.9, 1.0)}
    neuron = EFAdLIF(300, 10.0, **narrow).double()
    assert (neuron.oscillation()[0] > 1).all()
    c, u = neuron.coefficients(), torch.full((300,), 1e-6, dtype=torch.float64)
    w, heights = torch.zeros_like(u), []
    for _ in range(60):
        u, w = c.uu * u + c.uw * w, c.wu * u + c.ww * w
        heights.append(u.abs().max().item())
    assert max(heights[40:]) > max(heights[20:40]) > max(heights[:20])


@pytest.mark.parametrize(
    ("rate", "what", "advice"),
    [
        (150.0, "hidden1 fires all the time", "raise the lower end of --model.network.neuron.b, or lower"),
        (0.0, "hidden1 is silent", "lower the upper ends of --model.network.neuron.a and b, or"),
    ],
)
def test_advice_names_options_that_the_neuron_has(rate, what, advice):
    rows = {epoch: {"firing_rate/hidden1": rate} for epoch in range(3)}
    (finding,) = diagnose(network(SEAdLIF), rows, {}, 10)
    assert finding.what == what
    assert advice in finding.why
