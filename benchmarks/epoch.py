"""A real epoch: how long it takes, and how much of it is waiting for data.

    python benchmarks/epoch.py --config configs/spoken_digits.yaml --data.dataset.train_file digits_train.h5 \
        --data.dataset.test_file digits_test.h5
"""

import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
from typing_extensions import override

from lit_delays.cli.fit import DelayCLI


class Stopwatch(pl.Callback):
    """Time of every training epoch, and of it the time from the end of a batch to the start of the next."""

    def __init__(self) -> None:
        self.epochs: list[tuple[float, float, int]] = []

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = self.idle_since = time.perf_counter()
        self.waited, self.batches = 0.0, 0

    @override
    def on_train_batch_start(self, *args: object) -> None:
        self.waited += time.perf_counter() - self.idle_since

    @override
    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        self.batches += 1
        self.idle_since = time.perf_counter()
        if self.batches == trainer.num_training_batches:
            self.epochs.append((self.idle_since - self.started, self.waited, self.batches))


class Timed(DelayCLI):
    """`fit` with a stopwatch, and nothing after it."""

    stopwatch = Stopwatch()

    @override
    def own_callbacks(self, chosen: Any) -> list[pl.Callback]:
        return [*super().own_callbacks(chosen), self.stopwatch]

    @override
    def after_fit(self) -> None:
        print("| epoch | batches | seconds | waiting for data |\n|---|---|---|---|")
        for number, (seconds, waited, batches) in enumerate(self.stopwatch.epochs, 1):
            print(f"| {number} | {batches} | {seconds:.2f} | {waited / seconds:.1%} |")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        kept = ["--trainer.default_root_dir", folder, "--name", "epoch", "--trainer.max_epochs=3"]
        Timed("fit", [*sys.argv[1:], *kept, "--trainer.limit_val_batches=1"])
