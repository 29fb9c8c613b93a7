"""Variants of a network on spoken digits: accuracy on held-out speakers beside what they cost.

Every run is `lit_delays fit`, then `inspect` for its synaptic operations. A line of JSON is added to
`results.jsonl` when a run is done; what is there is not run again, and a run that was cut off goes on.

    python benchmarks/variants.py neurons --data ../shared/data --folder runs/neurons
    python benchmarks/variants.py recurrent --data ../shared/data --folder runs/recurrent
    python benchmarks/variants.py neurons --folder runs/neurons --only-draw
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

NO_DELAYS = ["--model.network.synapses.delays", "none"]
NEURONS = {"LIF": "lif", "cAdLIF": "cadlif", "SE-adLIF": "se_adlif", "SiLIF": "silif"}
WIRING = {
    "no delays": NO_DELAYS,
    "delays": [],
    "recurrent delays": [*NO_DELAYS, "--config", "configs/recurrent/axonal.yaml"],
}
# group, then name: words for the command line
STUDIES: dict[str, dict[tuple[str, str], list[str]]] = {
    "neurons": {
        (neuron, wiring): ["--config", f"configs/neurons/{overlay}.yaml", *words]
        for neuron, overlay in NEURONS.items()
        for wiring, words in WIRING.items()
    },
    "recurrent": {
        ("LIF", "no delays"): NO_DELAYS,
        ("LIF", "feedforward"): [],
        ("LIF", "recurrent, axonal"): [*NO_DELAYS, "--config", "configs/recurrent/axonal.yaml"],
        ("LIF", "recurrent, hybrid"): [*NO_DELAYS, "--config", "configs/recurrent/hybrid.yaml"],
        ("LIF", "both"): ["--config", "configs/recurrent/axonal.yaml"],
    },
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # safe for the colour-blind
Row = dict[str, Any]


def main() -> None:
    options = parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "results.jsonl"
    if not options.only_draw:
        for name, seed in missing(options, read(path)):
            with path.open("a") as file:
                file.write(json.dumps(run(options, name, seed)) + "\n")
            tell(options, read(path))
    tell(options, read(path))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", type=Path, help="folder with fsdd_train.h5 and fsdd_test.h5")
    parser.add_argument("--folder", type=Path, required=True, help="where runs, results and the figure go")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument("--at-most", type=int, default=None, help="runs to make now")
    parser.add_argument("--only-draw", action="store_true", help="table and figure of what is done")
    options = parser.parse_args()
    if options.data is None and not options.only_draw:
        parser.error("--data FOLDER is needed to run, or --only-draw")
    return options


def read(path: Path) -> list[Row]:
    """All whole lines; one that was cut off is run again."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines if line.endswith("}")]


def missing(options: argparse.Namespace, rows: list[Row]) -> Iterable[tuple[tuple[str, str], int]]:
    """One seed of all variants before the next seed of any: a table at any time."""
    done = {((row["group"], row["name"]), row["seed"]) for row in rows}
    wanted = [(name, seed) for seed in range(options.seeds) for name in STUDIES[options.study]]
    return [it for it in wanted if it not in done][: options.at_most]


def run(options: argparse.Namespace, name: tuple[str, str], seed: int) -> Row:
    """Train and test one variant, in processes of their own."""
    folder = "_".join([*name, str(seed)]).replace(",", "").replace(" ", "_")
    test_file = options.data / "fsdd_test.h5"
    words = ["--config", "configs/spoken_digits.yaml", *STUDIES[options.study][name]]
    words += ["--data.dataset.train_file", str(options.data / "fsdd_train.h5")]
    words += ["--data.dataset.test_file", str(test_file), "--seed_everything", str(seed)]
    words += ["--trainer.max_epochs", str(options.epochs), "--trainer.enable_progress_bar", "false"]
    words += ["--trainer.default_root_dir", str(options.folder), "--name", folder]
    started = time.time()
    call("fit", *words)
    seconds = time.time() - started
    told = call("inspect", str(options.folder / folder), "--data", str(test_file))
    (row,) = (line for line in told.splitlines() if line.startswith("| synaptic operations"))
    result = json.loads((options.folder / folder / "result.json").read_text())
    kept = ("accuracy", "last_accuracy", "epoch", "num_epochs", "selection", "num_parameters")
    return {
        "group": name[0],
        "name": name[1],
        "seed": seed,
        **{key: result[key] for key in kept},
        "synaptic_operations": int(row.split("|")[-2].replace(",", "")),
        "seconds": round(seconds, 1),
    }


def call(*words: str) -> str:
    command = [sys.executable, "-m", "lit_delays", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ).stdout


def tell(options: argparse.Namespace, rows: list[Row]) -> None:
    """Table and figure of what there is."""
    groups: dict[tuple[str, str], list[Row]] = {name: [] for name in STUDIES[options.study]}
    for row in rows:
        groups[row["group"], row["name"]].append(row)
    groups = {name: mine for name, mine in groups.items() if mine}
    text = "\n".join(table(groups)) + "\n"
    (options.folder / "table.md").write_text(text)
    print(text, flush=True)
    if groups:
        draw(groups, options.folder / f"{options.study}.png")


def table(groups: dict[tuple[str, str], list[Row]]) -> list[str]:
    """Means over seeds; the range is a 95 % interval by Student, where there are seeds enough."""
    lines = ["| neuron | wiring | seeds | test accuracy | parameters | synaptic operations a sample |"]
    lines += ["|---|---|---|---|---|---|"]
    for (group, name), rows in groups.items():
        mean, half = spread([row["accuracy"] for row in rows])
        operations = statistics.mean(row["synaptic_operations"] for row in rows)
        accuracy = f"{mean:.1%}" + (f" +- {half:.1%}" if half else "")
        cells = [group, name, str(len(rows)), accuracy, f"{rows[0]['num_parameters']:,}"]
        lines.append(f"| {' | '.join([*cells, f'{operations:,.0f}'])} |")
    return lines


def spread(values: list[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval; 0 for a single value."""
    student = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}.get(len(values), 1.96)
    half = student * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return statistics.mean(values), half


def draw(groups: dict[tuple[str, str], list[Row]], path: Path) -> None:
    """Every seed a dot, every mean a line: accuracy by variant, and accuracy by what it costs."""
    kinds = list(dict.fromkeys(name for _, name in groups))
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    bars, costs = figure.subplots(1, 2)
    for index, ((group, name), rows) in enumerate(groups.items()):
        colour = COLOURS[kinds.index(name) % len(COLOURS)]
        accuracies = [100 * row["accuracy"] for row in rows]
        mean = statistics.mean(accuracies)
        bars.plot([index] * len(rows), accuracies, "o", color=colour, alpha=0.6, markersize=5)
        bars.plot([index - 0.3, index + 0.3], [mean, mean], color=colour, linewidth=2.5)
        operations = statistics.mean(row["synaptic_operations"] for row in rows)
        costs.plot(operations, mean, "o", color=colour, markersize=8)
        costs.annotate(group, (operations, mean), xytext=(6, 3), textcoords="offset points", fontsize="small")
    for colour, name in zip(COLOURS, kinds, strict=False):
        costs.plot([], [], "o", color=colour, label=name)
    names = [group if len({kind for kind, _ in groups}) > 1 else name for group, name in groups]
    bars.set_xticks(range(len(groups)), names, rotation=40, ha="right")
    bars.set(ylabel="test accuracy (%)")
    costs.set(xscale="log", xlabel="synaptic operations a sample (log scale)", ylabel="test accuracy (%)")
    figure.legend(*costs.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=5)
    for axis in (bars, costs):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
