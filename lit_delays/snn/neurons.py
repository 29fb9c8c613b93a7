r"""Neurons: from input currents to spikes, one time step after the other.

The leaky integrate-and-fire neuron keeps a share of its voltage, adds its input, and starts from zero again
after a spike:

.. math:: h[t] = \Bigl(1 - \frac{1}{\tau}\Bigr) v[t-1] + x[t], \qquad s[t] = \Theta(h[t] - \vartheta), \qquad
          v[t] = h[t]\,(1 - s[t])

Every call starts from rest; no module here keeps a state. Shape letters: T steps, B samples, N neurons.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.surrogates import Surrogate, spike

NeuronName = Literal["lif", "plif", "heaviside", "relu"]


def lif(
    current: Tensor, leak: Tensor | float, v_threshold: float, surrogate: Surrogate
) -> Tensor:
    """Spikes of leaky integrate-and-fire neurons with hard reset: the plain loop, kept as reference.

    Args:
        current: Input currents, shape ``(T, B, N)``.
        leak: Share of the voltage lost in a step, ``1 / tau`` with tau in steps, in ``(0, 1]``.
        v_threshold: Voltage at which a neuron spikes.
        surrogate: Stands in for the derivative of the spike.

    Returns:
        Zeros and ones, shape ``(T, B, N)``.

    Source:
        Hammouamri et al. (2023), Eq. 1 to 3, and the neuron of its reference code: the input is not scaled
        by the leak (``decay_input`` off), and no gradient flows through the reset.

    Example:
        >>> from lit_delays.snn.surrogates import ATan
        >>> lif(torch.full((4, 1, 1), 0.6), leak=0.5, v_threshold=1.0, surrogate=ATan()).flatten()
        tensor([0., 0., 1., 0.])
    """
    v_mem, spikes = torch.zeros_like(current[0]), []
    for step in current:
        v_mem = v_mem - v_mem * leak + step
        fired = spike(v_mem - v_threshold, surrogate)
        v_mem = v_mem * (1 - fired.detach())
        spikes.append(fired)
    return torch.stack(spikes)


def leaky_integral(current: Tensor, leak: Tensor | float) -> Tensor:
    """Voltage of leaky neurons that never fire, shape ``(T, B, N)``: the paper's readout.

    Args:
        current: Input currents, shape ``(T, B, N)``.
        leak: Share of the voltage lost in a step, in ``(0, 1]``.

    Example:
        >>> leaky_integral(torch.ones(3, 1, 1), leak=0.5).flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    v_mem, trace = torch.zeros_like(current[0]), []
    for step in current:
        v_mem = v_mem - v_mem * leak + step
        trace.append(v_mem)
    return torch.stack(trace)


def synaptic_filter(spikes: Tensor, tau: float) -> Tensor:
    r"""Let each spike linger as a decaying current that decays only while no new spike comes.

    .. math:: I[t] = I[t-1] - (1 - S[t])\, I[t-1] / \tau + S[t]

    Args:
        spikes: Shape ``(T, B, N)``.
        tau: Time constant in time steps, at least 1.

    Returns:
        Currents, shape ``(T, B, N)``.

    Source:
        The stateful synapse of the paper's reference code, where tau is 2 steps and not learned.

    Example:
        >>> synaptic_filter(torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1), tau=2.0).flatten()
        tensor([1.0000, 0.5000, 1.5000])
    """
    current, trace = torch.zeros_like(spikes[0]), []
    for step in spikes:
        current = current - (1 - step) * current / tau + step
        trace.append(current)
    return torch.stack(trace)


class Neuron(nn.Module):
    """A population of neurons: what turns the currents of a layer into its output.

    Args:
        kind: ``lif``; ``plif`` (one learned time constant a layer); ``heaviside`` (spikes where the current
            reaches the threshold, no memory); ``relu`` (no spikes: the baseline).
        tau: Membrane time constant in time steps, at least 1 (above 1 for ``plif``). Not used by the
            neurons without memory.
        v_threshold: Voltage, or current for ``heaviside``, at which a neuron spikes; infinite for a readout
            that never fires and gives its voltage instead (without memory: the current itself).
        surrogate: Stands in for the derivative of the spike.

    Attributes:
        leak_logit: ``plif`` only: ``1 / tau = sigmoid(leak_logit)``, a scalar parameter.

    Shape:
        Input ``(T, B, N)``, output ``(T, B, N)``.

    Raises:
        InputError: If ``tau`` is out of its range.

    Source:
        PLIF: Fang et al. (2021), https://arxiv.org/abs/2007.05785, Eq. 10.
    """

    def __init__(
        self, kind: NeuronName, *, tau: float, v_threshold: float, surrogate: Surrogate
    ) -> None:
        super().__init__()
        if kind in ("lif", "plif") and not (tau >= 1 if kind == "lif" else tau > 1):
            raise InputError(
                f"the membrane time constant must be {'at least' if kind == 'lif' else 'above'} one"
                f" time step for `neuron: {kind}`, got {tau:g} steps."
            )
        self.kind, self.tau, self.v_threshold, self.surrogate = kind, tau, v_threshold, surrogate
        if kind == "plif":
            self.leak_logit = nn.Parameter(torch.tensor(-math.log(tau - 1)))

    def extra_repr(self) -> str:  # noqa: D102
        return f"{self.kind}, {self.tau=:g} steps, {self.v_threshold=:g}, {self.surrogate}"

    @property
    def leak(self) -> Tensor | float:
        """Share of the voltage lost in a step, ``1 / tau``."""
        return torch.sigmoid(self.leak_logit) if self.kind == "plif" else 1 / self.tau

    def forward(self, current: Tensor) -> Tensor:  # noqa: D102
        fires = math.isfinite(self.v_threshold)
        match self.kind:
            case "lif" | "plif" if fires:
                return lif(current, self.leak, self.v_threshold, self.surrogate)
            case "lif" | "plif":
                return leaky_integral(current, self.leak)
            case "heaviside" if fires:
                return spike(current - self.v_threshold, self.surrogate)
            case "relu" if fires:
                return torch.relu(current)
        return current
