r"""What every kind of synapses is: a weight for every lag between each input and each neuron.

.. math:: y_o[t] = b_o + \sum_i \sum_{k=0}^{K-1} \kappa_{k,o,i}\; x_i[t-k]

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, S synapses per pair, K lags.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.separated_sum import separated_sum
from lit_delays.snn.sparse_sum import FewSynapses, sparse_sum
from lit_delays.time_grid import TimeGrid

MOST_LAGS = 2**15  # that delays in int16 can reach over

DelayMode = Literal["learned", "fixed", "none"]


class Separated(NamedTuple):
    """A kernel that is a product, so that inputs, or sums, need to be delayed only once.

    Attributes:
        weight: Shape ``(O, I)``.
        source: Taps of every input, shape ``(K, I)``, or None.
        target: Taps of every neuron, shape ``(K, O)``, or None: one of the two is given.
    """

    weight: Tensor
    source: Tensor | None = None
    target: Tensor | None = None


class Synapses(nn.Module, ABC):
    """The synapses between two layers.

    A subclass has parameters and writes :meth:`dense_kernel`; the sum over time, the deployed form and the
    step-by-step form follow from it. A parameter named ``delay`` is clamped into the window; one named
    ``bias``, shape ``(O,)``, is a current of every neuron in every step, also those that the layer adds.

    Args:
        num_inputs: Number of inputs, ``I``.
        num_outputs: Number of target neurons, ``O``.
        num_lags: Number of lags ``K``; delays lie in ``[0, num_lags - 1]`` time steps.
        keep_length: Whether the output has as many steps as the input. If not, half a window is added
            (the paper), so that late inputs still arrive.

    Attributes:
        sigma: Width of the soft delays in time steps, a scalar buffer that a schedule sets.
        window_is_free: Whether the window follows the delays, so that ``num_lags`` changes with them.
        parameter_groups: The optimiser's group of a parameter, by its name: ``weights`` where it is not
            said, ``norms`` or ``delays``.

    Shape:
        Input ``(T, B, I)``, output ``(T', B, O)`` with ``T' = T + (num_lags - 1) // 2``, or ``T`` where
        ``keep_length``.

    Raises:
        InputError: If a size is below 1, or a subclass writes ``forward``, which would not ship.
    """

    # what else a class takes are options
    made_for: ClassVar[tuple[str, ...]] = ("num_inputs", "num_outputs", "time_step_ms")
    parameter_groups: ClassVar[Mapping[str, str]] = {"delay": "delays"}
    delay: Tensor | None
    mask: Tensor | None
    bias: Tensor | None
    sigma: Tensor

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.forward is not Synapses.forward:
            raise InputError(
                f"`{cls.__name__}` must write `dense_kernel`, not `forward`, which does not ship; a current"
                " of every step is a parameter `bias`."
            )

    def __init__(
        self, num_inputs: int, num_outputs: int, *, num_lags: int, keep_length: bool = False
    ) -> None:
        super().__init__()
        require_sizes(num_inputs=num_inputs, num_outputs=num_outputs, num_lags=num_lags)
        self.num_inputs, self.num_outputs = num_inputs, num_outputs
        self.num_lags, self.keep_length = num_lags, keep_length
        self.register_buffer("sigma", torch.tensor(num_lags / 2.0))
        self.window_is_free = False
        self.register_load_state_dict_post_hook(_constrain)  # type: ignore[no-untyped-call]

    @abstractmethod
    def dense_kernel(self) -> Tensor:
        """Weight of every lag, shape ``(K, O, I)``: soft in training, at whole lags in evaluation."""

    def separated(self) -> "Separated | None":
        """Weights, and taps by input or by neuron, where the kernel is their product; None for all others."""
        return None

    def few(self) -> FewSynapses | None:
        """Taps of the synapses that exist, where most do not, in training; None where all are summed."""
        return None

    @property
    def learns_delays(self) -> bool:
        """Whether there are delays to learn, so that ``sigma`` has a meaning."""
        return isinstance(getattr(self, "delay", None), nn.Parameter)

    @property
    def learned_delay(self) -> Tensor | None:
        """Learned delays before any rounding, in time steps, of any shape; None where none are learned."""
        return getattr(self, "delay", None) if self.learns_delays else None

    @property
    def delay_kind(self) -> DelayMode:
        """In one word, for tables: whether delays are learned, fixed, or none."""
        return "learned" if self.learns_delays else "fixed" if self.num_lags > 1 else "none"

    @property
    def min_sigma(self) -> float:
        """Narrowest width in time steps that the soft delays allow."""
        return 0.0

    @property
    def extra_steps(self) -> int:
        """Steps by which the output outlasts the input."""
        return 0 if self.keep_length else (self.num_lags - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Summed currents of all neurons, shape ``(T', B, O)``, for input ``(T, B, I)``."""
        num_steps = len(x) + self.extra_steps
        if (parts := self.separated()) is not None:
            return self._biased(separated_sum(x, *parts, num_steps))
        if (few := self.few()) is not None:
            return self._biased(sparse_sum(x, *few, num_steps))
        return self._biased(delayed_sum(x, self.dense_kernel(), num_steps))

    def _biased(self, current: Tensor) -> Tensor:
        bias = getattr(self, "bias", None)
        return current if bias is None else current + bias

    def initial_ring(self, x: Tensor) -> Tensor:
        """Currents that are still to come, none: shape ``(B, K, O)`` for inputs ``(B, I)``."""
        return x.new_zeros(len(x), self.num_lags, self.num_outputs)

    def step(self, x: Tensor, ring: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: the currents ``(B, O)`` that are due, and those to come after it.

        Args:
            x: Input of this step, shape ``(B, I)``.
            ring: Currents to come, shape ``(B, K, O)``, the next ones first.
        """
        return self.due(ring + torch.einsum("bi,koi->bko", x, self.dense_kernel()))

    def due(self, ring: Tensor) -> tuple[Tensor, Tensor]:
        """The currents that are due, and the ring of those to come, one step on."""
        later = torch.cat([ring[:, 1:], torch.zeros_like(ring[:, :1])], dim=1)
        return self._biased(ring[:, 0]), later

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring every delay back into the window; called after each optimiser step."""
        if (delay := getattr(self, "delay", None)) is not None:
            delay.clamp_(0, self.num_lags - 1)

    def snap(self) -> None:
        """Make learned delays whole, where that is asked for; called before the first batch of an epoch."""

    @torch.no_grad()
    def whole_delays(self) -> tuple[Tensor, Tensor]:
        """Weights and whole delays in time steps, as deployed, both ``(O, I, S)``; weight 0 is no synapse."""
        was_training = self.training
        kernel = self.eval().dense_kernel()
        self.train(was_training)
        is_tap = kernel != 0
        num_taps = max(1, int(is_tap.sum(dim=0).max()))
        lags = is_tap.to(torch.uint8).argsort(dim=0, descending=True, stable=True)[:num_taps]
        weight = kernel.gather(0, lags)
        return weight.movedim(0, -1), (lags * (weight != 0)).movedim(0, -1)


def _constrain(synapses: Synapses, _: object) -> None:
    """A window that follows its delays belongs to those that have been read."""
    if synapses.window_is_free:
        synapses.constrain()


def window(max_delay_ms: float, time_step_ms: float) -> int:
    """Lags of a delay window: rounded down to steps, then up to an odd number, as the reference does.

    Raises:
        InputError: If the window is shorter than a time step, or too long for a delay as int16.

    Example:
        >>> window(300.0, 10.0), window(250.0, 10.0)
        (31, 25)
    """
    grid = TimeGrid(time_step_ms)
    grid.require("max_delay_ms", max_delay_ms)
    num_lags = grid.whole_steps(max_delay_ms) // 2 * 2 + 1
    if num_lags > MOST_LAGS:
        raise InputError(
            f"`max_delay_ms` must be at most {MOST_LAGS} time steps of {time_step_ms:g} ms, got"
            f" {max_delay_ms:g}."
        )
    return num_lags


def require_sizes(**sizes: int) -> None:
    """Refuse sizes below 1.

    Raises:
        InputError: If there is one.
    """
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"`{name}` must be at least 1, got {size}.")
