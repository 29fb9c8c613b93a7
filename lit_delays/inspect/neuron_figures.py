"""What neurons have learned of their own: their time constants, as a figure and as a table."""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from lit_delays.inspect.figures import COLOURS, save
from lit_delays.inspect.tables import aligned
from lit_delays.snn.network import Network

BINS = 24
TICKS_MS = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 3)]


def learned_times(network: Network) -> dict[str, dict[str, Tensor]]:
    """Learned time constants in ms, by layer and by what they are of; layers without any are left out."""
    layers = {name: layer.neuron.learned_times_ms() for name, layer in network.named_layers().items()}
    return {
        name: {what: times.float().cpu() for what, times in it.items()} for name, it in layers.items() if it
    }


def time_constant_table(network: Network) -> list[str]:
    """A row for every layer and every time constant that it learns; no line where there is none."""
    rows = [
        [name, what, *(_ms(times.quantile(share)) for share in (0.0, 0.5, 1.0))]
        for name, it in learned_times(network).items()
        for what, times in it.items()
    ]
    header = ["layer", "learned time constant (ms)", "shortest", "median", "longest"]
    return aligned(header, rows) if rows else []


def draw_time_constants(network: Network, path: Path) -> Path | None:
    """How many neurons of every layer have learned which time constant; None where none is learned."""
    layers = learned_times(network)
    if not layers:
        return None
    kinds = list(dict.fromkeys(what for it in layers.values() for what in it))
    figure = Figure(figsize=(max(7.0, 3.7 * len(layers)), 0.4 + 2.6 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), len(layers), squeeze=False)
    for row, colour, what in zip(axes, COLOURS, kinds, strict=False):
        edges = _edges([it[what] for it in layers.values() if what in it])
        for axis, (name, it) in zip(row, layers.items(), strict=True):
            if what in it:
                _histogram(axis, it[what], edges, colour)
                axis.set(title=name, xlabel=f"{what} (ms)", ylabel="neurons")
            else:
                axis.set_axis_off()
    return save(figure, path)


def _edges(times: list[Tensor]) -> list[float]:
    """Bins of one width on a logarithmic axis, the same in all layers."""
    ends = torch.stack([torch.cat(times).min() / 1.2, torch.cat(times).max() * 1.2]).log10()
    return torch.logspace(float(ends[0]), float(ends[1]), BINS + 1).tolist()


def _histogram(axis: Axes, times: Tensor, edges: list[float], colour: str) -> None:
    axis.hist(times.tolist(), bins=edges, color=colour, alpha=0.8)
    median = times.quantile(0.5)
    axis.axvline(float(median), color="black", linewidth=1.0)
    words = f"median {_ms(median)} ms" if len(times) > 1 else f"{_ms(median)} ms, one for all neurons"
    axis.annotate(words, (1.0, 1.0), xycoords="axes fraction", ha="right", va="top", fontsize="small")
    axis.margins(y=0.2)
    axis.set(xscale="log", xlim=(edges[0], edges[-1]))
    axis.set_xticks([tick for tick in TICKS_MS if edges[0] <= tick <= edges[-1]])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axis.spines[["top", "right"]].set_visible(False)


def _ms(time: Tensor) -> str:
    return f"{float(time):,.0f}" if time >= 100 else f"{float(time):.3g}"
