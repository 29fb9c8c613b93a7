"""What is allowed in a data set, and yet mostly a mistake: said, not refused."""

from collections.abc import Iterator

import numpy as np

from lit_delays.data.class_names import listed
from lit_delays.data.samples import Samples
from lit_delays.data.spike_arrays import SpikeArrays

LONG_SECONDS = 10.0  # a sample; spoken words last one
LOOKED_AT = 1000  # samples


def notes_on_classes(samples: Samples, where: str) -> Iterator[str]:
    """On classes that a network gets an output for, and nothing to learn from.

    Args:
        samples: Those to train on.
        where: What a note calls them.
    """
    without = sorted(set(range(len(samples.names))) - samples.labels_present)
    if without:
        names = listed([samples.names[label] for label in without])
        yield (
            f"{where} has no sample of {len(without):,} of its {len(samples.names):,} classes ({names});"
            " labels are numbers from 0 without gaps."
        )


def notes_on_times(samples: Samples, where: str, time_step_ms: float) -> Iterator[str]:
    """On times that may be in another unit.

    Args:
        samples: Of any split.
        where: What a note calls them.
        time_step_ms: Length of a time step, in ms.
    """
    if not isinstance(samples, SpikeArrays):
        return
    seconds = typical_seconds(samples)
    if seconds > LONG_SECONDS:
        yield (
            f"{where}: half of the samples last {seconds:.3g} s or longer; times are in s, so divide them by"
            " 1000 if they are in ms."
        )
    elif seconds * 1000 < time_step_ms:
        yield (
            f"{where}: half of the samples last {seconds * 1000:.3g} ms or shorter, and a time step"
            f" {time_step_ms:g} ms; times are in s."
        )


def typical_seconds(samples: SpikeArrays) -> float:
    """Median time from the first spike of a sample to its last, over samples that have spikes.

    Example:
        >>> typical_seconds(SpikeArrays.of([[0.5, 2.0], []], [[7, 5], []], labels=[1, 0]))
        1.5
    """
    full = np.flatnonzero(np.diff(samples.indptr))
    some = full[:: -(-len(full) // LOOKED_AT)]
    lasts, firsts = samples.times[samples.indptr[some + 1] - 1], samples.times[samples.indptr[some]]
    return float(np.median(lasts.astype(np.float64) - firsts.astype(np.float64)))
