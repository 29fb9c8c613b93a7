r"""Synapses with a weight each, whose delays follow a rule: by source, by target, by position, ...

.. math:: \kappa_{k,o,i} = w_{o,i}\; \mathrm{taps}_k(d_{o,i}, \sigma)

Where all synapses of a source have one delay, its inputs are delayed once and then weighed; where all of a
target have one, inputs are weighed first. Both are much cheaper than a kernel for every pair.
Shape letters: O outputs, I inputs, K lags.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.delays import Delays, SummedDelays
from lit_delays.snn.kernels import Gaussian, Kernel, one_tap_kernel, soft_kernel
from lit_delays.snn.synapses.base import MOST_LAGS, Separated, Synapses, window
from lit_delays.snn.synapses.free_window import follow, lags_that_hold


class StructuredDelays(Synapses):
    """Synapses with a weight each, and delays that follow a rule.

    In training learned delays are soft, as in :class:`~.synaptic_delays.SynapticDelays`; in evaluation they
    are whole time steps. Fixed ones are whole in both.

    Args:
        num_inputs: Number of inputs, ``I``.
        num_outputs: Number of target neurons, ``O``.
        time_step_ms: Length of a time step, in ms.
        delays: The rule: what is learned, what is fixed, and where it starts.
        max_delay_ms: Longest delay in ms, as of ``SynapticDelays``; null for no limit: the window follows
            the delays, and so does its cost.
        kernel: Shape of the soft delays in training.
        learn_spread: Whether every source learns the width of its soft delays, between 0 and twice the
            ``sigma`` of the schedule, which so still goes to its end.
        keep_length: As of ``SynapticDelays``.

    Attributes:
        weight: Shape ``(O, I)``.
        delays: The rule, a module.
        spread: Where it is learned: a width is ``2 sigma sigmoid(spread)``, shape ``(I,)``.

    Raises:
        InputError: If a size is below 1, ``max_delay_ms`` is out of its range, the kernel would not fit, or a
            spread is to be learned where no delay is.

    Source:
        Learned spread: Queant et al. (2025), https://arxiv.org/abs/2509.24852.

    Example:
        >>> StructuredDelays(3, 2, 10.0, max_delay_ms=50.0)(torch.zeros(8, 1, 3)).shape
        torch.Size([10, 1, 2])
    """

    parameter_groups: ClassVar[Mapping[str, str]] = {"spread": "delays"}

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        time_step_ms: float,
        *,
        delays: Callable[[int, int | None, float], Delays] = SummedDelays,
        max_delay_ms: float | None = 250.0,
        kernel: Callable[[], Kernel] = Gaussian,
        learn_spread: bool = False,
        keep_length: bool = False,
    ) -> None:
        lags = 1 if max_delay_ms is None else window(max_delay_ms, time_step_ms)
        super().__init__(num_inputs, num_outputs, num_lags=lags, keep_length=keep_length)
        self.kernel = kernel()
        self.window_is_free = max_delay_ms is None
        bound = (6.0 / num_inputs) ** 0.5
        self.weight = nn.Parameter(torch.empty(num_outputs, num_inputs).uniform_(-bound, bound))
        self.delays = self._make_delays(delays, time_step_ms)
        if learn_spread and not self.learns_delays:
            raise InputError("`learn_spread` needs delays that are learned; set `learned` of `delays`.")
        self.spread = nn.Parameter(torch.zeros(num_inputs)) if learn_spread else None
        self.constrain()
        self.sigma.fill_(self.num_lags / 2)

    def _make_delays(self, delays: Callable[[int, int | None, float], Delays], step_ms: float) -> Delays:
        return delays(self.num_inputs, self.num_outputs, step_ms)

    def extra_repr(self) -> str:  # noqa: D102
        return f"{self.num_inputs} -> {self.num_outputs}, num_lags={self.num_lags}"

    @property
    def learns_delays(self) -> bool:  # noqa: D102
        return self.delays.are_learned

    @property
    def learned_delay(self) -> Tensor | None:  # noqa: D102
        return self.delays.exact() if self.learns_delays else None

    @property
    def min_sigma(self) -> float:  # noqa: D102
        return self.kernel.min_sigma

    def dense_kernel(self) -> Tensor:  # noqa: D102
        delay = self.delays().expand_as(self.weight)
        if self._is_soft and self.spread is None:
            weight, delay = self.weight.unsqueeze(-1), delay.unsqueeze(-1)
            return soft_kernel(weight, delay, self.sigma, self._lags(delay), self.kernel)
        return self.weight * self._taps(delay)

    def separated(self) -> Separated | None:  # noqa: D102
        delay = self.delays()
        if delay.shape[0] == 1:  # one for all targets
            return Separated(self.weight, source=self._taps(delay.expand(1, self.num_inputs)[0]))
        if delay.shape[1] == 1 and self.spread is None:
            return Separated(self.weight, target=self._taps(delay[:, 0]))
        return None

    @property
    def _is_soft(self) -> bool:
        return self.training and self.learns_delays

    def _taps(self, delay: Tensor) -> Tensor:
        """Weight of every lag around delays ``(..., I)``, shape ``(K, ..., I)``."""
        if self._is_soft:
            return self.kernel.taps(delay, self._width(), self._lags(delay))
        return one_tap_kernel(torch.ones_like(delay).unsqueeze(-1), delay.unsqueeze(-1), self.num_lags)

    def _width(self) -> Tensor:
        return self.sigma if self.spread is None else 2 * self.sigma * torch.sigmoid(self.spread)

    def _lags(self, delay: Tensor) -> int:
        """Lags that hold the soft delays: all of the window, or as far as the kernels reach."""
        if not self.window_is_free:
            return self.num_lags
        return lags_that_hold(self, delay, self.kernel, self._width())

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring the delays into their window, or the window to the delays."""
        self.delays.constrain(MOST_LAGS - 1 if self.window_is_free else self.num_lags - 1)
        if self.window_is_free:
            follow(self, self.delays.exact())

    def snap(self) -> None:  # noqa: D102
        if self.delays.rounding == "snap":
            self.delays.snap()

    @torch.no_grad()
    def whole_delays(self) -> tuple[Tensor, Tensor]:  # noqa: D102
        if type(self).dense_kernel is not StructuredDelays.dense_kernel:  # a subclass has another kernel
            return super().whole_delays()
        delay = self.delays.exact().round().expand_as(self.weight)
        return self.weight.detach().unsqueeze(-1), delay.long().unsqueeze(-1)
