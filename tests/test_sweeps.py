"""Sweep files become the command lines that W&B's agent would run, and `fit` accepts every one."""

import copy
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args, make_launch_sweep_entrypoint

from lit_delays.cli.main import main
from lit_delays.cli.options import read
from lit_delays.errors import InputError
from lit_delays.sweeps.expand import expand, grid
from lit_delays.sweeps.manifest import load
from lit_delays.sweeps.slurm import slurm_script
from lit_delays.sweeps.sweep_file import Sweep, read_sweep

from .conftest import ROOT

COUNTS = {
    "ablation_fc": 7 * 5,
    "ablation_sparse": 7 * 5,
    "delay_kinds": 6 * 3,
    "kernels": 3 * 5,
    "max_delay": 7 * 2 * 3,
    "neurons": 4 * 2 * 3,
    "precision": 2 * 3,
    "recurrent": 7 * 2 * 3,
    "rounding": 4 * 3,
    "seeds": 10,
    "sigma_schedule": 5 * 3 * 3,
    "tasks": 4 * 2 * 3,
    "tau_mem": 5 * 2 * 3,
    "window": 4 * 2 * 3,
}
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
COMMAND = ["${env}", "python", "-m", "lit_delays", "fit", "${args}"]


def written(tmp_path, **changes):
    content = {"method": "grid", "command": COMMAND, "parameters": {"seed_everything": {"values": [0, 1]}}}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def test_every_sweep_file_is_known():
    assert [path.stem for path in FILES] == sorted([*COUNTS, "search"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sweep_file_says_which_question_it_answers(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "?" in first
    content = yaml.safe_load(path.read_text())
    of_all_tasks = {"name": "val/loss", "goal": "minimize"}
    expected = of_all_tasks if path.stem == "tasks" else {"name": "val/acc", "goal": "maximize"}
    assert content["metric"] == expected  # never the test set


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sweep_file_follows_the_schema_of_wandb(path):
    jsonschema = pytest.importorskip("jsonschema")
    try:  # read, not imported: the package wants an old numpy
        package = distribution("sweeps")
    except PackageNotFoundError:
        pytest.skip("pip install --no-deps sweeps")
    schema = json.loads(package.locate_file("sweeps/config/schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("name", COUNTS)
def test_every_line_is_a_run_of_its_own_that_fit_accepts(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = expand(read_sweep(ROOT / f"sweeps/{name}.yaml"))
    assert len(lines) == COUNTS[name]
    assert len({str(read(line)) for line in lines}) == COUNTS[name]


def test_the_search_parses_too_once_its_method_is_random(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "sweeps/search.yaml").read_text().replace("method: bayes", "method: random")
    (tmp_path / "random.yaml").write_text(text)
    sweep = read_sweep(tmp_path / "random.yaml")
    assert len(expand(sweep)) == 100
    for line in expand(sweep, num_runs=5):
        read(line)


@pytest.mark.parametrize("name", COUNTS)
def test_command_lines_are_those_of_wandbs_agent(name):
    content = yaml.safe_load((ROOT / f"sweeps/{name}.yaml").read_text())
    theirs = []
    for point in grid(content["parameters"]):
        arguments = create_sweep_command_args({"args": {key: {"value": v} for key, v in point.items()}})
        command, flags = make_launch_sweep_entrypoint(arguments, list(content["command"]))
        theirs.append([*command, *flags])
    start = ["${env}", "python", "-m", "lit_delays", "fit"]
    assert [[*start, *line] for line in expand(read_sweep(ROOT / f"sweeps/{name}.yaml"))] == theirs


def test_values_are_written_as_python_prints_them():
    values = [None, "null", True, 0.1, 1e-3, 10, "a b"]
    arguments = create_sweep_command_args({"args": {f"x{i}": {"value": v} for i, v in enumerate(values)}})
    parameters = {f"x{i}": {"value": value} for i, value in enumerate(values)}
    assert expand(Sweep(method="grid", parameters=parameters, before=[], after=[])) == [arguments["args"]]


def test_a_random_sweep_draws_the_same_runs_again(tmp_path):
    rate = {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}
    size = {"min": 8, "max": 16}
    path = written(tmp_path, method="random", parameters={"rate": rate, "size": size})
    lines = expand(read_sweep(path), num_runs=50)
    assert lines[:20] == expand(read_sweep(path), num_runs=20)
    rates = [float(line[0].split("=")[1]) for line in lines]
    sizes = {int(line[1].split("=")[1]) for line in lines}
    assert all(0.001 <= rate <= 0.1 for rate in rates)
    assert 15 <= sum(rate < 0.01 for rate in rates) <= 35  # half of the draws lie below the geometric mean
    assert sizes == set(range(8, 17))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "bayes"}, "start it with `wandb sweep"),
        ({"method": "gird"}, "`method` must be grid or random, got 'gird'."),
        ({"parameters": {}}, "no runs"),
        ({"parametres": {}}, "`parametres` is no key of a sweep file; choose from "),
        (
            {"parameters": {"seed": {"values": []}}},
            "`parameters.seed`: `values` must be a list of one or more",
        ),
        ({"parameters": {"seed": {"values": 3}}}, "`values` must be a list of one or more, got 3."),
        ({"parameters": {"model": {"parameters": {"a": {"value": 1}}}}}, "`parameters.model` must be flat"),
        ({"parameters": {"seed": {"min": 0, "max": 3}}}, "`parameters.seed` must have `value` or `values`."),
        (
            {"metric": {"name": "val/accuracy"}},
            "nothing logs `metric.name` 'val/accuracy'; choose from val/acc",
        ),
        ({"metric": {"name": "test/acc", "goal": "maximize"}}, "nothing logs `metric.name` 'test/acc'"),
        ({"metric": {"name": "val/acc"}}, "`metric.goal` of val/acc must be maximize, got 'minimize'."),
        ({"command": ["python", "train.py"]}, "`command` must run `lit_delays fit` with one ${args}"),
        ({"command": [*COMMAND, "--allow-import=os"]}, "`--allow-import` is yours to give: `sweep "),
        ({"parameters": {"allow-import": {"value": "os"}}}, "`--allow-import` is yours to give"),
        ({"method": "random"}, "give --num-runs or write `run_cap`"),
        (
            {"method": "random", "parameters": {"x": {"distribution": "beta", "min": 1, "max": 2}}},
            "`distribution` must be one of constant, categorical, categorical_w_probabilities, int_uniform,"
            " uniform, log_uniform_values, got 'beta'; `wandb agent` knows the others.",
        ),
    ],
)
def test_a_wrong_sweep_is_one_sentence(changes, words, tmp_path):
    with pytest.raises(InputError) as mistake:
        expand(read_sweep(written(tmp_path, **changes)))
    assert words in str(mistake.value)


FITTING = {"method": "random", "run_cap": 1}
WRONG = {
    "metric as text": ({"metric": "val/acc"}, "`metric` must have a name and a goal, such as {name: val/acc"),
    "run_cap as text": ({"run_cap": "2"}, "`run_cap` must be a whole number, at least 1, got '2'."),
    "half a run": ({"run_cap": 1.5}, "`run_cap` must be a whole number, at least 1, got 1.5."),
    "true runs": ({"run_cap": True}, "`run_cap` must be a whole number, at least 1, got True."),
    "no run": ({"run_cap": 0}, "`run_cap` must be a whole number, at least 1, got 0."),
    "a command that is none": (
        {"command": 5},
        "`command` must run `lit_delays fit` with one ${args}, as a list",
    ),
    "words of a command that are none": ({"command": [*COMMAND, [1]]}, "as a list of words such as"),
    "parameters as a list": ({"parameters": ["a"]}, "`parameters` must hold options, as `seed_everything: {"),
    "no parameters": ({"parameters": None}, "`parameters` must hold options"),
    "options of numbers": ({"parameters": {3: {"value": 1}}}, "`parameters` must hold options"),
}
WRONG_PARAMETERS = {
    "min above max": ({"min": 5, "max": 2}, "`min` must be at most `max`, got 5 and 2."),
    "text for YAML": (
        {"min": "1e-4", "max": 1e-2},
        "`min` must be a number, got '1e-4'; write it without quotes, and 1e-4, which YAML takes for text, as"
        " 1.0e-4.",
    ),
    "no end": ({"min": 0.0, "max": float("inf")}, "`max` must be a number, got inf."),
    "no number": ({"min": float("nan"), "max": 1.0}, "`min` must be a number, got nan."),
    "a choice as a bound": ({"min": False, "max": True}, "`min` must be a number, got False."),
    "the logarithm of zero": (
        {"distribution": "log_uniform_values", "min": 0, "max": 1},
        "`min` of log_uniform_values must be above 0, got 0.",
    ),
    "half numbers": (
        {"distribution": "int_uniform", "min": 0.5, "max": 1},
        "`min` and `max` of int_uniform must be whole, got 0.5 and 1.",
    ),
    "null": (
        {"values": [None, 4]},
        'has a null, which W&B\'s agent writes as None, and `fit` refuses; write "null", in quotes.',
    ),
    "a null within": ({"values": [[4, None]]}, "has a null, which W&B's agent writes as None"),
    "a lone null": ({"value": None}, "has a null, which W&B's agent writes as None"),
    "too few probabilities": (
        {"values": [1, 2], "probabilities": [1.0]},
        "`probabilities` must be 2 numbers, one a value, that sum to 1, got [1.0]",
    ),
    "probabilities of more than one": (
        {"values": [1, 2], "probabilities": [0.7, 0.7]},
        "`probabilities` must be 2 numbers, one a value, that sum to 1, got [0.7, 0.7]",
    ),
    "negative probabilities": ({"values": [1, 2], "probabilities": [-1, 2]}, "`probabilities` must be 2"),
    "probabilities alone": ({"probabilities": [1]}, "It has probabilities."),
    "what is not used": ({"values": [1], "min": 0, "max": 1}, "It has max, min, values."),
    "what W&B alone knows": ({"values": [1], "mu": 3}, "It has mu, values."),
    "half a range": ({"min": 1}, "It has min."),
    "nothing": ({}, "It has nothing."),
    "another distribution's": (
        {"distribution": "uniform", "values": [1]},
        "must have `max` and `min`. It has values.",
    ),
    "a list as a distribution": ({"distribution": [1], "value": 1}, "`distribution` must be one of constant"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_a_part_of_another_type_is_one_sentence(changes, words, tmp_path):
    with pytest.raises(InputError) as mistake:
        read_sweep(written(tmp_path, **{**FITTING, **changes}))
    assert words in str(mistake.value)


@pytest.mark.parametrize(("parameter", "words"), WRONG_PARAMETERS.values(), ids=WRONG_PARAMETERS)
def test_a_wrong_parameter_is_one_sentence(parameter, words, tmp_path):
    with pytest.raises(InputError) as mistake:
        read_sweep(written(tmp_path, **FITTING, parameters={"x": parameter}))
    assert "sweep.yaml: `parameters.x`" in str(mistake.value)
    assert words in str(mistake.value)


def test_values_are_drawn_with_their_probabilities(tmp_path):
    rare = {"values": ["often", "never", "rarely"], "probabilities": [0.8, 0, 0.2]}
    named = {**copy.deepcopy(rare), "distribution": "categorical_w_probabilities"}
    path = written(tmp_path, **FITTING, parameters={"x": rare, "y": named})
    lines = expand(read_sweep(path), num_runs=1000)
    for index, name in enumerate("xy"):
        drawn = [line[index].removeprefix(f"--{name}=") for line in lines]
        assert "never" not in drawn
        assert 0.15 < drawn.count("rarely") / 1000 < 0.25


def test_a_grid_takes_no_probabilities(tmp_path):
    path = written(tmp_path, parameters={"x": {"values": [1, 2], "probabilities": [0.5, 0.5]}})
    with pytest.raises(
        InputError, match="`probabilities` need `method: random`: a grid takes every value once"
    ):
        read_sweep(path)


def test_what_is_not_used_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, early_terminate={"type": "hyperband", "min_iter": 3})
    main(["sweep", str(path), "--dry-run"])
    captured = capsys.readouterr()
    assert captured.err == (
        "note: `early_terminate` is for W&B's server, and not used here: every run goes to its end\n"
    )
    assert len(captured.out.splitlines()) == 2


def test_what_a_file_says_is_shown_and_not_obeyed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, parameters={"data.dataset.data_dir": {"value": "\x1b[2J"}})
    main(["sweep", str(path), "--dry-run"])
    assert r"'--data.dataset.data_dir=\x1b[2J'" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["sweep", str(written(tmp_path, parameters={"\x1b[31mred": {"value": 1}})), "--dry-run"])
    assert "\x1b" not in capsys.readouterr().err


def test_a_grid_beyond_measure_is_refused_at_once(tmp_path):
    axes = {f"x{index}": {"values": list(range(1000))} for index in range(3)}
    path = written(tmp_path, parameters=axes)
    with pytest.raises(
        InputError, match="at most 10,000 runs, got 1,000,000,000; give fewer values, or --num"
    ):
        expand(read_sweep(path))
    assert len(expand(read_sweep(path), num_runs=3)) == 3
    with pytest.raises(InputError, match="at most 10,000 runs, got 20,000;"):
        expand(read_sweep(written(tmp_path, method="random")), num_runs=20_000)


LAUGHS = "\n".join(
    ["a0: &a0 [1, 1]", *[f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]]
)
BOMBS = {
    "aliases": (LAUGHS, "`*a0` must stand for a single value"),
    "30 MB": ("# " + "x" * 30_000_000, "must be a file of at most 256 kB"),
    "depth": ("[" * 100_000, "must be at most 50 lists and mappings deep"),
    "depth of mappings": ("\n".join(f"{' ' * depth}a:" for depth in range(200)), "must be at most 50 lists"),
    "digits": (f"run_cap: {'1' * 5000}", "has a value that cannot be read: Exceeds the limit"),
    "python": ("method: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "a list": ("[1, 2]", "a sweep file needs `method`, `command` and `parameters`."),
    "an unknown number": ("3: 4", "`3` is no key of a sweep file"),
}


@pytest.mark.parametrize(("text", "words"), BOMBS.values(), ids=BOMBS)
def test_a_hostile_sweep_file_is_one_sentence(text, words, tmp_path):
    (tmp_path / "bomb.yaml").write_text(text)
    with pytest.raises(InputError) as refused:
        read_sweep(tmp_path / "bomb.yaml")
    assert words in str(refused.value)


MANIFESTS = {
    "no JSON": ("fit", "is no manifest (Expecting value"),
    "another type": ("[1]", "is no manifest ("),
    "a command as text": (
        '{"name": "a", "command": "fit"}',
        "`command` must be words after `fit`, got 'fit'",
    ),
    "numbers as words": (
        '{"name": "a", "command": ["fit", 3]}',
        "`command` must be words after `fit`, got [",
    ),
    "another command": ('{"name": "a", "command": ["data", "fetch"]}', "`command` must be words after `fit`"),
    "no command": ('{"name": "a", "command": []}', "`command` must be words after `fit`, got []"),
    "a name that is none": ('{"name": 3, "command": ["fit"]}', "`name` must be that of a folder, got 3"),
    "a name elsewhere": (
        '{"name": "../up", "command": ["fit"]}',
        "`name` must be that of a folder, got '../up'",
    ),
    "the folder itself": ('{"name": "..", "command": ["fit"]}', "`name` must be that of a folder, got '..'"),
    "too much": ('{"name": "a", "command": ["fit"], "x": 1}', "is no manifest ("),
    "depth": ("[" * 100_000, "is no manifest ("),
    "30 MB": ('{"name": "a", "command": ["fit"]}\n' * 900_000, "must be a file of at most 16 MB."),
    "no text": ("\udcff", "is no manifest ("),
}


@pytest.mark.parametrize(("text", "words"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_is_one_sentence(text, words, tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as refused:
        load(path)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["a b", "x\n#SBATCH --wrap=ls", "$(ls)", "a;b", "'q", "%j", "`ls`", "-o"])
def test_a_job_script_takes_no_name_that_means_something_in_it(name):
    with pytest.raises(InputError, match=r"--slurm needs a folder of letters, digits and .* alone, "):
        slurm_script(Path(name), 2)
    assert "#SBATCH --job-name=seeds-1.5\n" in slurm_script(Path("runs/seeds-1.5"), 2)


@pytest.mark.parametrize("option", ["--jobs", "--num-runs"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "1e3", "inf", "1000000000000", "9" * 5000])
def test_numbers_of_a_sweep_have_a_range(option, value, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(written(tmp_path)), option, value])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    rules = ("must be at least 1, got", "must be at most", "expected one argument")
    assert any(f"{option}: {rule}" in line for rule in rules)


def test_a_sweep_file_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "noise.yaml"):
        with pytest.raises(InputError, match=f"^cannot read the sweep file {path}: .*; check its path"):
            read_sweep(path)
