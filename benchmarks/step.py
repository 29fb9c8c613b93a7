"""Time and memory of one training step of a config.

Each measurement runs in a process of its own, so that memory is that of one stack alone; with a peer the two
take turns, and the ratio is that of neighbours: the machine may change its speed in between.

    python benchmarks/step.py --config configs/shd.yaml --batch-size 256 --num-steps 100
    python benchmarks/step.py --config configs/shd.yaml --peer reference
    python benchmarks/step.py --config configs/shd.yaml --batch-size 32 --fan-in 10 --peer dense
    python benchmarks/step.py --config configs/spoken_digits.yaml --shortest 60 --peer full
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from stacks import Step, make_batch, our_step, read_config, reference_step
from torch import Tensor

MEGABYTE = 1024  # ru_maxrss counts kilobytes on Linux


def main() -> None:
    options = parse()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    stacks = ["ours", *([options.peer] if options.peer else [])]
    rounds = [{stack: in_a_process(stack) for stack in stacks} for _ in range(options.rounds)]
    result = summary(rounds, options.peer)
    if not options.json:
        print(f"# torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor()}")
        for name, value in result.items():
            print(f"{name:14} {value:.3f}")
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/shd.yaml"))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--num-steps", type=int, default=100, help="time steps of the input")
    parser.add_argument("--max-delay-ms", type=float, help="instead of the config's")
    parser.add_argument("--keep-length", action="store_true", help="layers do not lengthen time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fan-in", type=int, help="synapses that each neuron keeps; the peer keeps all")
    parser.add_argument("--shortest", type=int, help="samples of so many steps and up; the peer's have all")
    parser.add_argument(
        "--peer",
        choices=["reference", "dense", "full"],
        help="also time the paper's stack, or ours with all synapses, or all samples at full length, in turn",
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes of each stack")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps in each process")
    parser.add_argument("--json", action="store_true", help="print one line of JSON alone")
    parser.add_argument("--measure", choices=["ours", "reference", "dense", "full"], help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median time and peak memory of one stack, in this process."""
    torch.manual_seed(0)
    changes: dict[str, Any] = {"synapses.keep_length": True} if options.keep_length else {}
    if options.fan_in is not None and options.measure == "ours":
        changes["synapses.fan_in"] = options.fan_in
    if options.max_delay_ms is not None:
        changes["synapses.max_delay_ms"] = options.max_delay_ms
    config = read_config(options.config, **changes)
    batch = make_batch(config, options.batch_size, options.num_steps, options.device)
    if options.measure == "reference":
        step = reference_step(config, *batch)
    else:
        step = our_step(config, *batch, None if options.measure == "full" else lengths_of(options))
    seconds = [timed(step, options.device) for _ in range(options.repeats + 1)][1:]
    return {"step_s": statistics.median(seconds), "peak_mb": peak_mb(options.device)}


def lengths_of(options: argparse.Namespace) -> Tensor | None:
    """Steps of every sample, evenly from the shortest to all; None where all have all."""
    if options.shortest is None:
        return None
    lengths = torch.linspace(options.shortest, options.num_steps, options.batch_size)
    return lengths.round().long().to(options.device)


def timed(step: Step, device: str) -> float:
    start = time.perf_counter()
    step()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_mb(device: str) -> float:
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / MEGABYTE**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


def in_a_process(stack: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", stack]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, float] = json.loads(printed.splitlines()[-1])
    return measured


def summary(rounds: list[dict[str, dict[str, float]]], peer: str | None) -> dict[str, float]:
    """Medians over the rounds, and of the ratios inside them."""
    middle = statistics.median
    result = {name: middle(turn["ours"][name] for turn in rounds) for name in ("step_s", "peak_mb")}
    if peer:
        for name in ("step_s", "peak_mb"):
            result[f"{peer}_{name}"] = middle(turn[peer][name] for turn in rounds)
        result["speedup"] = middle(turn[peer]["step_s"] / turn["ours"]["step_s"] for turn in rounds)
        result["memory_ratio"] = middle(turn["ours"]["peak_mb"] / turn[peer]["peak_mb"] for turn in rounds)
    return result


if __name__ == "__main__":
    main()
