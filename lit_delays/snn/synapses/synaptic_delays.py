r"""A layer whose synapses have a weight and a delay each: the paper's.

.. math:: \kappa_{k,o,i} = \sum_s w_{o,i,s}\; \mathrm{taps}_k(d_{o,i,s}, \sigma)

Shape letters: O outputs, I inputs, S synapses per pair, K lags.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.delays import Rounding, Start, Uniform, require_rounding, rounded
from lit_delays.snn.kernels import INTERPOLATION, Gaussian, Kernel, Triangle, one_tap_kernel, soft_kernel
from lit_delays.snn.sparse_sum import FewSynapses
from lit_delays.snn.synapses.base import MOST_LAGS, DelayMode, Synapses, require_sizes, window
from lit_delays.snn.synapses.free_window import follow, lags_that_hold


class SynapticDelays(Synapses):
    """Synapses with a weight and a delay each.

    In training a learned delay is soft: the weight is spread by a kernel of width ``sigma`` around it, so
    that the delay has a gradient. In evaluation the layer is the deployed one: delays are rounded to whole
    time steps, one tap each; no parameter is touched. Call :meth:`constrain` after every optimiser step.

    Args:
        num_inputs: Number of inputs, ``I``.
        num_outputs: Number of target neurons, ``O``.
        time_step_ms: Length of a time step, in ms.
        delays: ``learned``; ``fixed`` at random whole steps; ``none`` (a plain linear layer, no window).
        max_delay_ms: Delay window in ms, at least one time step; rounded down to steps, then up to an odd
            number of them, as the reference does (300 ms at 10 ms: 31 lags, 0 to 300 ms). Null for no limit:
            the window follows the delays, and so does its cost; give ``--sigma.start`` then.
        num_synapses: Synapses per pair of neurons, ``S``, each with a weight and a delay.
        fan_in: Random synapses that each neuron keeps, at most ``I * S``; null keeps all.
        kernel: Shape of the soft delays in training.
        start: Where delays start; null for anywhere in the window (the paper).
        rounding: Of learned delays in training: ``none``; ``snap`` (whole at the start of every epoch);
            ``straight_through`` (whole in every step, with the gradient of the delay itself); ``stochastic``
            (as that, up or down by chance, so that the mean is right).
        keep_length: Whether layers keep the number of time steps. If not, each adds half its window (the
            paper), so that the answer can wait for late inputs.

    Attributes:
        weight: Shape ``(O, I, S)``.
        delay: In time steps, shape ``(O, I, S)``; a parameter if learned, a buffer if fixed, else None.
        mask: True where a synapse exists, shape ``(O, I, S)``, or None where all do.

    Raises:
        InputError: If a size is below 1, or ``max_delay_ms`` or ``fan_in`` is out of its range.

    Source:
        Hammouamri et al. (2023), Sec. 3.2, and its reference code: weights uniform after He et al. (2015),
        delays uniform in ``[0, K]`` and then clamped, so a few start at the longest delay.
        ``fan_in`` counts synapses exactly, where the reference drops each with a probability. As there, the
        weights start as if none was missing: larger ones would learn slower, as Adam's steps do not grow
        with them.

    Example:
        >>> layer = SynapticDelays(2, 1, 10.0, max_delay_ms=50.0).eval()
        >>> with torch.no_grad():
        ...     _ = layer.weight.fill_(1.0), layer.delay.copy_(torch.tensor([[[0.2], [2.9]]]))
        >>> layer(torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(2, 1, 2)).flatten()  # one spike each, at step 0
        tensor([1., 0., 0., 1.], grad_fn=<ViewBackward0>)
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        time_step_ms: float,
        *,
        delays: DelayMode = "learned",
        max_delay_ms: float | None = 250.0,
        num_synapses: int = 1,
        fan_in: int | None = None,
        kernel: Callable[[], Kernel] = Gaussian,
        start: Callable[[], Start] | None = None,
        rounding: Rounding = "none",
        keep_length: bool = False,
    ) -> None:
        require_rounding(rounding)
        num_lags = 1 if max_delay_ms is None else window(max_delay_ms, time_step_ms)
        super().__init__(
            num_inputs,
            num_outputs,
            num_lags=1 if delays == "none" else num_lags,
            keep_length=keep_length,
        )
        require_sizes(num_synapses=num_synapses)
        shape = (num_outputs, num_inputs, num_synapses)
        self.delays, self.kernel, self.rounding = delays, kernel(), rounding
        self.window_is_free = max_delay_ms is None and delays != "none"
        self.weight = nn.Parameter(_random_weight(shape))
        self.register_buffer("mask", None if fan_in is None else _random_mask(shape, fan_in))
        if start is None and not self.window_is_free:
            self._add_delay(torch.empty(shape).uniform_(0, num_lags).clamp_(max=num_lags - 1))
        else:
            self._add_delay((start or Uniform)().draw_ms(shape) / time_step_ms)
        self.constrain()
        self.sigma.fill_(self.num_lags / 2)

    def _add_delay(self, delay: Tensor) -> None:
        if self.delays == "learned":
            self.delay = nn.Parameter(delay)
        else:
            self.register_buffer("delay", delay.round() if self.delays == "fixed" else None)

    def extra_repr(self) -> str:  # noqa: D102
        sizes = f"{self.num_inputs} -> {self.num_outputs}, num_synapses={self.weight.shape[2]}"
        return f"{sizes}, {self.delays} delays, num_lags={self.num_lags}"

    @property
    def min_sigma(self) -> float:  # noqa: D102
        return self.kernel.min_sigma

    def dense_kernel(self) -> Tensor:  # noqa: D102
        if self.delay is None:
            return self.weight.sum(dim=-1).unsqueeze(0)
        if not self.training:
            return one_tap_kernel(self.weight, self.delay, self.num_lags)
        return self._soft_kernel(self.weight, self.delay)

    def few(self) -> FewSynapses | None:  # noqa: D102
        is_own = type(self).dense_kernel is SynapticDelays.dense_kernel  # a subclass has another kernel
        if self.mask is None or self.delay is None or not (self.training and is_own):
            return None
        if self.mask.is_cuda or 4 * (most := self._most_synapses()) > self.mask[0].numel():
            return None  # a GPU would wait to be looked at; more than a quarter cost as much as all
        # where a neuron has fewer than others, synapses of no weight are added
        existing = self.mask.flatten(1).byte().argsort(dim=1, descending=True, stable=True)[:, :most]
        weight = self.weight * self.mask  # so that these have no gradient
        weight, delay = (values.flatten(1).gather(1, existing) for values in (weight, self.delay))
        taps = self._soft_kernel(weight.unsqueeze(-1), delay.unsqueeze(-1))
        return FewSynapses(taps, existing // self.weight.shape[2])

    def _most_synapses(self) -> int:
        assert self.mask is not None
        return int(self.mask.flatten(1).sum(dim=1).max())

    def _soft_kernel(self, weight: Tensor, delay: Tensor) -> Tensor:
        """That of training, of any synapses of this layer."""
        if self.delays == "fixed":  # whole steps already: as deployed, but for the kernels' epsilon
            one_step = torch.full_like(self.sigma, INTERPOLATION)
            return soft_kernel(weight, delay, one_step, self.num_lags, Triangle())
        delay, num_lags = rounded(delay, self.rounding), self.num_lags
        if self.window_is_free:
            num_lags = lags_that_hold(self, delay, self.kernel, self.sigma)
        return soft_kernel(weight, delay, self.sigma, num_lags, self.kernel)

    @torch.no_grad()
    def snap(self) -> None:  # noqa: D102
        if self.rounding == "snap" and self.learns_delays:
            self.delay.round_()  # type: ignore[union-attr]

    @torch.no_grad()
    def constrain(self) -> None:
        """Clamp delays into their range and silence the synapses that do not exist."""
        if self.window_is_free and self.delay is not None:
            follow(self, self.delay.clamp_(0, MOST_LAGS - 1))
        else:
            super().constrain()
        if self.mask is not None:
            self.weight.mul_(self.mask)

    @torch.no_grad()
    def whole_delays(self) -> tuple[Tensor, Tensor]:  # noqa: D102
        if type(self).dense_kernel is not SynapticDelays.dense_kernel:  # a subclass has another kernel
            return super().whole_delays()
        delay = torch.zeros_like(self.weight) if self.delay is None else self.delay
        return self.weight.detach(), delay.detach().round().long()


def _random_weight(shape: tuple[int, int, int]) -> Tensor:
    bound = (6.0 / (shape[1] * shape[2])) ** 0.5
    return torch.empty(shape).uniform_(-bound, bound)


def _random_mask(shape: tuple[int, int, int], fan_in: int) -> Tensor:
    possible = shape[1] * shape[2]
    if not 1 <= fan_in <= possible:
        raise InputError(
            f"`fan_in` must be between 1 and the {possible} possible synapses of a neuron (or null for all),"
            f" got {fan_in}."
        )
    order = torch.rand(shape).flatten(1).argsort(dim=1).argsort(dim=1)
    return (order < fan_in).view(shape)
