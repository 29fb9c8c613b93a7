"""Few synapses of a neuron, summed by the compiled loops of :mod:`.synapse_loops`.

Letters as there.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_delays.snn.fast.compiled import synapse_loops as loops
from lit_delays.snn.fast.compiled.blocks import NUMBERS, SHARE, Loops, share_out
from lit_delays.snn.fast.compiled.synapse_loops import LAGS_AT_ONCE, STEPS
from lit_delays.snn.fast.compiled.threads import run
from lit_delays.snn.fast.compiled.vectors import BYTES
from lit_delays.snn.fast.scratch import scratch, scratch_like

__all__ = ["LAGS_AT_ONCE", "STEPS", "SynapseLists", "can", "collect", "spread", "sums", "tap_grads"]

SQUARES = 2  # blocks of signals that a thread takes at a time


class SynapseLists:
    """Lists of synapses, by target and by source.

    Args:
        inputs: Sources of every target, shape ``(O, F)``.
        num_inputs: Number of sources, ``I``.
    """

    def __init__(self, inputs: Tensor, num_inputs: int) -> None:
        (num_outputs, fan_in), sources = inputs.shape, inputs.flatten()
        pairs = torch.arange(len(sources), device=inputs.device)
        targets, order = pairs // fan_in, sources.argsort(stable=True)
        self.source_of, self.target_of = sources, targets
        ends = sources.bincount(minlength=num_inputs).cumsum(0)
        starts = torch.arange(num_outputs + 1, device=inputs.device) * fan_in
        self.by_target = starts, sources, pairs
        self.by_source = torch.cat([ends.new_zeros(1), ends]), targets[order], order


def spread(name: str, x: Tensor, lead: int, rows: int, dtype: torch.dtype) -> Tensor:
    """The layout of numbers or truths ``(T, B, N)``, after ``lead`` steps of nothing, in scratch memory."""
    lanes = BYTES // dtype.itemsize
    layout = scratch(name, (-(-x.shape[1] // lanes), x.shape[2], rows, lanes), dtype, x.device)
    own: dict[str, Any] = {"plain": x, "has_truths": x.dtype == torch.bool, "layout": layout}
    _run_squares(loops.SPREAD, dtype, x, own | {"lead": lead, "rows": rows})
    return layout


def collect(layout: Tensor, out: Tensor) -> None:
    """The first steps of a layout to ``(T, B, N)``."""
    own: dict[str, Any] = {"plain": out, "layout": layout, "lead": 0, "rows": layout.shape[2]}
    _run_squares(loops.COLLECT, out.dtype, out, own)


def _run_squares(which: Loops, dtype: torch.dtype, x: Tensor, own: dict[str, Any]) -> None:
    (num_steps, num_samples, num_signals), lanes = x.shape, BYTES // dtype.itemsize
    total = -(-num_samples // lanes) * -(-num_signals // lanes)
    sizes = {"num_steps": num_steps, "num_samples": num_samples, "num_signals": num_signals}
    _run(which, dtype, total, 1, lanes * BYTES, SQUARES, **sizes, **own)


def sums(
    name: str,
    sources: Tensor,
    lead: int,
    lists: tuple[Tensor, ...],
    taps: Tensor,
    num_steps: int,
    direction: int,
) -> Tensor:
    """What synapses with taps ``(O F, K)`` add to all their signals, as a layout, in scratch memory."""
    starts, source_of, taps_of = lists
    num_vectors, num_sources, source_rows, lanes = sources.shape
    layout = scratch_like(name, sources, num_vectors, len(starts) - 1, -(-num_steps // STEPS) * STEPS, lanes)
    _run(
        loops.SUMS, taps.dtype, layout.shape[:2].numel(), 1, num_signals=layout.shape[1],
        rows=layout.shape[2], layout=layout, num_lags=taps.shape[1], direction=direction,
        num_sources=num_sources, source_lead=lead, source_rows=source_rows, sources=sources, starts=starts,
        source_of=source_of, taps_of=taps_of, taps=taps,
    )  # fmt: skip
    return layout


def tap_grads(
    sources: Tensor,
    lead: int,
    above: Tensor,
    synapses: SynapseLists,
    num_samples: int,
    num_steps: int,
    num_lags: int,
) -> Tensor:
    """Gradients of the taps, shape ``(O F, K)``, from the layouts of sources and of the gradient above."""
    _, num_sources, source_rows, _ = sources.shape
    taps = sources.new_empty(len(synapses.source_of), num_lags)
    _run(
        loops.TAP_GRADS, taps.dtype, len(taps), 1, num_bytes=STEPS * BYTES, num_steps=num_steps,
        num_samples=num_samples, num_signals=above.shape[1], rows=above.shape[2], layout=above,
        num_lags=num_lags, num_sources=num_sources, source_lead=lead, source_rows=source_rows,
        sources=sources, source_of=synapses.source_of, target_of=synapses.target_of, taps=taps,
    )  # fmt: skip
    return taps


def _run(
    which: Loops,
    dtype: torch.dtype,
    total: int,
    width: int,
    num_bytes: int = 0,
    share: int = SHARE,
    **values: int | Tensor,
) -> None:
    job = np.zeros(1, loops.JOB)
    share_out(job, total, width, num_bytes, share)
    for name, value in values.items():
        job[name] = value.data_ptr() if isinstance(value, Tensor) else value
    run(which[dtype], job)


def can(x: Tensor, num_outputs: int) -> bool:
    """Whether signals fill a vector, on both sides."""
    return x.dtype in NUMBERS and min(x.shape[2], num_outputs) * x.itemsize >= BYTES
