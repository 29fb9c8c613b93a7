"""How the training step grows with the delay window, the length, the width and the batch.

    python benchmarks/scaling.py            # a table; draws benchmarks/scaling.png

Input and output have the same length here (`keep_length`), so that only one thing changes at a time. Every
size is timed in turn with the base size, and its cost is the ratio to its neighbour. Two panels are of steps
of a millisecond, sequences and windows ten times as long; the last three of recurrent axonal delays, whose
window is that of the recurrence, and of neurons with two states.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure
from stacks import Step, make_batch, our_step, read_config

BASE = {"lags": 25, "steps": 100, "width": 256, "batch": 256}
FINE = {"lags": 251, "steps": 1000, "width": 256, "batch": 8}
SMALL = BASE | {"batch": 64}
PANELS = [
    ("feedforward", "lags", BASE, [1, 11, 25, 51, 75, 125]),
    ("feedforward", "steps", BASE, [50, 100, 200]),
    ("feedforward", "width", BASE, [128, 256, 512]),
    ("feedforward", "batch", BASE, [64, 128, 256]),
    ("steps of 1 ms", "steps", FINE, [50, 250, 1000, 2000, 4000]),
    ("steps of 1 ms", "lags", FINE, [1, 51, 251, 501, 1001]),
    ("recurrent delays", "steps", SMALL, [50, 100, 200, 400]),
    ("recurrent delays", "lags", SMALL, [2, 11, 25, 51, 101]),
    ("SE-adLIF", "steps", SMALL, [50, 100, 200, 400]),
]
NAMES = {
    "lags": "delay window (time steps)",
    "steps": "length (time steps)",
    "width": "neurons a layer",
    "batch": "batch (samples)",
}

WORDS = {"lags": "lags", "steps": "steps", "width": "neurons", "batch": "samples"}

Sizes = dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/shd.yaml"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--figure", type=Path, default=Path(__file__).with_name("scaling.png"))
    options = parser.parse_args()
    costs = [[cost(options, *panel, size) for size in sizes] for *panel, sizes in PANELS]
    print_table(costs)
    draw(costs, options.figure)
    print(f"figure: {options.figure}")


def cost(options: argparse.Namespace, kind: str, axis: str, base: Sizes, size: int) -> float:
    """Median ratio of the step at this size to the step at the base size, timed in turn."""
    if size == base[axis]:
        return 1.0
    neighbour, changed = (build(options, kind, **sizes) for sizes in (base, {**base, axis: size}))
    turns = [(seconds(changed), seconds(neighbour)) for _ in range(options.repeats + 1)][1:]
    return statistics.median(mine / theirs for mine, theirs in turns)


def build(options: argparse.Namespace, kind: str, lags: int, steps: int, width: int, batch: int) -> Step:
    torch.manual_seed(0)
    changes = {"synapses.max_delay_ms": 10.0 * lags, "synapses.keep_length": True}
    if kind == "recurrent delays":
        start = "recurrent.init_args.delays.start"
        changes = {"synapses.delays": "none", "recurrent": "RecurrentDelays", start: "Uniform"}
        changes |= {f"{start}.init_args.high_ms": 10.0 * (lags - 1)}
    if kind == "SE-adLIF":
        changes |= {"neuron": "SEAdLIF"}
    config = read_config(options.config, hidden_sizes=[width, width], **changes)
    return our_step(config, *make_batch(config, batch, steps, options.device))


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()  # ends in loss.item(), which waits for the device
    return time.perf_counter() - start


def print_table(costs: list[list[float]]) -> None:
    print("| what grows | size | step / step at the base size |\n|---|---|---|")
    for (kind, axis, _, sizes), ratios in zip(PANELS, costs, strict=True):
        for size, ratio in zip(sizes, ratios, strict=True):
            print(f"| {kind}: {NAMES[axis]} | {size} | {ratio:.2f} |")


def draw(costs: list[list[float]], path: Path) -> None:
    figure = Figure(figsize=(11, 9.6), layout="constrained")
    panels = figure.subplots(3, 3).flat
    for panel, (kind, axis, base, sizes), ratios in zip(panels, PANELS, costs, strict=True):
        panel.plot(sizes, ratios, "o-", color="#0072B2", label="measured")
        in_proportion = [size / base[axis] for size in sizes]
        panel.plot(sizes, in_proportion, "--", color="#999999", label="in proportion")
        panel.axhline(1, color="black", linewidth=0.5)
        others = ", ".join(f"{base[other]} {word}" for other, word in WORDS.items() if other != axis)
        panel.set_title(f"{kind}: {others}", fontsize=8)
        panel.set(xlabel=NAMES[axis], ylabel="training step / base step", ylim=(0, None))
        panel.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
