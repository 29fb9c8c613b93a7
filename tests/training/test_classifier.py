import json
import re
from dataclasses import dataclass
from functools import partial

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lit_delays.cli.main import main
from lit_delays.errors import InputError
from lit_delays.metrics import Activity
from lit_delays.snn.kernels import Triangle
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, ReLU
from lit_delays.snn.recorder import Recorder
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.training.callbacks.epoch_lines import EpochLines
from lit_delays.training.callbacks.layer_statistics import LayerStatistics
from lit_delays.training.callbacks.sigma_annealing import SigmaAnnealing
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.epoch_table import EpochTable, read_table
from lit_delays.training.loading import load_network

SMALL = {"num_inputs": 6, "num_classes": 3, "hidden_sizes": [8, 8]}


def config(neuron=LIF, **synapses):
    return NetworkConfig(
        **SMALL, neuron=neuron, synapses=partial(SynapticDelays, max_delay_ms=90.0, **synapses)
    )


@dataclass
class Spikes:
    spikes: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def counts(self) -> Tensor:
        return self.spikes


def batches(num_batches=3, seed=0):
    torch.manual_seed(seed)
    made = [Spikes((torch.rand(12, 5, 6) < 0.4).float(), torch.randint(3, (5,))) for _ in range(num_batches)]
    return DataLoader(made, batch_size=None)


class Halved(ReLU):
    """A neuron of a user's own."""

    def __init__(self, num_neurons, time_step_ms, *, share=0.5):
        super().__init__(num_neurons, time_step_ms)
        self.share = share

    def step(self, current, state):
        return self.share * torch.relu(current), state


def train(tmp_path, *callbacks, max_epochs=4, precision="32-true", neuron=LIF, **synapses):
    torch.manual_seed(0)
    model = DelayClassifier(config(neuron, **synapses))
    trainer = pl.Trainer(
        max_epochs=max_epochs,
        precision=precision,
        default_root_dir=tmp_path,
        logger=EpochTable(tmp_path),
        callbacks=[SigmaAnnealing(duration=0.5), LayerStatistics(), *callbacks],
        log_every_n_steps=1,
        enable_progress_bar=any(isinstance(callback, EpochLines) for callback in callbacks),
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(model, batches(), batches(2, seed=1))
    return model, trainer, read_table(tmp_path / "metrics.csv")


def test_every_promised_metric_is_in_the_table(tmp_path):
    *_, rows = train(tmp_path)
    layers = ("hidden1", "hidden2", "readout")
    promised = {"train/loss", "train/acc", "val/loss", "val/acc", "lr/weights", "lr/delays", "beta1", "sigma"}
    promised |= {f"{name}/{layer}" for name in ("abs_weight", "delay_change") for layer in layers}
    promised |= {"firing_rate/hidden1", "firing_rate/hidden2"}
    assert all(promised <= set(row) for row in rows.values())
    assert len(rows) == 4


def test_sigma_shrinks_from_half_the_window_and_stays(tmp_path):
    model, _, rows = train(tmp_path)
    sigmas = [rows[epoch]["sigma"] for epoch in range(4)]
    assert sigmas[0] == pytest.approx(9 // 2 + 0.27)
    assert sigmas[0] > sigmas[1] > sigmas[2] == sigmas[3] == pytest.approx(0.5)
    assert all(float(layer.sigma) == pytest.approx(0.5) for layer in model.network.named_synapses().values())


def test_delays_move_and_stay_in_their_range(tmp_path):
    model, _, rows = train(tmp_path)
    assert rows[0]["delay_change/hidden1"] > 0
    for layer in model.network.named_synapses().values():
        delay = layer.delay.detach()
        assert 0 <= float(delay.min()) <= float(delay.max()) <= 8


def test_a_window_that_follows_its_delays_is_in_the_table_and_may_be_watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synapses = "--model.network.synapses"
    free = [f"{synapses}.max_delay_ms=null", f"{synapses}.start=Uniform", f"{synapses}.start.high_ms=50"]
    words = ["--data.dataset=LagDetection", "--model.network.hidden_sizes=[4]", "--trainer.max_epochs=3"]
    watch = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=window/hidden1"]
    rate = ["--model.optimizer.delay_lr=1", "--sigma.start=3", "--name=free"]
    main(["fit", *words, *free, *watch, *rate, "--trainer.accelerator=cpu"])
    rows = read_table(tmp_path / "runs/free/metrics.csv")
    network = load_network(tmp_path / "runs/free/checkpoints/last.ckpt").network
    lags = {f"window/{name}": synapses.num_lags for name, synapses in network.named_synapses().items()}
    assert {name: rows[2][name] for name in lags} == lags
    assert len({rows[epoch]["window/hidden1"] for epoch in range(3)}) > 1


def test_fixed_delays_stay_where_they_are_and_have_no_sigma(tmp_path):
    model, _, rows = train(tmp_path, delays="fixed")
    assert "sigma" not in rows[0]
    assert "delay_change/hidden1" not in rows[0]
    assert all(
        torch.equal(layer.delay, layer.delay.round()) for layer in model.network.named_synapses().values()
    )


def test_sparse_synapses_stay_sparse(tmp_path):
    model, *_ = train(tmp_path, fan_in=3)
    for layer in model.network.named_synapses().values():
        assert (layer.weight != 0).sum(dim=(1, 2)).tolist() == [3] * layer.weight.shape[0]


def test_validation_numbers_are_those_of_the_deployed_network(tmp_path):
    model, trainer, rows = train(tmp_path)
    with torch.no_grad():
        for layer in model.network.named_synapses().values():
            layer.delay.copy_(layer.delay.round())
    (metrics,) = trainer.validate(model, batches(2, seed=1), verbose=False)
    assert metrics["val/loss"] == pytest.approx(rows[3]["val/loss"], rel=1e-6)


def test_accuracy_is_exact_over_uneven_batches(tmp_path):
    model = DelayClassifier(config())
    loader = [Spikes(torch.rand(12, size, 6), torch.zeros(size, dtype=torch.long)) for size in (1, 4)]
    trainer = pl.Trainer(
        logger=False, enable_progress_bar=False, default_root_dir=tmp_path, accelerator="cpu"
    )
    (metrics,) = trainer.test(model, DataLoader(loader, batch_size=None), verbose=False)
    model.eval()
    right = sum(int((model(batch.counts()).argmax(-1) == 0).sum()) for batch in loader)
    assert metrics["test/acc"] == pytest.approx(right / 5)


def test_a_checkpoint_loads_without_running_code(tmp_path):
    model, trainer, _ = train(tmp_path)
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    again = DelayClassifier.load_from_checkpoint(tmp_path / "some.ckpt", weights_only=True)
    assert again.network.config == model.network.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_a_checkpoint_of_a_notebook_holds_plain_values_and_gives_its_network(tmp_path):
    model, trainer, _ = train(tmp_path, neuron=partial(Halved, share=0.25))
    path = tmp_path / "some.ckpt"
    trainer.save_checkpoint(path)
    options = torch.load(path, weights_only=True)["hyper_parameters"]
    assert json.loads(json.dumps(options)) == options
    assert options["network"]["neuron"]["init_args"] == {"share": 0.25}
    network, _ = load_network(path)
    assert (network.config, network.interface) == (model.network.config, None)
    counts = torch.rand(12, 5, 6)
    again = DelayClassifier.load_from_checkpoint(path, weights_only=True)
    for one in (network, again.eval().network):
        assert torch.equal(one(counts), model.eval().network(counts))


def test_the_logged_firing_rates_are_those_of_a_recorder(tmp_path):
    model, _, rows = train(tmp_path)
    activity = Activity(model.network)
    with torch.no_grad(), Recorder(model.network.eval()) as recorder:
        for batch in batches(2, seed=1):
            model.network(batch.counts())
            activity.update(recorder.record)
    for name in ("firing_rate/hidden1", "firing_rate/hidden2"):
        assert rows[3][name] == pytest.approx(float(activity.compute()[name]), rel=1e-6)


@pytest.mark.parametrize("stage", ["training", "validation", "test"])
def test_a_batch_without_samples_changes_nothing(stage, tmp_path):
    model = DelayClassifier(config())
    empty, full = Spikes(torch.zeros(12, 0, 6), torch.zeros(0, dtype=torch.long)), next(iter(batches()))
    quiet = {"logger": False, "enable_progress_bar": False, "accelerator": "cpu", "max_epochs": 1}
    trainer = pl.Trainer(**quiet, enable_checkpointing=False, default_root_dir=tmp_path)
    loader = DataLoader([empty, full], batch_size=None)
    if stage == "training":
        trainer.fit(model, loader, loader)
    else:
        (trainer.validate if stage == "validation" else trainer.test)(model, loader, verbose=False)
    assert all(value.isfinite() for value in trainer.callback_metrics.values())
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true", "bf16-mixed"])
def test_every_precision_of_the_trainer_learns(precision, tmp_path):
    *_, rows = train(tmp_path, precision=precision, max_epochs=2)
    assert all(np.isfinite(value) for row in rows.values() for value in row.values())
    assert rows[1]["delay_change/hidden1"] > 0


def test_the_same_seed_gives_the_same_table_twice(tmp_path):
    train(tmp_path / "one")
    train(tmp_path / "two")
    tables = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("one", "two")]
    assert tables[0] == tables[1]


def test_an_epoch_is_a_line_where_output_goes_to_a_file(tmp_path, capsys):
    train(tmp_path, EpochLines(), max_epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert re.search(r"train/loss \d\.\d{3}  train/acc \d\.\d{3}  val/loss .* sigma .* s$", lines[1])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"final": 0.0}, "`sigma.final` must be above 0 time steps, got 0.0."),
        ({"start": 0.1}, "`sigma.start` must be at least `sigma.final` (0.5), got 0.1."),
        ({"duration": 1.5}, "`sigma.duration` must be in (0, 1], got 1.5."),
    ],
)
def test_wrong_schedules_are_refused(wrong, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        SigmaAnnealing(**wrong)


def test_a_triangle_that_could_fall_between_two_steps_is_refused(tmp_path):
    model = DelayClassifier(config(kernel=Triangle))
    with pytest.raises(InputError, match=re.escape("`sigma.final` must be at least 0.408 time steps for")):
        SigmaAnnealing(final=0.3).setup(None, model, "fit")
