import json
from statistics import fmean

import pytest
import yaml

from lit_delays.cli.report import report
from lit_delays.errors import InputError
from lit_delays.report.comparison_figure import draw_models, title
from lit_delays.report.models import load_models, t_interval, t_quantile

ACCURACIES = (0.9, 0.8, 0.85)
LAYERS = [None, {"neuron": {"class_path": "lit_delays.snn.neurons.ReLU"}, "synapses": None}]
SYNAPSES = {"delays": "learned", "fan_in": None}


def part(class_path, **options):
    return {"class_path": class_path, "init_args": options}


def run(
    folder,
    seed=0,
    accuracy=0.9,
    model=None,
    dataset="SHD",
    files=None,
    start_from=None,
    hidden_size=256,
    neuron="LIF",
    layers=(),
    **synapses,
):
    """A finished run, as far as reports look."""
    folder.mkdir(parents=True)
    config = {
        "name": folder.name,
        "seed_everything": seed,
        "start_from": start_from,
        "data": {"dataset": part(f"lit_delays.data.datasets.{dataset}", **(files or {}))},
        "model": {
            "network": {
                "hidden_sizes": [hidden_size] * 2,
                "synapses": part("lit_delays.snn.synapses.SynapticDelays", **{**SYNAPSES, **synapses}),
                "neuron": part(f"lit_delays.snn.neurons.{neuron}", tau_mem_ms=10.05),
                "layers": list(layers),
            }
        },
        "trainer": {"default_root_dir": str(folder.parent)},
    }
    result = {
        "accuracy": accuracy,
        "num_samples": 500,
        "epoch": 3,
        "num_epochs": 15,
        "selection": "held-out speaker 3",
        "num_parameters": 12,
        "minutes": 1.5,
        "last_accuracy": accuracy - 0.1,
        "model": model,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def names(folders):
    return [(model.name, model.synapses) for model in load_models(folders)]


def test_runs_that_differ_in_the_seed_alone_are_one_model(tmp_path):
    folders = [run(tmp_path / f"{seed}", seed, accuracy) for seed, accuracy in enumerate(ACCURACIES)]
    (model,) = load_models(folders)
    assert model.results.keys() == {(0, None), (1, None), (2, None)}
    assert model.accuracy == fmean(ACCURACIES)
    assert model.interval == t_interval(ACCURACIES)
    assert model.mean("last_accuracy") == pytest.approx(0.75)


@pytest.mark.parametrize(("file", "name"), [(None, "SHD"), ("data/digits_train.h5", "digits_train")])
def test_a_figure_names_the_data_that_were_trained_on(file, name, tmp_path):
    folder = run(tmp_path / "run", files={"train_file": file})
    assert title(load_models([folder])) == f"{name}: mean of 1 seed, 95 % interval"


def test_a_run_that_is_given_twice_is_no_second_seed(tmp_path):
    (model,) = load_models([run(tmp_path / "a/run"), run(tmp_path / "b/run")])
    assert len(model.results) == 1


def test_one_seed_has_the_interval_of_its_test_samples(tmp_path):
    (model,) = load_models([run(tmp_path / "run", accuracy=0.9)])
    assert model.interval == pytest.approx((0.8706, 0.9233), abs=1e-4)


def test_seeds_that_agree_are_no_surer_than_their_test_samples(tmp_path):
    (model,) = load_models([run(tmp_path / f"{seed}", seed, accuracy=0.9) for seed in (0, 1)])
    assert t_interval(model.accuracies) == pytest.approx((0.9, 0.9))
    assert model.interval == pytest.approx((0.8706, 0.9233), abs=1e-4)


def test_a_model_is_called_after_its_overlay_or_its_delays(tmp_path):
    named = run(tmp_path / "a", model="no_delays_wide", delays="none", hidden_size=388)
    sparse = run(tmp_path / "b", model="no_delays_wide", delays="none", hidden_size=478, fan_in=10)
    plain = run(tmp_path / "c", delays="fixed")
    expected = [("no delays wide", "all"), ("no delays wide", "10 per neuron"), ("fixed delays", "all")]
    assert names([named, sparse, plain]) == expected


def test_namesakes_are_told_apart_by_the_options_in_which_they_differ(tmp_path):
    folders = [
        run(tmp_path / f"{size}-{seed}", seed, hidden_size=size) for size in (8, 16) for seed in (0, 1)
    ]
    expected = [
        ("learned delays, hidden_sizes [8, 8]", "all"),
        ("learned delays, hidden_sizes [16, 16]", "all"),
    ]
    assert names(folders) == expected


def test_namesakes_of_other_neurons_are_told_apart_by_their_class(tmp_path):
    folders = [run(tmp_path / neuron, neuron=neuron) for neuron in ("LIF", "PLIF")]
    assert names(folders) == [("learned delays, neuron LIF", "all"), ("learned delays, neuron PLIF", "all")]


def test_namesakes_are_told_apart_by_what_one_layer_has_of_its_own(tmp_path):
    folders = [run(tmp_path / name, layers=layers) for name, layers in (("a", []), ("b", LAYERS))]
    assert names(folders) == [("learned delays", "all"), ("learned delays, neuron ReLU", "all")]


def test_a_model_whose_synapses_have_no_kind_of_delays_is_called_after_their_class(tmp_path):
    folder = run(tmp_path / "run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["network"]["synapses"] = {"class_path": "outside.GroupDelays"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert names([folder]) == [("GroupDelays", "all")]
    report([str(folder)])


def tuned_runs(folder, origins, seeds):
    starts = [(seed, origin, str(origin / "checkpoints/best.ckpt")) for origin in origins for seed in seeds]
    return [run(folder / f"{origin.name}-{seed}", seed, start_from=start) for seed, origin, start in starts]


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_runs_that_start_from_the_seeds_of_one_model_are_one_model(seeds, tmp_path):
    trained = [run(tmp_path / f"trained-{seed}", seed) for seed in (0, 1, 2)]
    others = [run(tmp_path / f"other-{seed}", seed, hidden_size=16) for seed in (0, 1)]
    models = load_models(tuned_runs(tmp_path / "tuned", [*trained, *others], seeds))
    assert [len(model.results) for model in models] == [3 * len(seeds), 2 * len(seeds)]
    assert [model.name for model in models] == [
        f"learned delays, start_from {tmp_path}/trained-*",
        f"learned delays, start_from {tmp_path}/other-*",
    ]


def test_a_file_that_no_run_left_is_told_apart_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("- of something else")
    tuned = [run(tmp_path / name, start_from=f"given/{name}.ckpt") for name in "ab"]
    assert [model.name.split()[-1] for model in load_models(tuned)] == ["given/a.ckpt", "given/b.ckpt"]


def test_a_start_that_is_gone_is_told_apart_by_its_path(tmp_path):
    tuned = [run(tmp_path / name, start_from=f"gone/{name}/checkpoints/best.ckpt") for name in "ab"]
    assert [model.name.split()[-1] for model in load_models(tuned)] == [
        "gone/a/checkpoints/best.ckpt",
        "gone/b/checkpoints/best.ckpt",
    ]


def test_different_test_sets_do_not_share_a_report(tmp_path):
    folders = [run(tmp_path / name, dataset=name) for name in ("SHD", "SSC")]
    with pytest.raises(InputError, match="different test sets need a report each, got SHD with 500 samples"):
        load_models(folders)


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.706), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.98)]
)
def test_quantiles_are_those_of_the_printed_tables(degrees, expected):
    assert t_quantile(degrees) == pytest.approx(expected, abs=1e-3)


def test_a_sweep_is_reported_in_its_order_with_what_is_missing(tmp_path, capsys):
    for name, accuracy in (("b", 0.7), ("a", 0.9)):
        run(tmp_path / "sweep" / name, accuracy=accuracy, hidden_size=int(100 * accuracy))
    lines = [json.dumps({"name": name, "command": ["fit"]}) + "\n" for name in "bca"]
    (tmp_path / "sweep/manifest.jsonl").write_text("".join(lines))
    report([str(tmp_path / "sweep"), "--table", str(tmp_path / "new/table.md")])
    out = capsys.readouterr().out
    assert "1 runs have no result yet" in out
    table = (tmp_path / "new/table.md").read_text()
    assert table in out
    assert [line.split(" | ")[2] for line in table.splitlines()[2:]] == ["70.0%", "90.0%"]


def test_the_figure_is_drawn_with_fully_connected_and_sparse_models(tmp_path):
    folders = [
        run(tmp_path / f"{fan_in}-{seed}", seed, fan_in=fan_in) for fan_in in (None, 10) for seed in (0, 1)
    ]
    assert draw_models(load_models(folders), tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("new/a.pdf", b"%PDF"), ("a.svg", b"<?xml")]
)
def test_a_report_draws_for_screens_and_for_print(name, start, tmp_path, capsys):
    report([str(run(tmp_path / "run")), "--figure", str(tmp_path / name)])
    assert str(tmp_path / name) in capsys.readouterr().out
    assert (tmp_path / name).read_bytes().startswith(start)


def test_a_figure_of_another_kind_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"--figure: must end in \.png, \.pdf, \.svg, got a\.doc; "):
        report([str(run(tmp_path / "run")), "--figure", "a.doc"])


def test_a_table_in_a_place_that_cannot_be_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^cannot write .*/file/new/table\.md: Not a directory"):
        report([str(run(tmp_path / "run")), "--table", str(tmp_path / "file/new/table.md")])
    assert "| learned delays |" in capsys.readouterr().out


def test_a_folder_that_is_none_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"/none is no folder; give those of runs, or of sweeps\.$"):
        report([str(tmp_path / "none")])


def test_a_folder_without_results_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"no result\.json in .*; repeat its command to go on\."):
        report([str(tmp_path)])
