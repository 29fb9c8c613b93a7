"""Fast forms of the operations of :mod:`lit_delays.snn`, which register themselves; nothing there needs them.

Each is held equal to the plain form by a test; :func:`~lit_delays.snn.operation.use` chooses between them.
"""

from lit_delays.snn.fast import (
    lif_scan,
    neuron_steps,
    normed_lif,
    recurrent_scan,
    soft_kernel,
    sparse_sum,
    spectral_sum,
    toeplitz,
    two_state_scan,
)

__all__ = [
    "lif_scan", "neuron_steps", "normed_lif", "recurrent_scan", "soft_kernel", "sparse_sum", "spectral_sum",
    "toeplitz", "two_state_scan",
]  # fmt: skip
