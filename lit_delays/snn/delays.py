r"""A layer whose synapses have a weight and a delay.

.. math:: y_o[t] = \sum_i \sum_s w_{o,i,s} \sum_k \mathrm{taps}_k(d_{o,i,s}, \sigma)\, x_i[t-k]

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, S synapses per pair, K lags.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.convolution import delayed_sum
from lit_delays.snn.kernels import INTERPOLATION, KERNELS, KernelName, deployed_kernel, one_tap, soft_kernel

DelayMode = Literal["learned", "fixed", "none"]


class DelayedLinear(nn.Module):
    r"""Linear layer with a delay on every synapse.

    In training a learned delay is soft: the weight is spread by a kernel of width ``sigma`` around it, so
    that the delay has a gradient. In evaluation the layer is the deployed one: delays are rounded to whole
    time steps, one tap each; no parameter is touched. Call :meth:`constrain` after every optimiser step.

    Args:
        num_inputs: Number of inputs, ``I``.
        num_outputs: Number of target neurons, ``O``.
        max_delay: Number of lags ``K``; delays lie in ``[0, max_delay - 1]`` time steps.
        num_synapses: Synapses per pair of neurons, ``S``; each has a weight and a delay of its own.
        delays: ``learned``; ``fixed`` at random whole steps; ``none`` (a plain linear layer, no window).
        kernel: Shape of the soft delay, ``gaussian``, ``triangle`` or ``laplace``.
        fan_in: Random synapses that each neuron keeps, at most ``I * S``; None keeps all.
        keep_length: Whether the output has as many steps as the input. If not, half a window is added
            (the paper), so that late inputs still arrive.

    Attributes:
        weight: Shape ``(O, I, S)``.
        delay: In time steps, shape ``(O, I, S)``; a parameter if learned, a buffer if fixed, else None.
        sigma: Width of the soft delays in time steps, a scalar buffer that a schedule sets.
        mask: True where a synapse exists, shape ``(O, I, S)``, or None where all do.

    Shape:
        Input ``(T, B, I)``, output ``(T', B, O)`` with ``T' = T + (max_delay - 1) // 2``, or ``T``
        where ``keep_length``.

    Raises:
        InputError: If a size is below 1, or ``fan_in`` is out of its range.

    Source:
        Hammouamri et al. (2023), Sec. 3.2, and its reference code: weights uniform after He et al. (2015),
        delays uniform in ``[0, max_delay]`` and then clamped, so a few start at the longest delay.
        ``fan_in`` counts synapses exactly, where the reference drops each with a probability. As there, the
        weights start as if none was missing: larger ones would learn slower, as Adam's steps do not grow
        with them.

    Example:
        >>> layer = DelayedLinear(2, 1, max_delay=5).eval()
        >>> with torch.no_grad():
        ...     _ = layer.weight.fill_(1.0), layer.delay.copy_(torch.tensor([[[0.2], [2.9]]]))
        >>> layer(torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(2, 1, 2)).flatten()  # one spike each, at step 0
        tensor([1., 0., 0., 1.], grad_fn=<ViewBackward0>)
    """

    sigma: Tensor
    mask: Tensor | None

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        *,
        max_delay: int,
        num_synapses: int = 1,
        delays: DelayMode = "learned",
        kernel: KernelName = "gaussian",
        fan_in: int | None = None,
        keep_length: bool = False,
    ) -> None:
        super().__init__()
        shape = (num_outputs, num_inputs, num_synapses)
        _check_sizes(*shape, max_delay, fan_in)
        self.max_delay = 1 if delays == "none" else max_delay
        self.delays, self.kernel, self.keep_length = delays, kernel, keep_length
        self.weight = nn.Parameter(_random_weight(shape))
        self.register_buffer("mask", None if fan_in is None else _random_mask(shape, fan_in))
        self.register_buffer("sigma", torch.tensor(max_delay / 2.0))
        self._add_delay(_random_delay(shape, max_delay))
        self.constrain()

    def _add_delay(self, delay: Tensor) -> None:
        self.delay: Tensor | None
        if self.delays == "learned":
            self.delay = nn.Parameter(delay)
        else:
            self.register_buffer("delay", delay.round() if self.delays == "fixed" else None)

    def extra_repr(self) -> str:  # noqa: D102
        (num_outputs, num_inputs, num_synapses) = self.weight.shape
        return f"{num_inputs} -> {num_outputs}, {num_synapses=}, {self.delays} delays, {self.max_delay=}"

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        added = 0 if self.keep_length else (self.max_delay - 1) // 2
        current: Tensor = delayed_sum(x, self.dense_kernel(), x.shape[0] + added)
        return current

    def dense_kernel(self) -> Tensor:
        """Weight of every lag, shape ``(K, O, I)``: soft in training, one tap a synapse in evaluation."""
        if self.delay is None:
            return self.weight.sum(dim=-1).unsqueeze(0)
        if not self.training:
            return deployed_kernel(self.weight, self.delay, self.max_delay)
        return soft_kernel(self.weight, self.delay, *self._soft())

    def taps(self) -> Tensor:
        """Share of the weight at every lag, shape ``(K, O, I, S)``: to look at, and a reference."""
        if self.delay is None:
            return torch.ones_like(self.weight).unsqueeze(0)
        if not self.training:
            return one_tap(self.delay, self.max_delay)
        sigma, max_delay, name = self._soft()
        return KERNELS[name](self.delay, sigma, max_delay)

    def _soft(self) -> tuple[Tensor, int, KernelName]:
        if self.delays == "fixed":  # whole steps already: as deployed, but for the kernels' epsilon
            return torch.full_like(self.sigma, INTERPOLATION), self.max_delay, "triangle"
        return self.sigma, self.max_delay, self.kernel

    @torch.no_grad()
    def constrain(self) -> None:
        """Clamp delays into their range and silence the synapses that do not exist."""
        if self.delay is not None:
            self.delay.clamp_(0, self.max_delay - 1)
        if self.mask is not None:
            self.weight.mul_(self.mask)


def _check_sizes(
    num_outputs: int, num_inputs: int, num_synapses: int, max_delay: int, fan_in: int | None
) -> None:
    sizes = {
        "num_outputs": num_outputs,
        "num_inputs": num_inputs,
        "num_synapses": num_synapses,
        "max_delay": max_delay,
    }
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"`{name}` must be at least 1, got {size}.")
    if fan_in is not None and not 1 <= fan_in <= num_inputs * num_synapses:
        raise InputError(
            f"`fan_in` must be between 1 and the {num_inputs * num_synapses} possible synapses of a neuron"
            f" (or null for all), got {fan_in}."
        )


def _random_weight(shape: tuple[int, int, int]) -> Tensor:
    bound = (6.0 / (shape[1] * shape[2])) ** 0.5
    return torch.empty(shape).uniform_(-bound, bound)


def _random_delay(shape: tuple[int, int, int], max_delay: int) -> Tensor:
    return torch.empty(shape).uniform_(0, max_delay).clamp_(max=max_delay - 1)


def _random_mask(shape: tuple[int, int, int], fan_in: int) -> Tensor:
    order = torch.rand(shape).flatten(1).argsort(dim=1).argsort(dim=1)
    return (order < fan_in).view(shape)
