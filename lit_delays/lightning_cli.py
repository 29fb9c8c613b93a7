"""Options to objects to a run: Lightning's command line, shaped for delay networks."""

import atexit
import csv
import io
import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import yaml
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from typing_extensions import override

from lit_delays import cli, trust
from lit_delays.data.module import SpikeData
from lit_delays.errors import InputError
from lit_delays.experiments.gallery import draw_run, watchers
from lit_delays.experiments.results import Result, count_parameters, describe, model_name
from lit_delays.provenance import Provenance
from lit_delays.starting import check_clip, check_epochs, check_goes_on, checkpoint_for
from lit_delays.tracking import SaveConfig, TellPreempted, agent_loggers, global_batch_size, place_wandb
from lit_delays.training.callbacks import EpochLines, LayerStatistics, SigmaAnnealing
from lit_delays.training.checkpoints import LastCheckpoint, RunCheckpoint, WholeCheckpoints
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.fine_tuning import check_start, start_from
from lit_delays.training.finite import FiniteNumbers
from lit_delays.training.reading import read_checkpoint
from lit_delays.training.resume import ExactResume
from lit_delays.training.runs import best_checkpoint, last_checkpoint, run_folder
from lit_delays.training.stopping import StopSignals
from lit_delays.training.table import EpochTable
from lit_delays.writing import sweep_parts, write_whole

TRAINER_DEFAULTS = {
    "max_epochs": 150,
    "default_root_dir": "runs",
    "use_distributed_sampler": False,  # SpikeData samples for every rank itself, and never twice
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 1,
    "enable_model_summary": False,  # counts 0 FLOPs; before_fit says more in two lines
    "logger": None,
}


class OneLineParser(LightningArgumentParser):
    """Says what is wrong in one line, without the usage of two hundred options."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = trust.explain(message)
        if not self.exit_on_error:
            super().error(message, ex)
        sys.exit(cli.fail(message))


class DelayCLI(LightningCLI):
    """Parses the options of one command, builds data, network and trainer, and runs it.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        args: The options after it.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        _quieten()
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

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the command at hand: the options of each take half a second to collect."""
        return {self.command: LightningCLI.subcommands()[self.command]}

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)
        options = self.config[self.command]
        if options.ckpt_path and Path(options.ckpt_path).is_file():
            read_checkpoint(Path(options.ckpt_path))  # before Lightning reads its options

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str | None, help="name of the run; default: data set and a hash")
        parser.add_argument(
            "--start_from", type=str | None, help="fine-tune: checkpoint of a run to start at"
        )
        parser.add_lightning_class_args(SigmaAnnealing, "sigma")
        parser.link_arguments("data.time_step_ms", "model.network.time_step_ms")
        for name in ("num_inputs", "num_classes"):
            parser.link_arguments(f"data.{name}", f"model.network.{name}", apply_on="instantiate")

    @override
    def before_instantiate_classes(self) -> None:
        options = self.config[self.command]
        plain = yaml.safe_load(self._parser(self.command).dump(options, skip_none=False))
        self.run_dir = run_folder(plain)
        options.name = self.run_dir.name
        options.weights_only = True
        if self.command == "test":
            options.verbose = False  # after_test says it in one line
        check_epochs(plain["trainer"]["max_epochs"])
        check_clip(plain)
        check_start(options.start_from, self.run_dir)
        start = checkpoint_for(self.command, options.ckpt_path, self.run_dir)
        options.ckpt_path = str(start) if start else None
        if self.command == "fit" and start:
            check_goes_on(start, plain)
        self.options = plain
        self._trainer_options = options.trainer.clone()
        place_wandb(options.trainer.logger, self.run_dir)
        trust.keep_inside(options.trainer, self.run_dir)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        chosen = self._get(self.config_init, "trainer")
        kwargs["default_root_dir"] = str(self.run_dir)
        loggers = chosen.get("logger") or []
        others = [item for item in (loggers if isinstance(loggers, list) else [loggers]) if item is not True]
        if self.command != "fit":
            kwargs["logger"] = False  # one more look at a run does not belong into its table
        elif chosen.get("logger") is not False:
            own = [EpochTable(self.run_dir), *agent_loggers(others, self.run_dir)]
            kwargs["logger"] = [*own, *others]
        kwargs["callbacks"] = [*(chosen.get("callbacks") or []), *self.own_callbacks(chosen)]
        kwargs["plugins"] = [*(chosen.get("plugins") or []), WholeCheckpoints()]
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.strategy.launcher is not None:  # no process outlives the one that the user started
            atexit.register(trainer.strategy.launcher.kill, signal.SIGKILL)
        return trainer

    def own_callbacks(self, chosen: Any) -> list[pl.Callback]:
        """Callbacks of every run, beside those that the user chose."""
        signals = StopSignals()
        callbacks: list[pl.Callback] = [LayerStatistics(), signals]
        if self.command == "fit":
            best, last = best_checkpoint(self.run_dir), last_checkpoint(self.run_dir)
            saves = chosen.get("enable_checkpointing") is not False
            callbacks += watchers()
            self.resume = ExactResume(last if saves else None, signals)
            if saves:
                callbacks += [RunCheckpoint(best, monitor="val/acc", mode="max"), LastCheckpoint(last)]
            callbacks += [FiniteNumbers(), Provenance(self.options), TellPreempted(), self.resume]
        if chosen.get("enable_progress_bar") is not False:
            callbacks.append(RichProgressBar() if sys.stderr.isatty() else EpochLines())
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
        self.config[self.command].trainer = self._trainer_options  # what is saved serves other folders too
        network, options = self.model.network, self.config[self.command]
        if options.start_from and not options.ckpt_path:  # a run that goes on has weights of its own
            start_from(network, Path(options.start_from))
        if self.trainer.is_global_zero:
            sweep_parts(self.run_dir)
            batch = f"batch: {global_batch_size(self.trainer, self.datamodule)} samples"
            if (count := self.trainer.world_size) > 1:
                batch += f" on {count} devices"
            print(f"run: {self.run_dir}", f"network: {describe(network)}", batch, sep="\n", flush=True)

    def after_fit(self) -> None:
        """Test the chosen checkpoint and draw the figures: a finished run shows what it came to."""
        best = best_checkpoint(self.run_dir)
        if self.trainer.interrupted or not best.exists():
            return
        minutes = self.resume.minutes
        last_accuracy = self._test(last_checkpoint(self.run_dir))
        self._test(best)
        if self.trainer.is_global_zero:
            result = self._result(best, minutes=minutes, last_accuracy=last_accuracy)
            self.model.load_state_dict(read_checkpoint(best)["state_dict"])
            figures = draw_run(self.trainer, self.model)
            result.save(self.run_dir)  # when all else is there: it marks the run as done
            print(result, *[f"figure: {path}" for path in figures], sep="\n")

    def _test(self, checkpoint: Path) -> float:
        path = str(checkpoint)
        self.trainer.test(self.model, self.datamodule, ckpt_path=path, verbose=False, weights_only=True)
        return float(self.trainer.callback_metrics["test/acc"])

    def after_test(self) -> None:
        """Say what the checkpoint came to, in one line."""
        if self.trainer.is_global_zero:
            print(self._result(Path(self.config[self.command].ckpt_path)))

    def predict(self, **kwargs: Any) -> None:
        """Write ``predictions.csv``: the answer to every sample, in order, and its label if known."""
        if self.trainer.world_size > 1:
            raise InputError(f"`predict` needs --trainer.devices=1, got {self.trainer.world_size} devices.")
        answers = self.trainer.predict(**{**kwargs, "return_predictions": True})
        path = self.run_dir / "predictions.csv"
        names = self.datamodule.class_names
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["sample", "prediction", "label"])
        pairs = (pair for batch in answers or [] for pair in zip(*batch, strict=True))
        writer.writerows(
            [sample, *(names[int(k)] if k >= 0 else "" for k in pair)] for sample, pair in enumerate(pairs)
        )
        write_whole(path, text.getvalue())
        print(path)

    def _result(self, checkpoint: Path, **known: float) -> Result:
        saved = read_checkpoint(checkpoint)
        return Result(
            accuracy=float(self.trainer.callback_metrics["test/acc"]),
            num_samples=self.datamodule.num_test_samples,
            epoch=saved["epoch"] + 1,
            num_epochs=self.trainer.max_epochs or 0,
            selection="being the last" if checkpoint.stem == "last" else self.datamodule.selection,
            num_parameters=count_parameters(self.model.network),
            model=model_name(self.config[self.command].config or []),
            **known,
        )


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
