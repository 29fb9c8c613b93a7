"""Options to objects to a run: Lightning's command line, shaped for delay networks."""

import csv
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as pl
import torch
import yaml
from jsonargparse.typing import register_type
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, StochasticWeightAveraging
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from typing_extensions import override

from lit_delays.atomic_files import remove_leftovers, write_atomic
from lit_delays.cli import config_imports as trust
from lit_delays.cli.components import arrange
from lit_delays.cli.option_checks import check_callbacks, check_numbers, refused_in_one_line
from lit_delays.cli.parser import OneLineParser
from lit_delays.cli.prediction_rows import header_of, rows_of
from lit_delays.cli.run_checks import (
    check_clip,
    check_limits,
    check_trainer,
    checkpoint_for,
    part_of,
    start_of_fit,
)
from lit_delays.cli.tracking import SaveConfig, TellPreempted, agent_loggers, global_batch_size, place_wandb
from lit_delays.data.module import SpikeData
from lit_delays.errors import InputError
from lit_delays.inspect.run_figures import diagnostics, draw_run
from lit_delays.inspect.summary import count_parameters, describe
from lit_delays.report.results import Result, model_name
from lit_delays.stopping import at_any_end
from lit_delays.training.callbacks.early_rates import EarlyRates
from lit_delays.training.callbacks.epoch_lines import EpochLines
from lit_delays.training.callbacks.exact_resume import ExactResume
from lit_delays.training.callbacks.finite_numbers import FiniteNumbers
from lit_delays.training.callbacks.layer_statistics import LayerStatistics
from lit_delays.training.callbacks.provenance import Provenance
from lit_delays.training.callbacks.sigma_annealing import SigmaAnnealing
from lit_delays.training.callbacks.stop_signals import STARTED_BY, StopSignals
from lit_delays.training.checkpoint_files import read_checkpoint
from lit_delays.training.checkpoints import LastCheckpoint, RunCheckpoint, WholeCheckpoints
from lit_delays.training.classifier import NUM_TESTED, DelayClassifier
from lit_delays.training.epoch_table import EpochTable
from lit_delays.training.fine_tuning import check_start, start_from
from lit_delays.training.loading import load_network
from lit_delays.training.run_files import KeepTexts, write_sums
from lit_delays.training.run_lock import is_first_process, only_maker
from lit_delays.training.runs import best_checkpoint, last_checkpoint, run_folder

TRAINER_DEFAULTS = {
    "max_epochs": 150,
    "default_root_dir": "runs",
    "use_distributed_sampler": False,  # SpikeData samples for every rank itself, and never twice
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 1,
    "enable_model_summary": False,  # counts 0 FLOPs; before_fit says more in two lines
    "logger": None,
}

# so that `config.yaml` holds the defaults of Timer and of StochasticWeightAveraging
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, chosen: dumper.represent_data(chosen.value))
register_type(torch.device)


def _put_whole_numbers_first() -> None:
    """Let the trainer's limits take 1 as one batch, 1.0 as all of them.

    Of ``Union[int, float]`` and ``Union[float, int]`` the typing module keeps the one that it met first, and
    Lightning has both: which modules were imported before must not decide what a number means.
    """
    known = pl.Trainer.__init__.__annotations__
    for name, kind in known.items():
        if set(get_args(kind)) == {int, float, type(None)}:
            known[name] = int | float | None


_put_whole_numbers_first()


class DelayCLI(LightningCLI):
    """Parses the options of one command, builds data, network and trainer, and runs it.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        args: The options after it.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        _quieten()
        try:
            with ExitStack() as self.held:
                super().__init__(
                    DelayClassifier,
                    SpikeData,
                    parser_class=OneLineParser,
                    save_config_callback=SaveConfig,
                    save_config_kwargs={"save_to_log_dir": False},
                    trainer_defaults=TRAINER_DEFAULTS,
                    seed_everything_default=0,
                    auto_configure_optimizers=False,
                    args=[command, *trust.limit_imports(args)],
                )
        except (MisconfigurationException, ModuleNotFoundError) as error:  # of callbacks and loggers at work
            raise InputError(str(error)) from error
        except RuntimeError as error:
            if "conditioned on metric" not in str(error):  # early stopping's, where own callbacks log others
                raise
            raise InputError(str(error)) from error

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the command at hand: the options of each take half a second to collect."""
        return {self.command: LightningCLI.subcommands()[self.command]}

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        command, *words = args
        self.config = parser.parse_args([command, *arrange(self._parser(command), words)])
        options = self.config[self.command]
        self.options = yaml.safe_load(self._parser(command).dump(options, skip_unset=False))
        check_numbers(self.options)
        if options.ckpt_path and Path(options.ckpt_path).is_file():
            read_checkpoint(Path(options.ckpt_path))  # before Lightning reads its options
            load_network(Path(options.ckpt_path))  # and believes the sizes that they name

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str | None, help="name of the run; default: data set and a hash")
        parser.add_argument(
            "--start_from", type=str | None, help="fine-tune: checkpoint of a run to start at"
        )
        parser.add_class_arguments(SigmaAnnealing, "sigma")
        parser.link_arguments("data.time_step_ms", "model.network.time_step_ms")
        for name in ("num_inputs", "num_classes"):
            parser.link_arguments(f"data.{name}", f"model.network.{name}", apply_on="instantiate")
        parser.link_arguments("data.task_name", "model.task", apply_on="instantiate")

    @override
    def before_instantiate_classes(self) -> None:
        options = self.config[self.command]
        plain = self.options
        self.run_dir = run_folder(plain)
        options.name = self.run_dir.name
        options.weights_only = True
        if self.command == "test":
            options.verbose = False  # after_test says it in one line
        check_trainer(plain["trainer"])
        check_start(options.start_from, self.run_dir)
        if self.command == "fit":
            if is_first_process():
                self.held.enter_context(only_maker(self.run_dir))
            start = start_of_fit(options.ckpt_path, self.run_dir, plain)
        else:
            start = checkpoint_for(self.command, options.ckpt_path, self.run_dir)
        options.ckpt_path = str(start) if start else None
        self._trainer_options = options.trainer.clone()
        trust.keep_inside(options.trainer, self.run_dir)
        place_wandb(options.trainer.logger, self.run_dir)

    @override
    def instantiate_classes(self) -> None:
        with refused_in_one_line():
            super().instantiate_classes()
        check_callbacks(self.trainer.callbacks, self.model.network, self.model.task.metric)  # type: ignore
        check_clip(self.datamodule.binning.clip_ms, self.model.network)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        chosen = self._get(self.config_init, "trainer")
        kwargs["default_root_dir"] = str(self.run_dir)
        others = [logger for logger in as_list(chosen.get("logger")) if logger is not True]
        if self.command != "fit":
            kwargs["logger"] = False  # one more look at a run does not belong into its table
        else:
            kwargs["enable_checkpointing"] = True  # `own_callbacks` knows; resuming needs the hooks alone
            if chosen.get("logger") is not False:
                own = [EpochTable(self.run_dir), *agent_loggers(others, self.run_dir)]
                kwargs["logger"] = [*own, *others]
            if self.config[
                self.command
            ].ckpt_path:  # its batches were counted, which one more try would forget
                kwargs["num_sanity_val_steps"] = 0
        callbacks = as_list(chosen.get("callbacks"))
        kwargs["callbacks"] = [EarlyRates(), *callbacks, *self.own_callbacks(chosen)]
        if chosen.get("enable_progress_bar") is not False and not _any(callbacks, ProgressBar):
            kwargs["callbacks"].append(RichProgressBar() if sys.stderr.isatty() else EpochLines())
        plugins = as_list(chosen.get("plugins"))
        if _any(plugins, CheckpointIO):
            raise InputError(
                "`--trainer.plugins` must have no CheckpointIO: checkpoints are written as a whole."
            )
        kwargs["plugins"] = [*plugins, WholeCheckpoints(self.run_dir)]
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.strategy.launcher is not None:  # no process outlives the one that the user started
            os.environ.setdefault(STARTED_BY, str(os.getpid()))
            at_any_end(partial(trainer.strategy.launcher.kill, signal.SIGKILL))
        return trainer

    def own_callbacks(self, chosen: Any) -> list[pl.Callback]:
        """Callbacks of every run, beside those that the user chose."""
        signals = StopSignals()
        callbacks: list[pl.Callback] = [self._get(self.config_init, "sigma"), LayerStatistics(), signals]
        if self.command == "fit":
            best, last = best_checkpoint(self.run_dir), last_checkpoint(self.run_dir)
            self.saves = chosen.get("enable_checkpointing") is not False and not chosen.get("fast_dev_run")
            callbacks += diagnostics()
            self.resume = ExactResume(last if self.saves else None, signals)
            if self.saves:
                task = self.model.task
                chosen_by = RunCheckpoint(best, monitor=f"val/{task.metric}", mode=task.best)
                callbacks += [chosen_by, LastCheckpoint(last)]
            callbacks += [FiniteNumbers(), Provenance(self.options), KeepTexts(), TellPreempted()]
            callbacks.append(self.resume)
        return callbacks

    def before_fit(self) -> None:
        """Say what is trained and where it is kept."""
        if (
            self.config[self.command].trainer.sync_batchnorm
            and self.trainer.strategy.root_device.type == "cpu"
        ):
            raise InputError(
                "`--trainer.sync_batchnorm` needs GPUs; leave it out to norm each process's batch."
            )
        check_limits(self.trainer, self.datamodule)
        self.config[self.command].trainer = self._trainer_options  # what is saved serves other folders too
        options = self.config[self.command]
        if options.start_from and not options.ckpt_path:  # a run that goes on has weights of its own
            start_from(self.model.network, Path(options.start_from))
        if self.trainer.is_global_zero:
            remove_leftovers(self.run_dir)
            print(*self._in_short(), sep="\n", flush=True)

    def _in_short(self) -> Iterator[str]:
        batch = f"batch: {global_batch_size(self.trainer, self.datamodule)} samples"
        devices = f" on {self.trainer.world_size} devices" if self.trainer.world_size > 1 else ""
        yield from (f"run: {self.run_dir}", f"network: {describe(self.model.network)}", batch + devices)
        if _any(self.trainer.callbacks, StochasticWeightAveraging):  # type: ignore[attr-defined]
            yield "note: rates follow --model.optimizer; swa_lrs of StochasticWeightAveraging are not used"

    def after_fit(self) -> None:
        """Test the chosen checkpoint and draw the figures: a finished run shows what it came to."""
        if self.trainer.interrupted:
            return
        best = best_checkpoint(self.run_dir)
        if not self.saves or not best.exists():
            if self.trainer.is_global_zero:
                print("no result: " + ("no epoch was validated" if self.saves else "no checkpoint was kept"))
            return
        minutes = self.resume.minutes
        last_accuracy = self._test(last_checkpoint(self.run_dir))
        self._test(best)
        if self.trainer.is_global_zero:
            result = self._result(best, minutes=minutes, last_accuracy=last_accuracy)
            self.model.load_state_dict(read_checkpoint(best)["state_dict"])
            figures = draw_run(self.trainer, self.model)
            result.save(self.run_dir)  # when all else is there: it marks the run as done
            write_sums(self.run_dir, figures)
            print(result, *[f"figure: {path}" for path in figures], sep="\n")

    def _test(self, checkpoint: Path) -> float:
        path, loggers = str(checkpoint), self.trainer.loggers
        self.trainer.loggers = loggers if checkpoint.stem == "best" else []  # the result, once
        try:
            self.trainer.test(self.model, self.datamodule, ckpt_path=path, verbose=False, weights_only=True)
        finally:
            self.trainer.loggers = loggers
        return float(self.trainer.callback_metrics[f"test/{self.model.task.metric}"])

    def after_test(self) -> None:
        """Say what the checkpoint came to, in one line."""
        if self.trainer.is_global_zero:
            print(self._result(Path(self.config[self.command].ckpt_path)))

    def predict(self, **kwargs: Any) -> None:
        """Write ``predictions.csv``: for every sample, in order, the answer, its label, and all scores."""
        if self.trainer.world_size > 1:
            raise InputError(f"`predict` needs --trainer.devices=1, got {self.trainer.world_size} devices.")
        answers = self.trainer.predict(**{**kwargs, "return_predictions": True})
        path = self.run_dir / "predictions.csv"
        names = self.datamodule.class_names
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(header_of(self.model.task, names))
        pairs = (pair for batch in answers or [] for pair in zip(*batch, strict=True))
        for sample, pair in enumerate(pairs):
            writer.writerows([sample, *row] for row in rows_of(self.model.task, names, *pair))
        write_atomic(path, text.getvalue())
        print(path)

    def _selection(self) -> str:
        """What the best epoch was chosen by, and how much of it was used."""
        total = len(self.datamodule.val_dataloader())
        used = part_of(self.trainer.limit_val_batches, total)
        share = f", {used} of {total} batches" if used < total else ""
        return f"{self.datamodule.selection}{share}"

    def _result(self, checkpoint: Path, **known: float) -> Result:
        saved = read_checkpoint(checkpoint)
        return Result(
            accuracy=float(self.trainer.callback_metrics[f"test/{self.model.task.metric}"]),
            task=type(self.model.task).__name__,
            metric=self.model.task.metric,
            num_samples=int(self.trainer.callback_metrics[NUM_TESTED]),
            epoch=saved["epoch"] + 1,
            num_epochs=self.options["trainer"]["max_epochs"],  # the trainer's own number, callbacks change
            selection="being the last" if checkpoint.stem == "last" else self._selection(),
            num_parameters=count_parameters(self.model.network),
            model=model_name(self.config[self.command].config or []),
            padding=self.model.network.config.padding,
            **known,
        )


def as_list(given: Any) -> list[Any]:
    """What an option of the trainer gives: a list, one thing without a list around it, or nothing.

    Example:
        >>> as_list([1, 2]), as_list(3), as_list(None)
        ([1, 2], [3], [])
    """
    return list(given) if isinstance(given, list | tuple) else [given] if given else []


def _any(things: Iterable[object], kind: type) -> bool:
    return any(isinstance(thing, kind) for thing in things)


def _quieten() -> None:
    """Keep Lightning's warnings; leave out its tips, and what its users can do nothing about."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for text in (
        "isinstance.treespec, LeafSpec",  # Lightning 2.6.6 with torch 2.13
        "does not have many workers",  # SpikeData needs none
        "callbacks used to create the checkpoint",  # testing needs no ModelCheckpoint
        "It is recommended to use .* sync_dist=True",  # sigma, rates and delays are the same everywhere
        "Checkpoint directory .* exists and is not empty",  # a run that goes on
        "your dataloader is not resumable",  # EpochSampler leaves out what has been seen
    ):
        warnings.filterwarnings("ignore", f".*{text}")
