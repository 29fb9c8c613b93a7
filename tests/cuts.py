"""Cut a small run off at random moments, start it again, and compare its end with that of an uncut one.

    python -m tests.cuts --cuts 25 --processes 1 2

Every process is forked from this one, so that only the first pays for the imports. Cuts take turns with the
sets of options below. Of the result only times may differ.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch

ROOT = Path(__file__).parents[1]


def _callbacks(name: str, **options: object) -> str:
    return json.dumps([{"class_path": name, "init_args": options}])


class Swing(pl.Callback):
    """A callback of a user's: it changes every step by what it remembers, and logs it."""

    def __init__(self, size: float = 0.5) -> None:
        self.size, self.num_steps, self.mean = size, 0, torch.zeros(())

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):  # type: ignore[no-untyped-def]
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        self.mean = 0.9 * self.mean + 0.1 * torch.nn.utils.get_total_norm(gradients)
        self.num_steps += 1
        for gradient in gradients:
            gradient.mul_(1 + self.size * math.sin(self.num_steps) * torch.tanh(self.mean))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):  # type: ignore[no-untyped-def]
        for name in ("mean", "max", "min", "sum"):
            logged = {"on_step": False, "on_epoch": True, "batch_size": 7 + batch_idx}
            pl_module.log(f"swing/{name}", self.mean, reduce_fx=name, **logged)

    def state_dict(self) -> dict[str, object]:
        return {"num_steps": self.num_steps, "mean": self.mean}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.num_steps, self.mean = state_dict["num_steps"], state_dict["mean"]


SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGKILL)
EXIT_CODES = {signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGINT: 130}
OPTIONS = {
    "config": ROOT / "configs/quickstart.yaml",
    "model.network.hidden_sizes": [8],
    "model.network.synapses.max_delay_ms": 60,
    "model.network.dropout": 0.3,
    "data.batch_size": 50,
    "trainer.max_epochs": 4,
    "trainer.limit_train_batches": 6,
    "trainer.limit_val_batches": 1,
    "trainer.limit_test_batches": 1,
    "trainer.accelerator": "cpu",
    "name": "run",
}
SETS: dict[str, dict[str, object]] = {  # options beside those
    "plain": {},
    "early": {
        "trainer.max_epochs": 8,
        "trainer.callbacks": _callbacks(
            "lightning.pytorch.callbacks.EarlyStopping", monitor="val/loss", min_delta=10, patience=2
        ),
    },
    "limits": {
        "trainer.limit_train_batches": 0.2,
        "trainer.limit_val_batches": 2,
        "trainer.limit_test_batches": 0.5,
        "trainer.val_check_interval": 0.5,
        "trainer.accumulate_grad_batches": 2,
    },
    "overfit": {"trainer.overfit_batches": 4, "trainer.check_val_every_n_epoch": 2},
    "average": {
        "trainer.callbacks": _callbacks(
            "lightning.pytorch.callbacks.StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=2
        )
    },
    "adaptive neurons": {
        "model.network.neuron": json.dumps({"class_path": "SEAdLIF"}),
        "model.network.recurrent": json.dumps(
            {"class_path": "RecurrentDelays", "init_args": {"delays": {"learned": ["axonal"]}}}
        ),
    },
    "delays of every kind": {
        "model.network.synapses.max_delay_ms": "null",
        "model.network.synapses.rounding": "stochastic",
        "model.network.recurrent": json.dumps(
            {
                "class_path": "RecurrentDelays",
                "init_args": {"delays": {"offset_ms": 30, "rounding": "snap"}, "learn_spread": True},
            }
        ),
        "model.network.recurrent_dropout": 0.2,
        "model.optimizer.delay_decay": 0.1,
        "sigma.schedule": "adaptive",
        "sigma.start": 5,
    },
    "callback": {"allow-import": "tests", "trainer.callbacks": _callbacks("tests.cuts.Swing")},
    "accumulate": {
        "trainer.callbacks": _callbacks(
            "lightning.pytorch.callbacks.GradientAccumulationScheduler", scheduling={0: 1, 1: 2, 3: 3}
        )
    },
}
LONGEST_ANSWER_S = 30.0
TIMES = ("minutes", "seconds")


def prepare() -> None:
    """Import what the forked processes need, and leave out the figures, which are no part of the state."""
    from lit_delays.cli import fit as lightning_cli

    torch.set_num_threads(1)
    lightning_cli.draw_run = lambda *_: []  # type: ignore[assignment]


class Attempt:
    """One start of the run, in one or two processes.

    Args:
        root: Folder of runs.
        num_processes: Processes of the run.
        options: Options of ``fit`` beside OPTIONS.
    """

    def __init__(self, root: Path, num_processes: int = 1, **options: object) -> None:
        given = {**OPTIONS, "trainer.default_root_dir": root, **options}
        if num_processes > 1:
            given |= {"trainer.devices": num_processes, "trainer.strategy": "ddp"}
        words = ["fit", *(f"--{name}={value}" for name, value in given.items())]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.log = root / "output.log"
        root.mkdir(parents=True, exist_ok=True)
        self.processes = [self._fork(words, rank, num_processes, port) for rank in range(num_processes)]

    def _fork(self, words: list[str], rank: int, num_processes: int, port: str) -> int:
        if process := os.fork():
            return process
        code = 1
        try:
            sys.stdout = sys.stderr = self.log.open("a", buffering=1)
            os.dup2(sys.stderr.fileno(), 2)
            if num_processes > 1:
                os.environ.update(LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
                os.environ["WORLD_SIZE"] = str(num_processes)
            from lit_delays.cli.main import main

            main(words)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def send(self, number: int) -> None:
        for process in self.processes:
            os.kill(process, number)

    def wait(self) -> list[int]:
        """Exit codes by process; minus the signal where one was killed."""
        codes = []
        for process in self.processes:
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            codes.append(code)
        self.processes = []
        return codes


def differences(first: object, second: object, place: str = "") -> list[str]:
    """Places at which two nested states are not equal, bit for bit; times left out."""
    if isinstance(first, dict) and isinstance(second, dict):
        found = [f"{place}: keys {first.keys() ^ second.keys()}"] if first.keys() != second.keys() else []
        return found + [
            line
            for name in first.keys() & second.keys()
            if name not in TIMES
            for line in differences(first[name], second[name], f"{place}/{name}")
        ]
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) != len(second):
            return [f"{place}: length {len(first)}, {len(second)}"]
        pairs = enumerate(zip(first, second, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{place}/{index}")]
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        same = first.dtype == second.dtype and torch.equal(first, second)
        return [] if same else [f"{place}: tensors"]
    return [] if first == second else [f"{place}: {first!r}, {second!r}"]


def compare(uncut: Path, cut: Path) -> list[str]:
    """What tells two finished runs apart."""
    tables = ("metrics.csv", "delays.csv")
    found = [name for name in tables if (uncut / name).read_bytes() != (cut / name).read_bytes()]
    found += differences(
        *(json.loads((run / "result.json").read_text()) for run in (uncut, cut)), "result.json"
    )
    for name in ("best.ckpt", "last.ckpt"):
        states = [
            _portable(torch.load(run / "checkpoints" / name, weights_only=True), run) for run in (uncut, cut)
        ]
        found += differences(*states, name)
    if left := [path.name for path in cut.rglob("*.part")]:
        found.append(f"left over: {left}")
    return found


def _portable(state: object, run: Path) -> object:
    """The state with the folder of its run left out of all paths."""
    if isinstance(state, dict):
        return {_portable(key, run): _portable(value, run) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_portable(value, run) for value in state]
    return state.replace(str(run.parent.resolve()), "") if isinstance(state, str) else state


def cut_and_compare(
    folder: Path, uncut: Path, number: int, seconds: float, num_processes: int, **options: object
) -> tuple[list[str], str]:
    """Cut a run off by a signal after some seconds, let it go on to its end: differences, and the story."""
    attempt = Attempt(folder, num_processes, **options)
    time.sleep(seconds)
    attempt.send(number)
    sent = time.monotonic()
    codes = attempt.wait()
    waited = time.monotonic() - sent
    last = folder / "run/checkpoints/last.ckpt"
    story = f"exit {codes} after {waited:.1f} s, kept {_place(last)}"
    found = [] if all(code in allowed(number) for code in codes) else [f"exit codes {codes}"]
    found += [f"answered after {waited:.0f} s"] if waited > LONGEST_ANSWER_S else []
    final = Attempt(folder, num_processes, **options).wait()
    if any(final):
        return [*found, f"the second start ended with {final}"], story
    return found + compare(uncut, folder / "run"), story


def allowed(number: int) -> tuple[int, ...]:
    """Exit codes of a run that this signal reached: caught, before anything listened, or after the end."""
    return (EXIT_CODES.get(number, -number), -number, 0)


def _place(last: Path) -> str:
    if not last.exists():
        return "nothing"
    loops = torch.load(last, weights_only=True)["loops"]["fit_loop"]
    epochs, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]["current"]
    inside = f" and {batches['ready']} batches" if epochs["processed"] < epochs["ready"] else ""
    return f"{epochs['processed']} epochs{inside}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cuts", type=int, default=25)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    prepare()
    chance, identical = random.Random(args.seed), 0
    with TemporaryDirectory() as temporary:
        kinds = [(name, count) for name in args.sets for count in args.processes]
        uncut, lasted = {}, {}
        for name, count in kinds:
            start, root = time.monotonic(), Path(temporary, f"uncut-{name}-{count}")
            assert Attempt(root, count, **SETS[name]).wait() == [0] * count, (root / "output.log").read_text()
            uncut[name, count], lasted[name, count] = root / "run", time.monotonic() - start
            print(f"uncut, {name}, {count} process(es): {lasted[name, count]:.1f} s", flush=True)
        for cut in range(args.cuts):
            (name, count), number = kinds[cut % len(kinds)], chance.choice(SIGNALS)
            seconds = chance.uniform(0, lasted[name, count])
            folder = Path(temporary, f"cut{cut}")
            found, story = cut_and_compare(folder, uncut[name, count], number, seconds, count, **SETS[name])
            if not found:
                shutil.rmtree(folder)
            identical += not found
            what = f"{name}, {count} process(es), {signal.Signals(number).name} after {seconds:4.1f} s"
            print(f"{cut:3} {what}: {story}: {found or 'identical'}", flush=True)
    print(f"{identical} of {args.cuts} identical")
    sys.exit(identical < args.cuts)


if __name__ == "__main__":
    main()
