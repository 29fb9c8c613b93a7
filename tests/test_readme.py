"""What the README shows works: its commands parse, its Python runs, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from lit_delays.cli.main import COMMANDS, main
from lit_delays.cli.options import read

from .conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
CONSOLE = "\n".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
COMMAND_LINES = [shlex.split(line, comments=True) for line in CONSOLE.splitlines() if line.strip()]
OURS = [words[3:] for words in COMMAND_LINES if words[:3] == ["python", "-m", "lit_delays"]]


def test_the_readme_shows_commands():
    assert len(OURS) >= 10
    assert ["make", "quickstart"] in COMMAND_LINES
    assert ["make", "test"] in COMMAND_LINES


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in (words[1] for words in COMMAND_LINES if words[0] == "make"):
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_a_command_of_ours_exists(words):
    assert words[0] in COMMANDS


@pytest.mark.parametrize("words", [words for words in OURS if words[0] == "fit"], ids=" ".join)
def test_a_fit_command_parses(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "tests" / "outside")  # where the parts of docs/extend.md are
    if "--help" not in words and not any(word.endswith(".help") for word in words):
        read(words[1:])


def test_the_help_of_a_part_shows_its_options(capsys):
    with pytest.raises(SystemExit):
        read(["--model.network.neuron.help", "CAdLIF"])
    assert "--model.network.neuron.tau_adapt_ms" in capsys.readouterr().out


@pytest.mark.parametrize("words", [words for words in OURS if words[0] == "sweep"], ids=" ".join)
def test_a_sweep_command_expands(words, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    file, *options = words[1 : words.index(">") if ">" in words else None]
    main(["sweep", file, "--dry-run", *options])
    assert f"--trainer.default_root_dir=runs/{Path(file).stem} --name=" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [words for words in OURS if words[0] in ("inspect", "report")], ids=" ".join
)
def test_a_command_on_finished_runs_parses(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(words)
    assert re.match(
        r"lit_delays: error: (no checkpoint at runs/|runs/\S+ is no folder)", capsys.readouterr().err
    )


def test_the_ablation_has_the_numbers_that_were_measured():
    measured = {}
    for line in (ROOT / "benchmarks/ablation.md").read_text().splitlines()[2:]:
        name, _, accuracy, ends = line.strip("| ").split(" | ")[:4]
        measured.setdefault(name, []).append(f"{accuracy} ({ends})")
    results = (ROOT / "README.md").read_text().partition("## Results")[2]
    rows = [line.strip("| ").split(" | ") for line in results.splitlines() if line.startswith("| ")][1:]
    assert {name: cells for name, *cells in rows} == measured


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "cache"))
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(block, {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
