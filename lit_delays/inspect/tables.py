"""What a trained network is made of, and what it would ask of a chip: tables in Markdown."""

from collections.abc import Sequence

import torch

from lit_delays.inspect.observation import Observation
from lit_delays.metrics import Footprint, delay_histogram, footprints
from lit_delays.snn.network import Network
from lit_delays.snn.synapses import Synapses

NO_DATA = "needs data"

# Longest delay of a synapse, in time steps
CHIPS = {
    "Loihi 2": 62,  # where Intel's lava-dl clips
    "SpiNNaker": 15,  # 16 slots in a ring buffer; sPyNNaker relays longer delays through extra cores
}


def layer_table(network: Network, observation: Observation | None) -> list[str]:
    """A column a layer, and the sums.

    A slot of the delay memory is a past time step of one input: a bit where the input spikes. Synaptic
    operations are per sample.

    Args:
        network: The trained network.
        observation: What it does with data; None leaves the rows open that need them.
    """
    memory, step_ms = footprints(network), network.config.time_step_ms
    columns = [
        _structure(memory[name], synapses, step_ms) | _activity(name, observation)
        for name, synapses in network.named_synapses().items()
    ]
    total = dict.fromkeys(columns[0], "")
    total["synapses"] = f"{sum(layer.num_synapses for layer in memory.values()):,}"
    total["delay memory (slots)"] = f"{sum(layer.input_slots for layer in memory.values()):,}"
    operations = sum(observation.synaptic_operations.values()) if observation else None
    total["synaptic operations"] = NO_DATA if operations is None else f"{operations:,.0f}"
    header = ["layer", *memory, "all"]
    return aligned(header, [[row, *(column[row] for column in [*columns, total])] for row in total])


def chip_table(network: Network) -> list[str]:
    """Which known chips can hold the delays of the network."""
    longest = max(layer.longest_delay for layer in footprints(network).values())
    rows = [
        [chip, f"{limit} steps", f"{'fits' if longest <= limit else 'too long'}: {longest} steps"]
        for chip, limit in CHIPS.items()
    ]
    return aligned(["chip", "its longest delay", "this network"], rows)


def table(header: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    rule = "|---" * (header.count("|") - 1) + "|"
    return [header, rule, *(f"| {' | '.join(cells)} |" for cells in rows)]


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    r"""A Markdown table whose columns also line up in a terminal.

    Example:
        >>> print(*aligned(["chip", "steps"], [["Loihi 2", "62"]]), sep="\n")
        | chip    | steps |
        |---|---|
        | Loihi 2 | 62    |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (header, *rows)]
    return table(f"| {' | '.join(padded[0])} |", padded[1:])


def _structure(memory: Footprint, synapses: Synapses, time_step_ms: float) -> dict[str, str]:
    cells = {"synapses": f"{memory.num_synapses:,}", "fan-in": str(memory.fan_in)}
    cells |= _delays(synapses, time_step_ms)
    return cells | {"delay memory (slots)": f"{memory.input_slots:,}"}


def _delays(synapses: Synapses, time_step_ms: float) -> dict[str, str]:
    names = ("delays (ms)", "mean delay (ms)", "distinct delays", "at the shortest", "at the longest")
    counts = delay_histogram(synapses)
    used = counts.nonzero().flatten()
    if synapses.num_lags == 1 or not len(used):
        return dict.fromkeys(names, "none")
    shares = counts / counts.sum()
    low, high = (float(lag) * time_step_ms for lag in (used.min(), used.max()))
    mean = float((shares * torch.arange(len(counts))).sum()) * time_step_ms
    distinct = f"{len(used)} of {len(counts)}"
    cells = (f"{low:g} to {high:g}", f"{mean:.0f}", distinct, f"{shares[0]:.1%}", f"{shares[-1]:.1%}")
    return dict(zip(names, cells, strict=True))


def _activity(name: str, observation: Observation | None) -> dict[str, str]:
    if observation is None:
        cells = [NO_DATA] * 3
    else:
        cells = [f"{observation.synaptic_operations[name]:,.0f}", "", ""]
        if name in observation.firing_rates:  # the readout's is not told: it has a voltage
            cells[1:] = [f"{observation.firing_rates[name]:.1f}", f"{observation.silent[name]:.1%}"]
    return dict(zip(("synaptic operations", "firing rate (1/s)", "silent neurons"), cells, strict=True))
