"""The rooms of the house, which way their imports may point, and how long a function may be."""

import ast
from pathlib import Path

import pytest

import lit_delays

HOUSE = Path(lit_delays.__file__).parent
# from the ground up: a room may import those before it
ROOMS = [
    {"errors", "plain_text"},
    {"components", "time_grid", "atomic_files", "progress", "stopping"},
    {"interface"},
    {"snn", "audio", "security"},
    {"tasks"},
    {"data", "metrics"},
    {"training"},
    {"deploy"},
    {"inspect"},
    {"sweeps"},
    {"report"},
    {"cli"},
    {"__main__", "__init__"},
]
NEEDS_ONLY_TORCH = "snn"
KNOWS_JSONARGPARSE = "cli"
LONGEST_FUNCTION = 40  # lines without its docstring
FILES = sorted(HOUSE.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))


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


def height(name: str) -> int:
    return next(height for height, rooms in enumerate(ROOMS) if name in rooms)


def test_every_room_is_listed():
    assert {room(path) for path in FILES} == set().union(*ROOMS)


@each_file
def test_imports_point_one_way(path):
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("lit_delays.")} - {room(path)}
    assert all(height(other) < height(room(path)) for other in rooms), rooms


@pytest.mark.parametrize("path", sorted((HOUSE / NEEDS_ONLY_TORCH).rglob("*.py")), ids=lambda path: path.stem)
def test_the_science_needs_torch_alone(path):
    heavy = {"lightning", "h5py", "wandb", "numpy", "torchmetrics", "jsonargparse", "matplotlib", "nir"}
    heavy -= {"numpy"} if path.parent.name == "compiled" else set()  # what numba takes
    assert not heavy & {name.split(".")[0] for name in imported(path)}


@each_file
def test_nothing_of_the_science_needs_its_fast_forms(path):
    if path.relative_to(HOUSE).parts[:2] != ("snn", "fast") and path != HOUSE / "snn" / "__init__.py":
        assert not any(name.startswith("lit_delays.snn.fast") for name in imported(path))


@each_file
def test_only_the_command_line_knows_its_parser(path):
    if room(path) != KNOWS_JSONARGPARSE:
        names = imported(path)
        assert "lightning.pytorch.cli" not in names
        assert not any(name.split(".")[0] == "jsonargparse" for name in names)


@each_file
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"
