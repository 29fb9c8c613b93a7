"""What a trained network is made of, and what it would ask of a chip: tables in Markdown."""

from collections.abc import Sequence

import torch

from lit_delays.experiments.evidence import Evidence
from lit_delays.experiments.report import table
from lit_delays.snn.delays import DelayedLinear
from lit_delays.snn.network import DelaySNN
from lit_delays.training.callbacks import named_delay_layers
from lit_delays.training.histograms import delay_histogram

NO_DATA = "needs data"

# Longest delay of a synapse, in time steps
CHIPS = {
    "Loihi 2": 62,  # where Intel's lava-dl clips
    "SpiNNaker": 15,  # 16 slots in a ring buffer; sPyNNaker relays longer delays through extra cores
}


def anatomy(network: DelaySNN, evidence: Evidence | None) -> list[str]:
    """A column a layer, and the sums.

    A slot of the delay memory is a past time step of one input: a bit where the input spikes. Synaptic
    operations are per sample: the non-zero inputs that synapses pass on.

    Args:
        network: The trained network.
        evidence: What it does with data; None leaves the rows open that need them.
    """
    layers = named_delay_layers(network)
    columns = [
        {**_structure(layer, network.config.time_step_ms), **_activity(name, evidence)}
        for name, layer in layers.items()
    ]
    total = dict.fromkeys(columns[0], "")
    total["synapses"] = f"{sum(map(count_synapses, layers.values())):,}"
    total["delay memory (slots)"] = f"{sum(map(delay_slots, layers.values())):,}"
    operations = sum(evidence.synaptic_operations.values()) if evidence else None
    total["synaptic operations"] = NO_DATA if operations is None else f"{operations:,.0f}"
    header = ["layer", *layers, "all"]
    return aligned(header, [[row, *(column[row] for column in [*columns, total])] for row in total])


def chips(network: DelaySNN) -> list[str]:
    """Which known chips can hold the delays of the network."""
    longest = max(map(longest_delay, network.delay_layers()))
    rows = [
        [chip, f"{limit} steps", f"{'fits' if longest <= limit else 'too long'}: {longest} steps"]
        for chip, limit in CHIPS.items()
    ]
    return aligned(["chip", "its longest delay", "this network"], rows)


def count_synapses(layer: DelayedLinear) -> int:
    """Synapses that exist."""
    return layer.weight.numel() if layer.mask is None else int(layer.mask.sum())


def longest_delay(layer: DelayedLinear) -> int:
    """Longest deployed delay, in time steps.

    Example:
        >>> longest_delay(DelayedLinear(2, 1, max_delay=5, delays="none"))
        0
    """
    return 0 if layer.delay is None else int(delay_histogram(layer).nonzero().max())


def delay_slots(layer: DelayedLinear) -> int:
    """Past inputs that a layer must remember: every input, back to the longest delay.

    Example:
        >>> layer = DelayedLinear(2, 1, max_delay=5)
        >>> _ = layer.delay.data.fill_(2.8)
        >>> delay_slots(layer)
        6
    """
    return layer.weight.shape[1] * longest_delay(layer)


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


def _structure(layer: DelayedLinear, time_step_ms: float) -> dict[str, str]:
    fan_in = layer.weight.shape[1] * layer.weight.shape[2]
    if layer.mask is not None:
        fan_in = int(layer.mask.sum(dim=(1, 2)).max())
    cells = {"synapses": f"{count_synapses(layer):,}", "fan-in": str(fan_in)}
    cells |= _delays(layer, time_step_ms)
    return cells | {"delay memory (slots)": f"{delay_slots(layer):,}"}


def _delays(layer: DelayedLinear, time_step_ms: float) -> dict[str, str]:
    names = ("delays (ms)", "mean delay (ms)", "distinct delays", "at the shortest", "at the longest")
    if layer.delay is None:
        return dict.fromkeys(names, "none")
    counts = delay_histogram(layer)
    shares = counts / counts.sum()
    used = counts.nonzero().flatten()
    low, high = (float(lag) * time_step_ms for lag in (used.min(), used.max()))
    mean = float((shares * torch.arange(len(counts))).sum()) * time_step_ms
    distinct = f"{len(used)} of {len(counts)}"
    cells = (f"{low:g} to {high:g}", f"{mean:.0f}", distinct, f"{shares[0]:.1%}", f"{shares[-1]:.1%}")
    return dict(zip(names, cells, strict=True))


def _activity(name: str, evidence: Evidence | None) -> dict[str, str]:
    if evidence is None:
        cells = [NO_DATA] * 3
    else:
        cells = [f"{evidence.synaptic_operations[name]:,.0f}", "", ""]
        if name in evidence.firing_rates:  # the readout's is not told: it has a voltage
            cells[1:] = [f"{evidence.firing_rates[name]:.1f}", f"{evidence.silent[name]:.1%}"]
    return dict(zip(("synaptic operations", "firing rate (1/s)", "silent neurons"), cells, strict=True))
