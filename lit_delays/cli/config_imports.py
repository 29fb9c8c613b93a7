"""Configs that strangers made: what they may import, and where they may write.

A config names classes, and naming one imports it and calls it. What is allowed is a short list; a user adds a
package of their own on the command line or in the environment, a config cannot.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings

from lit_delays import components
from lit_delays.components import VARIABLE
from lit_delays.errors import InputError

ALLOW = "--allow-import"
CONFIG = ("-c", "--config")
ALLOWED = [
    *(f"lit_delays.training.callbacks.{part}" for part in ("layer_statistics", "sigma_annealing")),
    *(f"lit_delays.snn.{part}" for part in ("kernels", "neurons", "surrogates", "synapses")),
    *("lit_delays.data.datasets", "lit_delays.LayerConfig", "lit_delays.snn.network.LayerConfig"),
    "torch.optim",
    *(f"lightning.pytorch.{part}" for part in ("accelerators", "callbacks", "loggers", "profilers")),
    *("lightning.pytorch.strategies", "lightning.pytorch.plugins"),
    "lightning.fabric.plugins",  # where many of these are defined
]
# inside of these: what starts processes, and what sends runs and keys to a server that a config may name
DENIED = [
    "lightning.pytorch.strategies.launchers",
    *(f"lightning.pytorch.loggers.{name}" for name in ("comet", "litlogger", "mlflow", "neptune")),
]
SETTINGS = "settings"  # of W&B: among them the server that gets the key
FOLDERS = ("dir", "dirpath", "log_dir", "root_dir", "save_dir")
NAMES = ("checkpoint_name", "filename", "id", "name", "prefix", "project", "sub_dir", "version")
LARGEST_CONFIG = 2**18  # bytes; that of a run has about 5000
NOT_ALLOWED = re.compile(r"Importing\s+'([\w.]+)'\s+is\s+not\s+allowed")

_load_yaml = get_loader("yaml")


def limit_imports(words: Sequence[str]) -> list[str]:
    """Let configs import the allow list alone, and what these words of a command line add to it.

    Returns:
        The words without ``--allow-import``.

    Raises:
        InputError: If a name is none that could be imported, or a config is no file of a sane size.
    """
    own = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        option, equals, value = word.partition("=")
        if option not in (ALLOW, *CONFIG):
            rest.append(word)
            continue
        value = value if equals else next(remaining, "")
        if option == ALLOW:
            own.append(value)
        else:
            _check_size(Path(value))
            rest.append(f"--config={value}")
    try:
        set_parsing_settings(import_path_denylist=["*", *DENIED], import_path_allowlist=[*ALLOWED, *own])
    except ValueError as error:
        raise InputError(f"`{ALLOW}` must be the name of a package, such as mypkg, got {own}.") from error
    components.allow(*own)
    set_parsing_settings(
        instantiate_subclass_spec_in_any=False,
        config_read_mode_urls_enabled=False,
        config_read_mode_fsspec_enabled=False,
    )
    set_loader("yaml", read_yaml, (yaml.YAMLError,))
    return rest


def explain(message: str) -> str:
    """The way out, where a parser says that something must not be imported."""
    if found := NOT_ALLOWED.search(message):
        return f"a config may not import `{found[1]}`; give {ALLOW} PACKAGE for a package that you trust."
    return message


def keep_inside(value: Any, folder: Path) -> None:
    """Take the paths of loggers, callbacks and the like from the folder of the run; they may not leave it.

    Args:
        value: Parsed options, changed in place.
        folder: Of the run.

    Raises:
        InputError: If a path or a name leads elsewhere, or W&B's settings are given.
    """
    for item in value if isinstance(value, list) else []:
        keep_inside(item, folder)
    for key, item in vars(value).items() if isinstance(value, Namespace) else ():
        if key == SETTINGS and item is not None:
            raise InputError(
                f"`{SETTINGS}` of a logger say who gets your key; give WANDB_... variables instead."
            )
        if key in (*FOLDERS, *NAMES) and isinstance(item, str | os.PathLike):
            inside = _inside(key, item, folder)
            value[key] = inside if key in FOLDERS else item
        else:
            keep_inside(item, folder)


def _inside(key: str, path: str | os.PathLike[str], folder: Path) -> str:
    inside = (folder / path).resolve()
    if not inside.is_relative_to(folder.resolve()):
        raise InputError(
            f"`{key}` must stay in the run's folder, got {str(path)!r}; choose where runs go with"
            " --trainer.default_root_dir."
        )
    return str(inside)


def _check_size(path: Path) -> None:
    if path.exists() and not (path.is_file() and path.stat().st_size <= LARGEST_CONFIG):
        raise InputError(f"--config {path} must be a file of at most {LARGEST_CONFIG // 2**10} kB.")


def read_yaml(text: str) -> Any:
    """YAML whose aliases stand for single values, so that a short text cannot mean an endless one."""
    if len(text) > LARGEST_CONFIG:
        raise yaml.YAMLError(f"must be at most {LARGEST_CONFIG // 2**10} kB")
    if "&" in text and "*" in text:
        plain = set()
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.ScalarEvent):
                plain.add(event.anchor)
            elif isinstance(event, yaml.AliasEvent) and event.anchor not in plain:
                raise yaml.YAMLError(f"`*{event.anchor}` must stand for a single value; write it out")
    return _load_yaml(text)
