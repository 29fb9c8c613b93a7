"""Each way in which learning delays fails is named once; a healthy run is left in peace."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from lit_delays.snn.network import Network
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.neurons import LIF, ReLU
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.training.callbacks.delay_doctor import DelayDoctor, diagnose
from lit_delays.training.callbacks.delay_histograms import DelayHistograms, read_histograms
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.epoch_table import EpochTable
from lit_delays.training.schedules import weight_rate


def network(**synapses):
    return Network(NetworkConfig(synapses=partial(SynapticDelays, **synapses)))


PAPERS = network()  # 25 lags of 10 ms
EVEN = [1] + [2] * 23 + [3]  # delays spread evenly over [0, 25], clamped and rounded


def healthy(epochs=20):
    """Metrics of a run that learns."""
    return {
        epoch: {
            "train/loss": 2.0 * 0.8**epoch,
            "train/acc": 1 - 0.8**epoch,
            "val/acc": 1 - 0.8**epoch,
            "sigma": max(0.5, 12.0 - 3 * epoch),
            "delay_change/hidden1": 0.6,
            "firing_rate/hidden1": 9.0,
            "firing_rate/hidden2": 7.0,
        }
        for epoch in range(epochs)
    }


def names(rows=None, counts=None, of=PAPERS, epochs=20):
    return [finding.what for finding in diagnose(of, rows or {}, counts or {}, epochs)]


def test_a_healthy_run_gets_no_warning_at_any_time():
    for epochs in range(1, 21):
        assert names(healthy(epochs), {"hidden1": {epochs: EVEN}}) == []


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_a_silent_layer_is_named(rate):
    rows = {epoch: {**row, "firing_rate/hidden2": rate} for epoch, row in healthy().items()}
    assert names(rows) == ["hidden2 is silent"]


def test_a_layer_must_be_silent_for_three_epochs():
    rows = healthy(5)
    for epoch in (3, 4):
        rows[epoch]["firing_rate/hidden2"] = 0.0
    assert names(rows) == []


def test_a_layer_that_fires_all_the_time_is_named():
    rows = {epoch: {**row, "firing_rate/hidden1": 55.0} for epoch, row in healthy().items()}
    assert names(rows) == ["hidden1 fires all the time"]


def test_the_output_of_relu_is_no_firing_rate():
    rows = {epoch: {**row, "firing_rate/hidden1": 155.0} for epoch, row in healthy().items()}
    assert names(rows, of=Network(NetworkConfig(neuron=ReLU))) == []


@pytest.mark.parametrize(("lag", "place"), [(0, "0 ms"), (24, "240 ms")])
def test_delays_that_pile_up_at_an_end_are_named(lag, place):
    counts = list(EVEN)
    counts[lag] += 20
    (finding,) = diagnose(PAPERS, {}, {"readout": {0: EVEN, 3: counts}}, 20)
    assert finding.what == f"delays of readout pile up at {place}"
    assert f"{counts[lag] / sum(counts):.0%} of its synapses" in finding.why


def test_a_short_window_has_many_delays_at_its_ends_and_that_is_no_pile():
    random = torch.rand(10_000) * 3
    counts = torch.bincount(random.clamp(max=2).round().long(), minlength=3).tolist()
    assert names({}, {"hidden1": {1: counts}}, of=network(max_delay_ms=30.0)) == []


def test_fixed_delays_have_nothing_to_settle():
    assert names({}, {"hidden1": {1: [50, *EVEN[1:]]}}, of=network(delays="fixed")) == []


def test_delays_that_do_not_settle_are_named():
    rows = {epoch: {**row, "delay_change/hidden1": 6.0} for epoch, row in healthy().items()}
    assert names(rows) == ["delays of hidden1 do not settle"]


def test_accuracy_that_falls_as_sigma_shrinks_is_named_while_it_shrinks():
    rows = healthy(12)
    for epoch, row in rows.items():
        row["sigma"], row["val/acc"] = 12.0 - epoch, 0.8 if epoch < 6 else 0.6
    assert names(rows) == ["validation accuracy falls as the soft delays narrow"]
    for row in rows.values():
        row["sigma"] = 0.5  # the accuracy falls for another reason
    assert names(rows) == []


def test_a_loss_that_rests_early_is_named():
    rows = {epoch: {**row, "train/loss": 2.3, "train/acc": 0.1} for epoch, row in healthy(8).items()}
    assert names(rows) == ["the training loss rests early"]


def test_a_loss_may_rest_where_it_is_solved_or_the_rate_is_low():
    solved = {epoch: {**row, "train/loss": 0.01, "train/acc": 0.95} for epoch, row in healthy(8).items()}
    assert names(solved) == []
    late = healthy()
    for epoch, row in late.items():
        row["lr/weights"] = 0.005 * weight_rate(epoch, "one_cycle", 20)[0]
        if epoch >= 12:
            row.update({"train/loss": late[12]["train/loss"], "train/acc": 0.7})
    assert names(late) == []
    for row in late.values():
        row.update({"lr/weights": 0.005, "train/acc": 0.7})
    assert names(late) == ["the training loss rests early"]


class Batch:
    lengths = None  # all steps are real

    def __init__(self):
        self.labels = torch.arange(8) % 2

    def counts(self):
        return torch.ones(12, 8, 4)


def train(folder, max_epochs, neuron=LIF, layers=(), ckpt_path=None, **synapses):
    made = partial(SynapticDelays, **{"max_delay_ms": 50.0, **synapses})
    config = NetworkConfig(
        num_inputs=4, num_classes=2, hidden_sizes=[6, 6], synapses=made, neuron=neuron, layers=layers
    )
    loader = DataLoader([Batch()], batch_size=None)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        logger=EpochTable(folder),
        default_root_dir=folder,
        callbacks=[DelayHistograms(), DelayDoctor()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(DelayClassifier(config), loader, loader, ckpt_path=ckpt_path)
    return trainer


def test_a_silent_run_says_so_once_and_keeps_it(tmp_path, capsys):
    (tmp_path / "warnings.txt").write_text("epoch 2: hidden1 is silent: of an earlier run\n")
    train(tmp_path, 4, partial(LIF, v_threshold=1000.0))
    printed = [line for line in capsys.readouterr().out.splitlines() if "hidden1 is silent" in line]
    assert printed == [
        "warning: epoch 3: hidden1 is silent: 0 spikes per second and neuron; lower"
        " --model.network.neuron.v_threshold or --model.optimizer.weight_lr"
    ]
    kept = (tmp_path / "warnings.txt").read_text().splitlines()
    assert [f"warning: {line}" for line in kept if "hidden1" in line] == printed


def test_every_epoch_and_the_start_has_its_delays(tmp_path):
    train(tmp_path, 2)
    counts = read_histograms(tmp_path / "delays.csv")
    assert set(counts) == {"hidden1", "hidden2", "readout"}
    assert all(set(epochs) == {0, 1, 2} for epochs in counts.values())
    assert [sum(count) for count in counts["hidden1"].values()] == [24] * 3


def test_layers_with_windows_of_their_own_have_histograms_as_long(tmp_path):
    longer = LayerConfig(synapses=partial(SynapticDelays, max_delay_ms=90.0))
    train(tmp_path, 1, layers=[longer])
    counts = read_histograms(tmp_path / "delays.csv")
    assert {name: {len(count) for count in epochs.values()} for name, epochs in counts.items()} == {
        "hidden1": {9},
        "hidden2": {5},
        "readout": {5},
    }


def test_every_layer_is_held_to_its_own_window():
    wide = LayerConfig(synapses=partial(SynapticDelays, max_delay_ms=900.0))
    of = Network(NetworkConfig(layers=[wide]))
    changes = {"delay_change/hidden1": 6.0, "delay_change/hidden2": 6.0}
    rows = {epoch: {**row, **changes} for epoch, row in healthy().items()}
    assert names(rows, of=of) == ["delays of hidden2 do not settle"]


def test_a_run_that_goes_on_keeps_its_histograms(tmp_path):
    first = train(tmp_path, 1)
    first.save_checkpoint(tmp_path / "x.ckpt")
    again = train(tmp_path, 2, ckpt_path=tmp_path / "x.ckpt")
    (histograms,) = (item for item in again.callbacks if isinstance(item, DelayHistograms))
    assert histograms.counts == read_histograms(tmp_path / "delays.csv")
    assert set(histograms.counts["hidden1"]) == {0, 1, 2}


def test_a_network_without_delays_has_no_table_of_them(tmp_path):
    train(tmp_path, 1, delays="none")
    assert not (tmp_path / "delays.csv").exists()
