"""Sweep files become the command lines that W&B's agent would run, and `fit` accepts every one."""

import json
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args, make_launch_sweep_entrypoint

from lit_delays.cli.options import read
from lit_delays.errors import InputError
from lit_delays.sweeps.expand import Sweep, expand, grid, read_sweep

from .conftest import ROOT

COUNTS = {
    "ablation_fc": 7 * 5,
    "ablation_sparse": 7 * 5,
    "kernels": 3 * 5,
    "max_delay": 7 * 2 * 3,
    "seeds": 10,
    "sigma_schedule": 4 * 3 * 3,
    "tau_mem": 5 * 2 * 3,
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
    assert content["metric"] == {"name": "val/acc", "goal": "maximize"}  # never the test set


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
            "`distribution` must be one of int_uniform, uniform, log_uniform_values, got 'beta'",
        ),
    ],
)
def test_a_wrong_sweep_is_one_sentence(changes, words, tmp_path):
    with pytest.raises(InputError) as mistake:
        expand(read_sweep(written(tmp_path, **changes)))
    assert words in str(mistake.value)


def test_a_sweep_file_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "noise.yaml"):
        with pytest.raises(InputError, match=f"^cannot read the sweep file {path}: .*; check its path"):
            read_sweep(path)
