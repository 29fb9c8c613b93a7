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
from lit_delays.security.yaml_guard import read_text, read_yaml

ALLOW = "--allow-import"
CONFIG = ("-c", "--config")
ALLOWED = [
    *(f"lit_delays.training.callbacks.{part}" for part in ("layer_statistics", "sigma_annealing")),
    *(f"lit_delays.snn.{part}" for part in ("delays", "kernels", "neurons", "surrogates", "synapses")),
    *("lit_delays.data.datasets", "lit_delays.LayerConfig", "lit_delays.snn.network_config.LayerConfig"),
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
FORMATTED = ("checkpoint_name", "filename")
FIELD = re.compile(r"\{[\w-]+(/[\w-]+)*(:\d{0,2}(\.\d{1,2})?[deEfFgG%]?)?\}")  # such as {val/acc:.2f}
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
            _check_file(Path(value))
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
    set_loader("yaml", load_yaml, (yaml.YAMLError,))
    return rest


def explain(message: str) -> str:
    """The way out, where a parser says that something must not be imported."""
    if found := NOT_ALLOWED.search(message):
        return f"a config may not import `{found[1]}`; give {ALLOW} PACKAGE for a package that you trust."
    return message


def keep_inside(value: Any, folder: Path, of_lightning: bool = False) -> None:
    """Take the paths of loggers, callbacks and the like from the folder of the run; they may not leave it.

    Args:
        value: Parsed options, changed in place.
        folder: Of the run.
        of_lightning: Whether the options are those of a class of Lightning, where any text may be a path.

    Raises:
        InputError: If a path or a name leads elsewhere, or W&B's settings are given.
    """
    for item in value if isinstance(value, list | tuple) else []:
        keep_inside(item, folder, of_lightning)
    named = vars(value) if isinstance(value, Namespace) else value if isinstance(value, dict) else {}
    of_lightning = of_lightning or str(named.get("class_path", "")).startswith("lightning.")
    for key, item in named.items():
        if key == SETTINGS and item is not None:
            raise InputError(
                f"`{SETTINGS}` of a logger say who gets your key; give WANDB_... variables instead."
            )
        if isinstance(item, str | os.PathLike) and (of_lightning or key in (*FOLDERS, *NAMES)):
            _check_format(key, str(item))
            inside = _inside(key, item, folder)
            value[key] = inside if key in FOLDERS else item
        else:
            keep_inside(item, folder, of_lightning)


def _inside(key: str, path: str | os.PathLike[str], folder: Path) -> str:
    inside = folder / str(path).replace("\0", "/..")  # no file has such a name
    if not inside.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"`{key}` must stay in the run's folder, got {str(path)!r}; choose where runs go with"
            " --trainer.default_root_dir."
        )
    return str(inside.resolve())


def _check_format(key: str, text: str) -> None:
    """What a name is filled with must not become another path: `{step:c}` is a dot at step 46."""
    if key in FORMATTED and set("{}") & set(FIELD.sub("", text)):
        raise InputError(
            f"`{key}` may be filled with numbers alone, as `{{epoch}}` or `{{val/acc:.2f}}`, got {text!r}."
        )


def _check_file(path: Path) -> None:
    if not path.exists():
        return  # the parser says so
    try:
        read_text(path)
    except InputError as error:
        raise InputError(f"--config {error}") from error


def load_yaml(text: str) -> Any:
    """YAML as the parser reads it, of a sane size and depth."""
    return read_yaml(text, _load_yaml)
