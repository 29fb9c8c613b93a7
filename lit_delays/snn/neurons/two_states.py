r"""Neurons with a second, slow state: one step and one set of coefficients for all of them.

Each is linear between its spikes. With the values of the step before marked by a prime, :math:`I` the input
current and :math:`z` the spikes,

.. math:: w = c_{wu} u' + c_{ww} w' + c_{wz} z', \qquad
          u = c_{uu} u' + c_{uw} w' + c_{uz} z' + c_{uI} I, \qquad z = \Theta(g u - \vartheta),

and after a hard reset :math:`u (1 - z)` goes on instead of :math:`u`. A neuron is its seven coefficients,
which it makes of what it learns; a soft reset is part of :math:`c_{uz}`.
Shape letters: B samples, N neurons.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.neurons.base import Neuron, State
from lit_delays.snn.surrogates import Surrogate, spike


class Coefficients(NamedTuple):
    """What makes a neuron of two states, each of shape ``(N,)``; names as in the equation above."""

    uu: Tensor
    uw: Tensor
    uz: Tensor
    ui: Tensor
    wu: Tensor
    ww: Tensor
    wz: Tensor


class TwoStateNeuron(Neuron):
    """Neurons with a potential and a slow second state.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Range of the membrane time constants, in ms: the shortest and the longest.
        surrogate: Stand-in for the derivative of a spike.

    Attributes:
        gain: Of the potential, before the threshold is taken off.
        v_threshold: The threshold.
        strict: Whether a spike needs more than the threshold, or just as much.
        resets: Whether a spike sets the potential to 0, without a gradient.
        ranges: Where a learned parameter must stay, by its name.
    """

    gain: ClassVar[float] = 1.0
    v_threshold: ClassVar[float] = 1.0
    strict: ClassVar[bool] = True
    resets: ClassVar[bool] = False

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        tau_mem_ms: tuple[float, float],
        surrogate: Callable[[], Surrogate],
    ) -> None:
        super().__init__(num_neurons, time_step_ms)
        self.tau_range_ms, self.surrogate = check_range("tau_mem_ms", tau_mem_ms, time_step_ms), surrogate()
        self.tau_mem_ms = sum(self.tau_range_ms) / 2  # of the readout: the middle of the range
        self.ranges: dict[str, tuple[float, float]] = {}

    @abstractmethod
    def coefficients(self) -> Coefficients:
        """The coefficients, made of what is learned."""

    def initial_state(self, current: Tensor) -> State:
        """At rest: published codes draw random states, which makes their accuracy random too."""
        zeros = torch.zeros_like(current)
        return {"u": zeros, "w": zeros, "spikes": zeros}

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        c, u, w, z = self.coefficients(), state["u"], state["w"], state["spikes"]
        w, u = c.wu * u + c.ww * w + c.wz * z, c.uu * u + c.uw * w + c.uz * z + c.ui * current
        spikes = spike(self.gain * u - self.v_threshold, self.surrogate, self.strict)
        rest = u * (1 - spikes.detach()) if self.resets else u
        return spikes, {"u": rest, "w": w, "spikes": spikes}

    @torch.no_grad()
    def oscillation(self) -> tuple[Tensor, Tensor]:
        """How a swing of a neuron without input or spikes goes on, from the roots of its linear part.

        Returns:
            What its height is multiplied by in a step, 0 where it does not swing, shape ``(N,)``; its period
            in steps, infinite there.
        """
        c = self.coefficients()
        trace, product = c.uu + c.ww, c.uu * c.ww - c.uw * c.wu
        swings = trace**2 < 4 * product
        height = product.clamp(min=0).sqrt()
        angle = torch.acos((trace / (2 * height)).clamp(-1, 1))
        return torch.where(swings, height, 0.0), torch.where(swings, 2 * math.pi / angle, math.inf)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring what is learned back into its range."""
        for name, (low, high) in self.ranges.items():
            self.get_parameter(name).clamp_(low, high)

    def learn(self, name: str, low: float, high: float, stays: bool = True) -> None:
        """Add a parameter of every neuron that starts anywhere in a range, and stays there."""
        setattr(self, name, nn.Parameter(torch.empty(self.num_neurons).uniform_(low, high)))
        if stays:
            self.ranges[name] = low, high


def check_range(
    name: str, values: tuple[float, float], time_step_ms: float | None = None
) -> tuple[float, float]:
    """A range of two numbers, the lower one first; times at least as long as a step.

    Raises:
        InputError: If it is none.
    """
    low, high = values
    if not -math.inf < low <= high < math.inf:
        raise InputError(f"`{name}` must be a range from its lower to its upper end, got {list(values)}.")
    if time_step_ms is not None and low < time_step_ms:
        raise InputError(
            f"`{name}` must be at least one time step ({time_step_ms:g} ms), got {list(values)}; raise its"
            " lower end, or take shorter steps."
        )
    return low, high
