"""Configs and checkpoints of strangers run nothing and write nowhere else; one's own classes are welcome."""

import ast
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import Namespace
from jsonargparse._common import parsing_settings

from lit_delays.cli import main as cli
from lit_delays.cli.config_imports import VARIABLE, keep_inside
from lit_delays.cli.main import main
from lit_delays.cli.options import read
from lit_delays.data.batches import DenseBatch
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.deploy.formats import safetensors_folder
from lit_delays.errors import InputError
from lit_delays.inspect.observation import observe
from lit_delays.inspect.run_figures import draw_all
from lit_delays.interface import Interface
from lit_delays.plain_text import cell
from lit_delays.security.yaml_guard import LARGEST
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.training.checkpoints import WholeCheckpoints
from lit_delays.training.epoch_table import read_table

from .conftest import ROOT

TINY = [
    f"--config={ROOT}/configs/quickstart.yaml",
    *("--model.network.hidden_sizes=[8]", "--data.batch_size=500", "--trainer.max_epochs=1"),
    *("--trainer.accelerator=cpu", "--name=run"),
]
MARK = "executed"
CALLBACK = "trainer: {callbacks: [{class_path: %s}]}"
LOGGER = "trainer: {logger: {class_path: lightning.pytorch.loggers.%s}}"
CHECKPOINT = CALLBACK % "lightning.pytorch.callbacks.ModelCheckpoint, init_args: {filename: %s}"
PROFILER = "trainer: {profiler: {class_path: lightning.pytorch.profilers.SimpleProfiler, init_args: {%s}}}"
TENSORBOARD = LOGGER % "TensorBoardLogger, init_args: {%s}"
NOT_ALLOWED = "a config may not import `%s`; give --allow-import PACKAGE for a package that you trust."
LAUGHS = "\n".join(
    ["a0: &a0 [ha, ha]", *[f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]]
)

HOSTILE = {
    "shell": (CALLBACK % f"os.system, init_args: {{command: touch {MARK}}}", NOT_ALLOWED % "os.system"),
    "process": (
        f"trainer: {{logger: {{class_path: subprocess.Popen, init_args: {{args: [touch, {MARK}]}}}}}}",
        NOT_ALLOWED % "subprocess.Popen",
    ),
    "eval": (
        f"trainer: {{profiler: {{class_path: builtins.eval, init_args: {{source: \"open('{MARK}', 'w')\"}}}}"
        "}",
        NOT_ALLOWED % "builtins.eval",
    ),
    "pickle": (
        "trainer: {strategy: {class_path: torch.load, init_args: {f: x.pt}}}",
        NOT_ALLOWED % "torch.load",
    ),
    "hub": (
        "trainer: {plugins: [{class_path: torch.hub.load, init_args: {repo_or_dir: a/b, model: c}}]}",
        NOT_ALLOWED % "torch.hub.load",
    ),
    "a module that is there": (CALLBACK % "hostile.Callback", NOT_ALLOWED % "hostile.Callback"),
    "a way through an allowed module": (
        CALLBACK
        % f"lightning.pytorch.callbacks.model_checkpoint.os.system, init_args: {{command: touch {MARK}}}",
        "a config may not import `posix.system`",
    ),
    "a callable inside": (
        CALLBACK % "lightning.pytorch.callbacks.LambdaCallback, init_args: {setup: os.abort}",
        "a config may not import `os.abort`",
    ),
    "our own command line": (
        CALLBACK % "lightning.pytorch.callbacks.LambdaCallback, init_args: {setup: lit_delays.cli.main.main}",
        NOT_ALLOWED % "lit_delays.cli.main.main",
    ),
    "our own table elsewhere": (
        "trainer:\n  logger: {class_path: lit_delays.training.epoch_table.EpochTable, init_args: {x: 1}}",
        NOT_ALLOWED % "lit_delays.training.epoch_table.EpochTable",
    ),
    "the policy itself": (
        CALLBACK % "jsonargparse.set_parsing_settings, init_args: {import_path_allowlist: [os]}",
        NOT_ALLOWED % "jsonargparse.set_parsing_settings",
    ),
    "a network of another kind": (
        CALLBACK % "lightning.pytorch.callbacks.ModelPruning, init_args: {pruning_fn: l1_unstructured,"
        " parameters_to_prune: [[{class_path: torch.nn.Linear}, weight]]}",
        "torch.nn.Linear",
    ),
    "a launcher of processes": (
        "trainer: {strategy: {class_path: lightning.pytorch.strategies.launchers._SubprocessScriptLauncher}}",
        NOT_ALLOWED % "lightning.pytorch.strategies.launchers._SubprocessScriptLauncher",
    ),
    "a server that gets the token": (
        LOGGER % "MLFlowLogger, init_args: {tracking_uri: 'http://127.0.0.1:1'}",
        "a config may not import `lightning.pytorch.loggers.mlflow.MLFlowLogger`",
    ),
    "a folder elsewhere": (
        TENSORBOARD % "save_dir: ../../tb",
        "`save_dir` must stay in the run's folder, got",
    ),
    "an absolute folder": (
        TENSORBOARD % "save_dir: /etc",
        "`save_dir` must stay in the run's folder, got '/etc'",
    ),
    "a version elsewhere": (
        TENSORBOARD % "save_dir: ., version: ../../x",
        "`version` must stay in the run's folder",
    ),
    "a checkpoint elsewhere": (
        CALLBACK % "lightning.pytorch.callbacks.ModelCheckpoint, init_args: {dirpath: ~/.ssh/../../..}",
        "`dirpath` must stay in the run's folder",
    ),
    "a file name elsewhere": (
        CALLBACK % "lightning.pytorch.callbacks.ModelCheckpoint, init_args: {filename: ../../last}",
        "`filename` must stay in the run's folder",
    ),
    "a character for a number": (
        CHECKPOINT % "'{step:c}'",
        "`filename` may be filled with numbers alone, as `{epoch}` or `{val/acc:.2f}`, got '{step:c}'.",
    ),
    "a metric that is a path": (CHECKPOINT % "'{../x}'", "`filename` may be filled with numbers alone"),
    "an attribute": (CHECKPOINT % "'{step.__class__}'", "`filename` may be filled with numbers alone"),
    "a conversion": (CHECKPOINT % "'{step!r}'", "`filename` may be filled with numbers alone"),
    "a name of a billion zeros": (CHECKPOINT % "'{step:0999999999d}'", "`filename` may be filled with"),
    "a format in a format": (CHECKPOINT % "'{step:{epoch}c}'", "`filename` may be filled with"),
    "an open brace": (CHECKPOINT % "'{step'", "`filename` may be filled with numbers alone"),
    "a name with a zero byte": (CHECKPOINT % '"../../\\0x"', "`filename` must stay in the run's folder"),
    "any other path": (
        CALLBACK
        % "lightning.pytorch.callbacks.SpikeDetection, init_args: {exclude_batches_path: /tmp/x.json}",
        "`exclude_batches_path` must stay in the run's folder, got '/tmp/x.json'",
    ),
    "what a logger hands on": (
        LOGGER % "CSVLogger, init_args: {save_dir: .}, dict_kwargs: {filename_suffix: ../../../x}",
        "`filename_suffix` must stay in the run's folder, got '../../../x'",
    ),
    "another config": ("config: /etc/passwd", "a config cannot name another one; give --config more than"),
    "other configs": ("config: [/etc/passwd]", "a config cannot name another one; give --config more than"),
    "depth": ("name: " + "[" * 100_000, "must be at most 50 lists and mappings deep"),
    "digits": (f"data: {{batch_size: {'1' * 5000}}}", "has a value that cannot be read: Exceeds the limit"),
    "an option that colours": ('"\\e[31mred": 3', r"`--\x1b[31mred` is no option"),
    "a key that colours": ('data: {"\\e[31mred": 3}', r"\x1b[31mred"),
    "a name that colours": ('name: "\\e[31mred"', "`--name` must be 1 to 64 letters"),
    "a profile elsewhere": (
        PROFILER % "dirpath: /tmp",
        "`dirpath` must stay in the run's folder",
    ),
    "a run elsewhere": (
        "name: ../up",
        "`--name` must be 1 to 64 letters, digits, '.', '_' or '-', got '../up'.",
    ),
    "a resolver": ("name: ${oc.env:HOME}", "got '${oc.env:HOME}'."),
    "an object of yaml": (
        f"name: !!python/object/apply:os.system [touch {MARK}]",
        "could not determine a constructor",
    ),
    "a billion laughs": (f"{LAUGHS}\nname: *a29", "`*a0` must stand for a single value; write it out"),
    "a circle": ("name: &a [*a]", "`*a` must stand for a single value"),
    "a huge file": (f"name: run  # {'x' * LARGEST}", "must be a file of at most 256 kB."),
    "its own permission": ("allow_import: os", "allow_import"),
    "our own part that writes": (
        CALLBACK
        % "lit_delays.training.callbacks.delay_histograms.DelayHistograms, init_args: {path: /tmp/x}",
        NOT_ALLOWED % "lit_delays.training.callbacks.delay_histograms.DelayHistograms",
    ),
    "a neuron that is there": (
        "model: {network: {neuron: hostile.Neuron}}",
        "`hostile.Neuron` is no Neuron of lit_delays and may not be imported; give --allow-import PACKAGE",
    ),
    "a neuron that is none": (
        "model: {network: {neuron: {class_path: lit_delays.cli.main.main}}}",
        "`lit_delays.cli.main.main` must be a subclass of Neuron.",
    ),
    "a kernel inside the synapses of one layer": (
        "model: {network: {layers: [{synapses: {kernel: {class_path: os.system}}}]}}",
        "`--model.network.layers.synapses.kernel`: `os.system` is no Kernel of lit_delays and may not be",
    ),
    "data by name": (
        "data: {dataset: {class_path: os.system, init_args: {command: touch executed}}}",
        "`--data.dataset`: `os.system` is no Dataset of lit_delays and may not be imported",
    ),
    "data by class": (
        f"data: {{class_path: os.system, init_args: {{command: touch {MARK}}}}}",
        " is no option; see --help.",
    ),
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in ("import_path_verdicts", "import_paths_enforced"):  # what one test allows, no other has
        monkeypatch.setitem(parsing_settings, name, parsing_settings[name])
    (tmp_path / "hostile.py").write_text(f"open('{MARK}', 'w')\n")


def written(text):
    Path("config.yaml").write_text(text)
    return ["--config", "config.yaml"]


@pytest.mark.parametrize(("text", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_config_is_refused_in_one_line_with_nothing_executed(text, sentence, capsys):
    with pytest.raises(InputError) as refused:
        read(written(text))
    assert cli.fail(str(refused.value)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert line.isprintable()
    assert sorted(os.listdir()) == ["config.yaml", "hostile.py"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"settings": {"base_url": "http://127.0.0.1:1"}},
            "`settings` of a logger say who gets your key; give WANDB",
        ),
        (
            {"project": "../../other"},
            "`project` must stay in the run's folder, got '../../other'; choose where runs",
        ),
        ({"id": "/etc/x"}, "`id` must stay in the run's folder"),
        ({"config": "/etc/x"}, "`config` must stay in the run's folder"),
    ],
)
def test_weights_and_biases_get_no_other_server_and_no_other_folder(options, sentence, tmp_path):
    logger = Namespace(class_path="lightning.pytorch.loggers.WandbLogger", init_args=Namespace(**options))
    with pytest.raises(InputError) as refused:  # as parsed: reading one takes wandb six seconds
        keep_inside(Namespace(logger=[logger]), tmp_path)
    assert sentence in str(refused.value)
    logger = Namespace(class_path="lightning.pytorch.loggers.WandbLogger", dict_kwargs=options)
    with pytest.raises(InputError) as refused:
        keep_inside(Namespace(logger=[logger]), tmp_path)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", ["shell", "a folder elsewhere", "a huge file"])
def test_the_command_itself_refuses_a_hostile_config(name, capsys):
    text, sentence = HOSTILE[name]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *TINY, *written(text)])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert sorted(os.listdir()) == ["config.yaml", "hostile.py"]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/c.yaml", "file:///etc/hostname", "/dev/zero", "/etc"]
)
def test_a_config_is_a_file_of_this_machine(address):
    for option in ("--config", "-c"):
        with pytest.raises(InputError, match="config"):
            read([option, address])


@pytest.mark.parametrize("name", ["", "*", "jsonargparse", "a b", "../x"])
def test_what_cannot_be_allowed_is_one_sentence(name):
    with pytest.raises(InputError, match="`--allow-import` must be the name of a package, such as mypkg"):
        read([f"--allow-import={name}"])


OWN = """
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger

class Shout(Callback):
    def __init__(self, times: int = 1):
        self.times = times

    def on_fit_end(self, trainer, pl_module):
        print("done! " * self.times)

class OwnLogger(CSVLogger):
    pass

def notice(trainer, pl_module):
    print("noticed")
"""
EXTENSIONS = {
    "a callback": (CALLBACK % "lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: val/acc}", []),
    "a callback by its short name": (CALLBACK % "LearningRateMonitor", []),
    "a checkpoint": (
        CALLBACK
        % "lightning.pytorch.callbacks.ModelCheckpoint, init_args: {dirpath: more, every_n_epochs: 5}",
        [],
    ),
    "tensorboard": (TENSORBOARD % "save_dir: tb, name: mine", []),
    "a csv logger": (LOGGER % "CSVLogger, init_args: {save_dir: .}", []),
    "a strategy": (
        "trainer: {strategy: {class_path: lightning.pytorch.strategies.DDPStrategy,"
        " init_args: {static_graph: true}}}",
        [],
    ),
    "a cluster": (
        "trainer: {plugins: [{class_path: lightning.pytorch.plugins.environments.SLURMEnvironment,"
        " init_args: {auto_requeue: false}}]}",
        [],
    ),
    "a profiler": (
        PROFILER % "filename: p",
        [],
    ),
    "our own callback": (CALLBACK % "lit_delays.training.callbacks.layer_statistics.LayerStatistics", []),
    "one's own callback": (CALLBACK % "mine.Shout, init_args: {times: 3}", ["--allow-import", "mine"]),
    "one's own logger": (
        "trainer: {logger: {class_path: mine.OwnLogger, init_args: {save_dir: .}}}",
        ["--allow-import=mine"],
    ),
    "one's own function": (
        CALLBACK % "lightning.pytorch.callbacks.LambdaCallback, init_args: {on_fit_end: mine.notice}",
        ["--allow-import=mine"],
    ),
    "an alias of a value": ("data: {batch_size: &size 32}\nmodel: {network: {hidden_sizes: [*size]}}", []),
}


@pytest.mark.parametrize(("text", "words"), EXTENSIONS.values(), ids=EXTENSIONS)
def test_an_extension_works_in_the_documented_way(text, words):
    Path("mine.py").write_text(OWN)
    assert read([*written(text), *words])["trainer"]["max_epochs"] == 150


def test_a_package_of_ones_own_is_refused_until_it_is_allowed(monkeypatch):
    Path("mine.py").write_text(OWN)
    words = written(EXTENSIONS["one's own callback"][0])
    with pytest.raises(InputError, match=r"may not import `mine\.Shout`"):
        read(words)
    monkeypatch.setenv(VARIABLE, "other, mine")
    read(words)


def test_a_run_keeps_the_files_of_its_callbacks_and_its_options_serve_another_run(capsys):
    Path("mine.py").write_text(OWN)
    text = (
        "trainer:\n  logger: {class_path: mine.OwnLogger, init_args: {save_dir: own}}\n  callbacks:\n"
        "  - class_path: mine.Shout\n"
        "  - class_path: lightning.pytorch.callbacks.ModelCheckpoint\n"
        "    init_args: {dirpath: more, monitor: train/loss}\n"
    )
    main(["fit", *TINY, *written(text), "--allow-import", "mine"])
    assert "done!" in capsys.readouterr().out
    run = Path("runs/run")
    assert list((run / "own").rglob("metrics.csv"))
    assert list((run / "more").glob("*.ckpt"))
    saved = yaml.safe_load((run / "config.yaml").read_text())["trainer"]
    assert saved["logger"]["init_args"]["save_dir"] == "own"
    assert saved["callbacks"][1]["init_args"]["dirpath"] == "more"
    assert list(read_table(run / "metrics.csv")) == [0]

    hostile_checkpoint(run / "checkpoints/last.ckpt")
    capsys.readouterr()
    main(["fit", *TINY, *written(text), "--allow-import", "mine"])
    assert "note: checkpoints/last.ckpt was changed; the run is made again from its start" in "".join(
        capsys.readouterr()
    )
    assert not Path(MARK).exists()


class Payload:
    def __reduce__(self):
        return os.system, (f"touch {MARK}",)


def hostile_checkpoint(path):
    torch.save({"state_dict": {}, "epoch": 0, "hyper_parameters": Payload()}, path)


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_checkpoint_with_code_in_it_is_refused(command, capsys):
    hostile_checkpoint("hostile.ckpt")
    with pytest.raises(SystemExit) as stopped:
        main([command, *TINY, "--ckpt_path=hostile.ckpt"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "hostile.ckpt must be a whole checkpoint of tensors and plain values; it is damaged, or holds code"
        " that would run when it is loaded (UnpicklingError); give one of a run that has trained."
    ) in line
    assert not Path(MARK).exists()


def test_the_hostile_checkpoint_would_run_its_code_otherwise():
    hostile_checkpoint("hostile.ckpt")
    torch.load("hostile.ckpt", weights_only=False)
    assert Path(MARK).exists()


def test_nothing_of_ours_loads_a_checkpoint_in_another_way():
    loads = [
        (path.name, {word.arg: getattr(word.value, "value", None) for word in call.keywords})
        for path in [*(ROOT / "lit_delays").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith(("torch.load", "load_from_checkpoint", "trainer.test"))
    ]
    assert len(loads) >= 2
    assert all(words.get("weights_only") is True for _, words in loads), loads


@pytest.mark.parametrize("content", [b"name: f\xfcr", "name: für".encode("utf-16"), b"\x80"])
def test_a_config_must_be_utf_8(content):
    Path("config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"^--config config\.yaml must be text in UTF-8, got the byte 0x"):
        read(["--config=config.yaml"])


@pytest.mark.parametrize(
    "name", ["{epoch}", "{epoch:03d}-{val/acc:.2f}", "{train/loss:8.3f}-x", "{step:.1e}", "plain"]
)
def test_checkpoints_may_be_named_after_numbers(name):
    read(written(CHECKPOINT % f"'{name}'"))


def test_a_checkpoint_is_checked_where_it_is_written(tmp_path):
    checkpoints = WholeCheckpoints(tmp_path / "run")
    checkpoints.save_checkpoint({"epoch": 0}, tmp_path / "run/more/a.ckpt")
    (tmp_path / "b.ckpt").write_text("mine")
    for way in (lambda path: checkpoints.save_checkpoint({}, path), checkpoints.remove_checkpoint):
        with pytest.raises(
            InputError, match=r"a checkpoint must stay in the run's folder .*change `filename`"
        ):
            way(tmp_path / "run/../b.ckpt")
    assert (tmp_path / "b.ckpt").read_text() == "mine"
    checkpoints.remove_checkpoint(tmp_path / "run/more/a.ckpt")
    assert not list((tmp_path / "run/more").iterdir())


HOSTILE_NAMES = (
    "\x1b[2Jgone",
    "=HYPERLINK(0)",
    "<script>x</script>",
    "[a](http://b)",
    "# big",
    "a|b`c",
    "$\\frac$",
)


def test_names_of_classes_are_shown_and_never_obeyed(capsys):
    with pytest.raises(InputError, match=r"`class_names` of class 0 must be .* printable characters, got "):
        SpikeArrays.of([[0.0]] * 7, [[0]] * 7, np.arange(7), class_names=HOSTILE_NAMES)
    with pytest.raises(InputError, match="`class_names` must have no control characters"):
        Interface(class_names=HOSTILE_NAMES)
    config = NetworkConfig(num_inputs=2, num_classes=7, hidden_sizes=[2])
    interface = Interface(class_names=("plain", *HOSTILE_NAMES[1:]))
    safetensors_folder.save(Network(config, interface).eval(), Path("net"))
    card = Path("net/README.md").read_text()
    for name in HOSTILE_NAMES[1:-1]:
        assert f"`{name}`" in card or f"`` {name} ``" in card
    batch = DenseBatch(torch.zeros(4, 7, 2), torch.arange(7))
    network = Network(config, interface).eval()
    figures = draw_all(network, {}, {}, observe(network, [batch]), network.class_names, Path("figures"))
    assert Path("figures/confusion.png") in figures


@pytest.mark.parametrize("option", ["callbacks", "logger", "plugins"])
def test_no_option_reads_another_file(option):
    Path("secret.yaml").write_text("password: hunter2\n")
    with pytest.raises(InputError) as refused:
        read(written(f"trainer: {{{option}: secret.yaml}}"))
    assert "hunter2" not in str(refused.value)


RESULT = {
    "accuracy": 0.5,
    "num_samples": 10,
    "epoch": 1,
    "num_epochs": 1,
    "selection": "x",
    "num_parameters": 9,
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accuracy": "high"}, "is no result ('<=' not supported"),
        ({"accuracy": float("nan")}, "accuracies must be in [0, 1], got (nan, None)"),
        ({"num_samples": 1.5}, "numbers must be whole, at least 1, got (1.5, 1, 1), 9"),
        ({"selection": 3}, "`selection` must be text"),
        ({"minutes": float("inf")}, "`minutes` at least 0, got ('x', ''), inf"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_a_result_of_other_types_is_one_line(changes, sentence, capsys):
    run = Path("runs/run")
    run.mkdir(parents=True)
    (run / "result.json").write_text(json.dumps({**RESULT, **changes}))
    (run / "config.yaml").write_text("{}")
    with pytest.raises(SystemExit) as stopped:
        main(["report", "runs", "--table", "table.md"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line


@pytest.mark.parametrize("text", [LAUGHS, "[" * 100_000, "# " + "x" * 30_000_000])
def test_a_report_of_a_hostile_config_is_one_line(text, capsys):
    run = Path("runs/run")
    run.mkdir(parents=True)
    (run / "result.json").write_text(json.dumps(RESULT))
    (run / "config.yaml").write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["report", "runs", "--table", "table.md"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "config.yaml" in line


def test_cells_of_answers_are_no_formulas():
    names = ["=1+2", "+1", "-1", "@x", " =3", "yes", "a=b"]
    assert [cell(name) for name in names] == ["'=1+2", "'+1", "'-1", "'@x", "' =3", "yes", "a=b"]
