"""The table of a run: `metrics.csv`, one row an epoch."""

import csv
import io
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.errors import InputError

FILE_NAME = "metrics.csv"

Rows = dict[int, dict[str, float]]  # epoch, from 0 -> its metrics


class EpochTable(Logger):
    """Writes every metric of an epoch into one row of ``metrics.csv``.

    The file is replaced as a whole after each epoch, so a reader never sees half a row, and a resumed run
    goes on where the table ends. Lightning's own CSV logger deletes the file on resume and spreads an epoch
    over several rows. What is logged within an epoch, by a step, is for other loggers.

    Args:
        run_dir: Folder of the run.

    Attributes:
        rows: All metrics so far by epoch, in the first process.
    """

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.path = run_dir / FILE_NAME
        self.rows: Rows = {}
        with suppress(FileNotFoundError, InputError):  # of a run that is made again: it is replaced
            self.rows = read_table(self.path)

    @property
    @override
    def name(self) -> str:
        return ""

    @property
    @override
    def version(self) -> str:
        return ""

    @property
    @override
    def save_dir(self) -> str:
        return str(self.path.parent)

    @override
    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {name: float(v) for name, v in metrics.items() if name != "epoch" and "test/" not in name}
        if (
            values and "epoch" in metrics
        ):  # the test set is met once, after the last epoch: result.json has it
            self.rows.setdefault(int(metrics["epoch"]), {}).update(values)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` beside the table holds them."""

    @override
    @rank_zero_only
    def save(self) -> None:
        if not self.rows:
            return
        names = sorted({name for row in self.rows.values() for name in row})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["epoch", *names])
        writer.writeheader()
        writer.writerows({"epoch": epoch, **row} for epoch, row in sorted(self.rows.items()))
        write_atomic(self.path, text.getvalue())

    def drop_from(self, epoch: int) -> None:
        """Forget this epoch and those after it: they are made again."""
        self.rows = {done: row for done, row in self.rows.items() if done < epoch}


def read_table(path: Path) -> Rows:
    """Metrics by epoch, as the table at ``path`` holds them; empty cells are left out.

    Raises:
        InputError: If it is no such table.
    """
    try:
        with path.open(newline="") as file:
            return {
                int(row.pop("epoch")): {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            }
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise InputError(
            f"{path} must have a row of numbers an epoch, and is cut or edited; repeat the command of its run"
            " to make it again."
        ) from error
