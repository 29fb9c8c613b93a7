"""The rooms of the house, and which way their imports may point."""

import ast
from pathlib import Path

import pytest

import lit_delays

HOUSE = Path(lit_delays.__file__).parent
MAY_IMPORT = {
    "errors": set(),
    "snn": {"errors"},
    "writing": {"errors"},
    "audio": {"errors"},
    "data": {"errors", "writing", "audio"},
    "training": {"errors", "writing", "snn"},
    "experiments": {"errors", "writing", "snn", "training"},
    "wandb_server": set(),
    "tracking": {"writing", "data", "training", "wandb_server"},
    "doctor": {"data", "experiments", "wandb_server"},
    "trust": {"errors"},
    "deployed": {"errors", "writing", "snn"},
    "commands": {"errors", "audio", "data", "snn", "training", "experiments", "deployed"},
    "provenance": {"errors", "writing", "data"},
    "starting": {"errors", "training", "provenance"},
    "lightning_cli": {
        *("errors", "writing", "data", "snn", "training", "experiments", "cli"),
        *("tracking", "trust", "provenance", "starting"),
    },
    "fit_options": {"errors", "training", "trust", "lightning_cli"},
    "cli": {
        "errors",
        "training",
        "lightning_cli",
        "fit_options",
        "experiments",
        "commands",
        "doctor",
    },
    "__main__": {"cli"},
    "__init__": set(),
}
NEEDS_ONLY_TORCH = "snn"
FILES = sorted(HOUSE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "lit_delays":
            modules |= {f"lit_delays.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    return modules


def room(path: Path) -> str:
    inside = path.relative_to(HOUSE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def test_every_room_is_listed():
    assert {room(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_point_one_way(path):
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("lit_delays.")}
    assert rooms - {room(path)} <= MAY_IMPORT[room(path)]


@pytest.mark.parametrize("path", sorted((HOUSE / NEEDS_ONLY_TORCH).rglob("*.py")), ids=lambda path: path.stem)
def test_the_science_needs_torch_alone(path):
    heavy = {"lightning", "h5py", "wandb", "numpy", "torchmetrics", "jsonargparse", "matplotlib"}
    assert not heavy & {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_file_holds_one_idea(path):
    assert len(path.read_text().splitlines()) <= 260
