"""Variants of a network on one task: what they score beside what they cost.

Every run is `lit_delays fit`, and `inspect` for its synaptic operations where the study tells them. A line
of JSON is added to `results.jsonl` when a run is done; what is there is not run again, and a run that was cut
off goes on.

    python benchmarks/variants.py neurons --data ../shared/data --folder runs/neurons
    python benchmarks/variants.py recurrent --data ../shared/data --folder runs/recurrent
    python benchmarks/variants.py forecasts --folder runs/forecasts
    python benchmarks/variants.py neurons --folder runs/neurons --only-draw

`neurons` and `recurrent` are on spoken digits with held-out speakers; `forecasts` on Mackey-Glass, `reach`
and `windows` on lag detection, `waves` on QTDB, `pixels` on permuted MNIST and `journeys` on autonomous
localisation. `--data` is the folder of the files, where a study has some.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

NO_DELAYS = ["--model.network.synapses.delays", "none"]
AXONAL = ["--config", "configs/recurrent/axonal.yaml"]
NEURONS = {"LIF": "lif", "cAdLIF": "cadlif", "SE-adLIF": "se_adlif", "SiLIF": "silif"}
WIRING = {"no delays": NO_DELAYS, "delays": [], "recurrent delays": [*NO_DELAYS, *AXONAL]}
RULE = "--model.network.recurrent.delays"
NONE_LEARNED = [f"{RULE}.learned", "[]"]
FORECASTS = {
    "no delays": NONE_LEARNED,
    "fixed": [*NONE_LEARNED, f"{RULE}.fixed", "[axonal]"],
    "learned, narrow": ["--sigma.recurrent_start", "0"],
    "learned, annealed": [],
}
WINDOW = "--model.network.synapses.max_delay_ms"
START = "--model.network.synapses.start"
# Delays grow only while the soft kernels reach further than they do: sigma shrinks as slowly as it may.
GROW = ["--model.optimizer.delay_lr", "1", "--sigma.duration", "1"]
# Two spikes meet in one step or not at all: training sees whole delays.
EXACT = ["--sigma.duration", "0.7", "--model.network.synapses.rounding", "straight_through"]
FREE = [WINDOW, "null", f"{START}.class_path", "Uniform", "--sigma.start", "25"]
WINDOWS = {
    "fixed, 50 ms": [WINDOW, "50"],
    "fixed, 500 ms": [WINDOW, "500"],
    "free, from 50 ms": [*FREE, f"{START}.init_args.high_ms", "50"],
    "free, from 500 ms, decay": [
        *FREE,
        f"{START}.init_args.high_ms",
        "500",
        "--model.optimizer.delay_decay",
        "0.02",
    ],
}
# A sixteenth of the pixels and a network that the published loops can train on two cores in an hour.
SMALL_PIXELS = [
    *("--data.dataset.pool", "4", "--data.batch_size", "64", "--model.network.hidden_sizes", "[64,128,128]"),
    *(f"{RULE}.start.init_args.std_ms", "3", "--sigma.recurrent_start", "2.5"),
]
PIXELS = {
    "delays": [],
    "no delays": [
        *NONE_LEARNED,
        "--model.network.recurrent.learn_spread",
        "false",
        "--sigma.recurrent_start",
        "0",
    ],
}
# A quarter of the actions, a tenth of the journeys, half of the neurons, and rates for fewer steps.
SHORT_JOURNEYS = [
    *("--data.dataset.num_steps", "100", "--data.dataset.num_samples", "5000", "--data.batch_size", "64"),
    *("--model.network.hidden_sizes", "[64,88,88]"),
    *("--model.optimizer.weight_lr", "0.002", "--model.optimizer.delay_lr", "0.02"),
]
NORMED = ["--model.network.norm", "batch"]
JOURNEYS = {
    "delays": [],
    "no delays": NONE_LEARNED,
    "delays, batch norm": NORMED,
    "no delays, batch norm": [*NONE_LEARNED, *NORMED],
}
Variants = dict[tuple[str, str], list[str]]


@dataclass(frozen=True)
class Study:
    """A configuration, what takes its data files, and the words that make each variant, by group and name."""

    config: str
    variants: Variants
    files: tuple[str, str] | None = None
    has_operations: bool = False


def lag(steps: int) -> list[str]:
    return ["--data.dataset.lag_steps", str(steps)]


def reach(steps: int) -> list[str]:
    """A window that just holds the lag, and delays that move as fast as it is long."""
    words = [*lag(steps), WINDOW, str(12.5 * steps + 10)]
    return [*words, "--model.optimizer.delay_lr", str(max(1.0, steps / 100))]


SPOKEN = {"config": "spoken_digits", "files": ("fsdd_train.h5", "fsdd_test.h5"), "has_operations": True}
STUDIES = {
    "neurons": Study(
        **SPOKEN,
        variants={
            (neuron, wiring): ["--config", f"configs/neurons/{overlay}.yaml", *words]
            for neuron, overlay in NEURONS.items()
            for wiring, words in WIRING.items()
        },
    ),
    "recurrent": Study(
        **SPOKEN,
        variants={
            ("LIF", "no delays"): NO_DELAYS,
            ("LIF", "feedforward"): [],
            ("LIF", "recurrent, axonal"): [*NO_DELAYS, *AXONAL],
            ("LIF", "recurrent, hybrid"): [*NO_DELAYS, "--config", "configs/recurrent/hybrid.yaml"],
            ("LIF", "both"): AXONAL,
        },
    ),
    "forecasts": Study(
        "tasks/mackey_glass",
        {
            (f"tau {tau}", name): ["--data.dataset.tau", str(tau), *words]
            for tau in (17, 30)
            for name, words in FORECASTS.items()
        },
    ),
    "reach": Study(
        "tasks/lag_detection",
        {
            (f"lag {steps}", name): [*reach(steps), *EXACT, *words]
            for steps in (1, 5, 20, 100, 500)
            for name, words in {"no delays": NO_DELAYS, "delays": []}.items()
        },
    ),
    "windows": Study(
        "tasks/lag_detection",
        {
            (f"lag {steps}", name): [*lag(steps), *GROW, *words]
            for steps in (40, 2)
            for name, words in WINDOWS.items()
        },
    ),
    "waves": Study(
        "tasks/qtdb",
        {
            (label, name): ["--data.dataset.unlabelled", option, *words]
            for label, option in {"labelled": "ignored", "as published": "class 0"}.items()
            for name, words in {"delays": [], "no delays": NO_DELAYS}.items()
        },
        files=("qtdb_train.npz", "qtdb_test.npz"),
    ),
    "pixels": Study(
        "recurrent/psmnist",
        {("PS-MNIST", name): [*SMALL_PIXELS, *words] for name, words in PIXELS.items()},
        files=("mnist10k_train.npz", "mnist10k_test.npz"),
    ),
    "journeys": Study(
        "tasks/localisation",
        {("AL", name): [*SHORT_JOURNEYS, *words] for name, words in JOURNEYS.items()},
    ),
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # safe for the colour-blind
MARKERS = "os^DvP*X"
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
    parser.add_argument("--data", type=Path, help="folder of the data files, where the study has some")
    parser.add_argument("--folder", type=Path, required=True, help="where runs, results and the figure go")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument("--at-most", type=int, default=None, help="runs to make now")
    parser.add_argument("--only-draw", action="store_true", help="table and figure of what is done")
    options = parser.parse_args()
    if STUDIES[options.study].files and options.data is None and not options.only_draw:
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
    wanted = [(name, seed) for seed in range(options.seeds) for name in STUDIES[options.study].variants]
    return [it for it in wanted if it not in done][: options.at_most]


def run(options: argparse.Namespace, name: tuple[str, str], seed: int) -> Row:
    """Train and test one variant, in processes of their own."""
    study, folder = STUDIES[options.study], "_".join([*name, str(seed)]).replace(",", "").replace(" ", "_")
    words = ["--config", f"configs/{study.config}.yaml", *study.variants[name]]
    for kind, file in zip(("train", "test"), study.files or (), strict=False):
        words += [f"--data.dataset.{kind}_file", str(options.data / file)]
    words += ["--trainer.max_epochs", str(options.epochs), "--trainer.enable_progress_bar", "false"]
    words += ["--trainer.default_root_dir", str(options.folder), "--name", folder]
    started = time.time()
    call("fit", *words, "--seed_everything", str(seed))
    seconds = time.time() - started
    result = json.loads((options.folder / folder / "result.json").read_text())
    kept = ("accuracy", "last_accuracy", "epoch", "num_epochs", "selection", "num_parameters", "metric")
    row = {"group": name[0], "name": name[1], "seed": seed, **{key: result[key] for key in kept}}
    if study.has_operations:
        row["synaptic_operations"] = operations(options, folder, study)
    return row | {"seconds": round(seconds, 1)}


def operations(options: argparse.Namespace, folder: str, study: Study) -> int:
    """Synaptic operations a sample of the test set."""
    assert study.files is not None
    told = call("inspect", str(options.folder / folder), "--data", str(options.data / study.files[1]))
    (row,) = (line for line in told.splitlines() if line.startswith("| synaptic operations"))
    return int(row.split("|")[-2].replace(",", ""))


def call(*words: str) -> str:
    command = [sys.executable, "-m", "lit_delays", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ).stdout


def tell(options: argparse.Namespace, rows: list[Row]) -> None:
    """Table and figure of what there is."""
    groups: dict[tuple[str, str], list[Row]] = {name: [] for name in STUDIES[options.study].variants}
    for row in rows:
        groups.setdefault((row["group"], row["name"]), []).append(row)  # a peer's may be there too
    groups = {name: mine for name, mine in groups.items() if mine}
    text = "\n".join(table(groups)) + "\n"
    (options.folder / "table.md").write_text(text)
    print(text, flush=True)
    if groups:
        draw(groups, options.folder / f"{options.study}.png")


def table(groups: dict[tuple[str, str], list[Row]]) -> list[str]:
    """Means over seeds; the range is a 95 % interval by Student, where there are seeds enough.

    Runs that shared their core with others may have no seconds.
    """
    counted = all("synaptic_operations" in row for rows in groups.values() for row in rows)
    heads = ["group", "variant", "seeds", "test score", "parameters", "seconds a run"]
    heads += ["synaptic operations a sample"] * counted
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (group, name), rows in groups.items():
        mean, half = spread([row["accuracy"] for row in rows])
        form = "{:.1%}" if is_share(rows) else "{:.4f}"
        score = form.format(mean) + (f" +- {form.format(half)}" if half else "")
        seconds = statistics.median(row.get("seconds", math.nan) for row in rows)
        duration = "-" if math.isnan(seconds) else f"{seconds:.0f}"
        cells = [group, name, str(len(rows)), score, f"{rows[0]['num_parameters']:,}", duration]
        if counted:
            cells.append(f"{statistics.mean(row['synaptic_operations'] for row in rows):,.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def is_share(rows: list[Row]) -> bool:
    """Whether scores are shares of right answers, else they are errors."""
    return bool(rows[0].get("metric", "acc") == "acc")


def spread(values: list[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval; 0 for a single value."""
    student = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}.get(len(values), 1.96)
    half = student * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return statistics.mean(values), half


def draw(groups: dict[tuple[str, str], list[Row]], path: Path) -> None:
    """Every seed a dot, every mean a line; beside it, score by cost, where variants differ in cost."""
    counted = all("synaptic_operations" in row for rows in groups.values() for row in rows)
    cost = "synaptic_operations" if counted else "seconds"
    paid = [statistics.median(row.get(cost, math.nan) for row in rows) for rows in groups.values()]
    differ = max(paid) > 1.5 * min(paid) or len(paid) == 1
    figure = Figure(figsize=(11.0 if differ else 6.5, 4.2), layout="constrained")
    bars, *others = figure.subplots(1, 1 + differ, squeeze=False)[0]
    draw_scores(bars, groups)
    for costs in others:
        draw_costs(costs, groups, paid)
        costs.set_xlabel("synaptic operations a sample" if counted else "seconds a run")
    share = is_share(next(iter(groups.values())))
    figure.legend(*bars.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=5)
    for axis in (bars, *others):
        axis.set_ylabel("test accuracy (%)" if share else "test NMSE (log scale)")
        axis.set_yscale("linear" if share else "log")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def draw_scores(bars: Axes, groups: dict[tuple[str, str], list[Row]]) -> None:
    kinds = list(dict.fromkeys(name for _, name in groups))
    for index, ((_, name), rows) in enumerate(groups.items()):
        scores, colour = scores_of(rows), COLOURS[kinds.index(name) % len(COLOURS)]
        bars.plot([index] * len(rows), scores, "o", color=colour, alpha=0.6, markersize=5)
        bars.plot([index - 0.3, index + 0.3], [statistics.mean(scores)] * 2, color=colour, linewidth=2.5)
    for colour, name in zip(COLOURS, kinds, strict=False):
        bars.plot([], [], "o", color=colour, label=name)
    places: dict[str, list[int]] = {}
    for index, (group, _) in enumerate(groups):
        places.setdefault(group, []).append(index)
    bars.set_xticks([statistics.mean(those) for those in places.values()], list(places))


def draw_costs(costs: Axes, groups: dict[tuple[str, str], list[Row]], paid: list[float]) -> None:
    """Colours are variants, as beside it; shapes are groups."""
    kinds = list(dict.fromkeys(name for _, name in groups))
    shapes = dict(zip(dict.fromkeys(group for group, _ in groups), MARKERS, strict=False))
    for price, ((group, name), rows) in zip(paid, groups.items(), strict=True):
        colour = COLOURS[kinds.index(name) % len(COLOURS)]
        costs.plot(price, statistics.mean(scores_of(rows)), shapes[group], color=colour, markersize=8)
    for group, shape in shapes.items():
        costs.plot([], [], shape, color="grey", label=group)
    if len(shapes) > 1:
        costs.legend(frameon=False, loc="center left")
    costs.set_xlim(0, 1.1 * max(paid))
    costs.xaxis.set_major_formatter(EngFormatter())


def scores_of(rows: list[Row]) -> list[float]:
    return [row["accuracy"] * (100 if is_share(rows) else 1) for row in rows]


if __name__ == "__main__":
    main()
