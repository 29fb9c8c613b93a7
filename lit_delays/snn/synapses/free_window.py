"""A window that follows its delays, so that nobody has to know the longest one before.

The delay is the parameter and the window follows from it: as far as the soft delays reach in training, the
longest whole delay in evaluation. So another window changes no output, and nothing else has to be saved.
"""

import torch
from torch import Tensor

from lit_delays.errors import InputError
from lit_delays.snn.kernels import Kernel
from lit_delays.snn.synapses.base import MOST_LAGS, Synapses

MOST_TAPS = 2**30  # of a kernel: 4 GB in float32


def lags_that_hold(synapses: Synapses, delay: Tensor, kernel: Kernel, width: Tensor) -> int:
    """Lags that soft delays reach over.

    Args:
        synapses: Whose they are.
        delay: In time steps; its last dimension is that of the widths, or there is one width.
        kernel: Their shape.
        width: In time steps.

    Raises:
        InputError: If a kernel of so many would not fit into memory.
    """
    return checked(synapses, int((delay + kernel.reach(width)).detach().max()) + 1)


@torch.no_grad()
def follow(synapses: Synapses, delay: Tensor) -> None:
    """Make the window of evaluation that of these delays, in time steps.

    Raises:
        InputError: If a kernel of so many lags would not fit into memory.
    """
    if not delay.is_meta:
        synapses.num_lags = checked(synapses, int(delay.max().round()) + 1)


def checked(synapses: Synapses, num_lags: int) -> int:
    """The same number, if a kernel of so many lags fits.

    Raises:
        InputError: If not.
    """
    num_taps = num_lags * synapses.num_inputs * synapses.num_outputs
    if num_lags > MOST_LAGS or num_taps > MOST_TAPS:
        raise InputError(
            f"`max_delay_ms` must be given: without it the delays reach over {num_lags:,} time steps, a"
            f" kernel of {num_taps * 4 / 2**30:,.1f} GB; or give the delays a shorter `start`."
        )
    return num_lags
