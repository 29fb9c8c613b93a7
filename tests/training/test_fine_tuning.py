import re
from dataclasses import dataclass
from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lit_delays.errors import InputError
from lit_delays.snn.delays import SummedDelays, Uniform
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.synapses import RecurrentDelays, StructuredDelays, SynapticDelays
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.fine_tuning import start_from

SIZES = {"num_inputs": 6, "num_classes": 3, "hidden_sizes": [8, 8]}


def config(**options):
    """A sparse network; options are of the network or of its synapses."""
    sizes = {name: options.pop(name) for name in SIZES if name in options}
    synapses = {"max_delay_ms": 90.0, "fan_in": 3, **options}
    return NetworkConfig(**{**SIZES, **sizes}, synapses=partial(SynapticDelays, **synapses))


@dataclass
class Spikes:
    spikes: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def counts(self) -> Tensor:
        return self.spikes


def batches(num_batches, seed):
    torch.manual_seed(seed)
    made = [Spikes((torch.rand(12, 5, 6) < 0.4).float(), torch.randint(3, (5,))) for _ in range(num_batches)]
    return DataLoader(made, batch_size=None)


def trained(path):
    """A network with delays between the steps and norms that have seen data, and its checkpoint."""
    torch.manual_seed(1)
    model = DelayClassifier(config())
    trainer = quiet(path.parent, max_epochs=2)
    trainer.fit(model, batches(4, seed=2), batches(1, seed=3))
    trainer.save_checkpoint(path)
    return model


def quiet(folder, **options):
    return pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def network(**options):
    torch.manual_seed(5)
    return Network(config(**options))


def evaluated(model, folder):
    (metrics,) = quiet(folder).validate(model, batches(2, seed=3), verbose=False)
    return metrics


@pytest.mark.parametrize("delays", ["fixed", "learned"])
def test_before_training_it_answers_exactly_as_the_trained_network(delays, tmp_path):
    source = trained(tmp_path / "a.ckpt")
    model = DelayClassifier(config(delays=delays))
    before = evaluated(model, tmp_path)
    start_from(model.network, tmp_path / "a.ckpt")
    assert evaluated(model, tmp_path) == evaluated(source, tmp_path) != before
    counts = torch.rand(12, 5, 6)
    assert torch.equal(model.eval()(counts), source.eval()(counts))


KINDS = {  # synapses, or recurrent ones, with parts that are learned first and fixed then
    "hybrid": (StructuredDelays, ("axonal", "dendritic"), {"max_delay_ms": 90.0}, 30.0),
    "free window": (StructuredDelays, ("synaptic",), {"max_delay_ms": None}, 0.0),
    "recurrent": (RecurrentDelays, ("axonal",), {}, 0.0),
}


def structured(kind, seed, *, fixed, **more):
    cls, parts, options, offset_ms = KINDS[kind]
    rule = partial(SummedDelays, offset_ms=offset_ms, start=partial(Uniform, low_ms=5.0, high_ms=40.0))
    rule = partial(
        rule, rounding="stochastic" if kind == "hybrid" else "none"
    )  # which leaves fixed ones alone
    rule = partial(rule, learned=() if fixed else parts, fixed=parts if fixed else ())
    made = partial(cls, delays=rule, **options | more)
    torch.manual_seed(seed)
    return NetworkConfig(**SIZES, **{"recurrent" if kind == "recurrent" else "synapses": made})


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "learned"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_delay_answers_as_the_trained_network_and_is_whole_in_training(kind, fixed, tmp_path):
    source = DelayClassifier(structured(kind, 1, fixed=False))
    trainer = quiet(tmp_path, max_epochs=2)
    trainer.fit(source, batches(4, seed=2), batches(1, seed=3))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    model = DelayClassifier(structured(kind, 5, fixed=fixed))
    start_from(model.network, tmp_path / "a.ckpt")
    counts = torch.rand(12, 5, 6)
    assert torch.equal(model.eval()(counts), source.eval()(counts))
    if fixed:
        chosen = [it for it in model.network.named_synapses().values() if isinstance(it, StructuredDelays)]
        assert chosen
        for synapses in chosen:
            trained, deployed = (synapses.train(mode).dense_kernel().detach() for mode in (True, False))
            assert torch.equal(trained[: len(deployed)], deployed)
            assert not trained[len(deployed) :].any()


@pytest.mark.parametrize("delays", ["fixed", "learned"])
def test_a_window_that_follows_its_delays_has_room_for_all(delays, tmp_path):
    start = partial(Uniform, low_ms=5.0, high_ms=44.0)
    source, model = (
        DelayClassifier(config(max_delay_ms=None, start=start, delays=mode)) for mode in ("learned", delays)
    )
    for synapses in source.network.named_synapses().values():
        synapses.delay.data.fill_(7.4)  # longer than any here, and between two steps
        synapses.constrain()
    torch.save({"state_dict": source.state_dict(), "epoch": 0}, tmp_path / "a.ckpt")
    start_from(model.network, tmp_path / "a.ckpt")
    counts = torch.rand(12, 5, 6)
    assert torch.equal(model.eval()(counts), source.eval()(counts))


def test_delays_of_a_rule_outside_the_window_are_refused(tmp_path):
    source = DelayClassifier(structured("hybrid", 1, fixed=False))
    torch.save({"state_dict": source.state_dict(), "epoch": 0}, tmp_path / "a.ckpt")
    model = Network(structured("hybrid", 1, fixed=True, max_delay_ms=50.0))
    with pytest.raises(InputError, match="delays must be from 0 to 40 ms, the window that `max_delay_ms`"):
        start_from(model, tmp_path / "a.ckpt")


def test_a_part_of_a_delay_that_training_would_cut_is_refused(tmp_path):
    source = DelayClassifier(structured("hybrid", 1, fixed=False, max_delay_ms=110.0))
    for synapses in source.network.named_synapses().values():
        synapses.delays.axonal_delay.data.fill_(3.0)  # of a share of 3.5 there, and of 2.5 here
        synapses.delays.dendritic_delay.data.fill_(0.0)
    torch.save({"state_dict": source.state_dict(), "epoch": 0}, tmp_path / "a.ckpt")
    model = Network(structured("hybrid", 1, fixed=False, max_delay_ms=90.0))
    with pytest.raises(InputError, match="`max_delay_ms` must be at least that of its run"):
        start_from(model, tmp_path / "a.ckpt")


def test_fixed_delays_are_the_whole_steps_of_the_learned_ones_and_stay_so(tmp_path):
    source = trained(tmp_path / "a.ckpt")
    layers = list(source.network.named_synapses().values())
    assert any(not torch.equal(layer.delay, layer.delay.round()) for layer in layers)
    model = DelayClassifier(config(delays="fixed"))
    start_from(model.network, tmp_path / "a.ckpt")
    quiet(tmp_path, max_epochs=2).fit(model, batches(3, seed=4), batches(1, seed=3))
    for before, after in zip(layers, model.network.named_synapses().values(), strict=True):
        assert torch.equal(after.delay, before.delay.detach().round())
        assert torch.equal(after.mask, before.mask)
        assert not torch.equal(after.weight, before.weight)
        assert bool((after.weight[~after.mask] == 0).all())


def test_training_sees_the_deployed_delays(tmp_path):
    trained(tmp_path / "a.ckpt")
    model = network(delays="fixed")
    start_from(model, tmp_path / "a.ckpt")
    for layer in model.named_synapses().values():
        torch.testing.assert_close(layer.train().dense_kernel(), layer.eval().dense_kernel())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"hidden_sizes": [9, 8]},
            "the shape of `layers.0.synapses.weight` is (8, 6, 1) there and (9, 6, 1) here",
        ),
        ({"num_classes": 4}, "the shape of `readout.synapses.weight` is (3, 8, 1) there and (4, 8, 1) here"),
        ({"fan_in": None}, "the shape of `layers.0.synapses.mask` is (8, 6, 1) there and none here"),
        ({"delays": "none"}, "the shape of `layers.0.synapses.delay` is (8, 6, 1) there and none here"),
        (
            {"hidden_sizes": [8, 8, 8]},
            "the shape of `layers.2.synapses.weight` is none there and (8, 8, 1) here",
        ),
    ],
)
def test_a_network_of_other_sizes_is_refused_with_its_first_difference(options, sentence, tmp_path):
    path = tmp_path / "a.ckpt"
    trained(path)
    model = network(**options)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole = f"{path} does not fit this network: {sentence}; give the options of its run."
    with pytest.raises(InputError, match="^" + re.escape(whole) + "$"):
        start_from(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_delays_outside_the_window_are_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    source = trained(path)
    assert float(source.network.named_synapses()["hidden1"].delay.detach().max()) > 4
    sentence = f"{path}: delays must be from 0 to 40 ms, the window that `max_delay_ms` gives, got "
    with pytest.raises(InputError, match="^" + re.escape(sentence) + r"[\d.e-]+ to [\d.]+ ms\.$"):
        start_from(network(max_delay_ms=50.0), path)


def test_what_is_no_checkpoint_of_ours_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    with pytest.raises(InputError, match=f"^no checkpoint at {re.escape(str(path))}; check `--start_from`.$"):
        start_from(network(), path)
    for content in ({}, {"state_dict": {"network.a": 1}, "epoch": 1}):
        torch.save(content, path)
        with pytest.raises(
            InputError, match=r"must be a checkpoint that `fit` wrote; check `--start_from`\.$"
        ):
            start_from(network(), path)
    for tensors in ({}, {"model.w": torch.zeros(1)}):
        torch.save({"state_dict": tensors, "epoch": 1}, path)
        with pytest.raises(InputError, match=r"holds no network of lit_delays; check `--start_from`\.$"):
            start_from(network(), path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {"network.readout.weight": torch.zeros(1)}, "run": re.compile}, path)
    with pytest.raises(InputError, match="holds code that would run"):
        start_from(network(), path)
