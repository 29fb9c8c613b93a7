"""How the training step grows with the delay window, the length, the width and the batch.

    python benchmarks/scaling.py            # a table; draws benchmarks/scaling.png

Input and output have the same length here (`keep_length`), so that only one thing changes at a time. Every
size is timed in turn with the base size, and its cost is the ratio to its neighbour.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure
from stacks import Step, make_batch, our_step, read_config

BASE = {"lags": 25, "steps": 100, "width": 256, "batch": 256}
SIZES = {
    "lags": [1, 11, 25, 51, 75, 125],
    "steps": [50, 100, 200],
    "width": [128, 256, 512],
    "batch": [64, 128, 256],
}
NAMES = {
    "lags": "delay window (time steps)",
    "steps": "length (time steps)",
    "width": "neurons a layer",
    "batch": "batch (samples)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/shd.yaml"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--figure", type=Path, default=Path(__file__).with_name("scaling.png"))
    options = parser.parse_args()
    costs = {axis: {size: cost(options, axis, size) for size in sizes} for axis, sizes in SIZES.items()}
    print_table(costs)
    draw(costs, options.figure)
    print(f"figure: {options.figure}")


def cost(options: argparse.Namespace, axis: str, size: int) -> float:
    """Median ratio of the step at this size to the step at the base size, timed in turn."""
    if size == BASE[axis]:
        return 1.0
    base, changed = (build(options, **sizes) for sizes in (BASE, {**BASE, axis: size}))
    turns = [(seconds(changed), seconds(base)) for _ in range(options.repeats + 1)][1:]
    return statistics.median(mine / neighbour for mine, neighbour in turns)


def build(options: argparse.Namespace, lags: int, steps: int, width: int, batch: int) -> Step:
    torch.manual_seed(0)
    synapses = {"synapses.max_delay_ms": 10.0 * lags, "synapses.keep_length": True}
    config = read_config(options.config, hidden_sizes=[width, width], **synapses)
    return our_step(config, *make_batch(config, batch, steps, options.device))


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()  # ends in loss.item(), which waits for the device
    return time.perf_counter() - start


def print_table(costs: dict[str, dict[int, float]]) -> None:
    print("| what grows | size | step / step at the base size |\n|---|---|---|")
    for axis, sizes in costs.items():
        for size, ratio in sizes.items():
            print(f"| {NAMES[axis]} | {size} | {ratio:.2f} |")


def draw(costs: dict[str, dict[int, float]], path: Path) -> None:
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    for panel, (axis, sizes) in zip(figure.subplots(1, len(costs)), costs.items(), strict=True):
        panel.plot(list(sizes), list(sizes.values()), "o-", color="#0072B2", label="measured")
        in_proportion = [size / BASE[axis] for size in sizes]
        panel.plot(list(sizes), in_proportion, "--", color="#999999", label="in proportion")
        panel.axhline(1, color="black", linewidth=0.5)
        panel.set(xlabel=NAMES[axis], ylabel="training step / base step", ylim=(0, None))
        panel.legend(frameon=False)
    figure.suptitle(", ".join(f"{name} {BASE[axis]}" for axis, name in NAMES.items()) + ": 1", fontsize=9)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
