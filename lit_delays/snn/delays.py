r"""Delays of synapses, as sums of what source, target and pair of neurons add to them.

.. math:: d_{o,i} = a_i + b_o + s_{o,i} + l + f_{o,i}

with an axonal delay of every source, a dendritic one of every target, one of every pair, one of the layer,
and a frozen random offset; any of them may be missing. All are in time steps.
Shape letters: O targets, I sources, D dimensions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.time_grid import TimeGrid

DelayPart = Literal["axonal", "dendritic", "synaptic", "layer"]
Rounding = Literal["none", "snap", "straight_through", "stochastic"]

PARAMETERS = {
    "axonal": "axonal_delay",
    "dendritic": "dendritic_delay",
    "synaptic": "delay",
    "layer": "layer_delay",
}


class Start(ABC):
    """Where delays start."""

    @abstractmethod
    def draw_ms(self, shape: tuple[int, ...]) -> Tensor:
        """Random delays of at least 0 ms."""


@dataclass(frozen=True)
class Uniform(Start):
    """Delays that start anywhere between two ends.

    Args:
        low_ms: Shortest, in ms, at least 0.
        high_ms: Longest, in ms.

    Raises:
        InputError: If an end is negative, or they are upside down.

    Example:
        >>> Uniform(10.0, 10.0).draw_ms((2,))
        tensor([10., 10.])
    """

    low_ms: float = 0.0
    high_ms: float = 250.0

    def __post_init__(self) -> None:
        if not 0 <= self.low_ms <= self.high_ms < math.inf:
            raise InputError(
                "`start` must be a range of delays from `low_ms` to `high_ms`, both at least 0, got"
                f" {self.low_ms:g} to {self.high_ms:g}."
            )

    def draw_ms(self, shape: tuple[int, ...]) -> Tensor:  # noqa: D102
        return torch.empty(shape).uniform_(self.low_ms, self.high_ms)


@dataclass(frozen=True)
class HalfNormal(Start):
    r"""Delays that start as :math:`|\mathcal N(0, s)|`: many short ones, few long ones.

    Args:
        std_ms: :math:`s`, in ms, above 0; the mean delay is 0.8 of it.

    Raises:
        InputError: If it is not above 0.

    Example:
        >>> bool((HalfNormal(5.0).draw_ms((9,)) >= 0).all())
        True
    """

    std_ms: float = 50.0

    def __post_init__(self) -> None:
        if not 0 < self.std_ms < math.inf:
            raise InputError(f"`std_ms` must be above 0, as a negative delay is none, got {self.std_ms:g}.")

    def draw_ms(self, shape: tuple[int, ...]) -> Tensor:  # noqa: D102
        return torch.empty(shape).normal_(0, self.std_ms).abs_()


class Delays(nn.Module, ABC):
    """Delays of all pairs of neurons.

    In training they are as learned, or rounded as ``rounding`` says; in evaluation, and where nothing is
    learned, they are whole steps.

    Args:
        rounding: In training: ``none``; ``snap`` (whole at the start of every epoch); ``straight_through``
            (whole in every step, with the gradient of the delay itself); ``stochastic`` (as that, up or down
            by chance, so that the mean is right).

    Raises:
        InputError: If ``rounding`` is none of these.

    Shape:
        Output ``(O, I)``, or what broadcasts to it: ``(1, I)`` where all targets see one delay.
    """

    # what else a class takes are options
    made_for: ClassVar[tuple[str, ...]] = ("num_sources", "num_targets", "time_step_ms")
    parameter_groups: ClassVar[Mapping[str, str]] = {}

    def __init__(self, rounding: Rounding = "none") -> None:
        super().__init__()
        require_rounding(rounding)
        self.rounding = rounding

    @abstractmethod
    def exact(self) -> Tensor:
        """Delays before any rounding."""

    @abstractmethod
    def constrain(self, longest: float) -> None:
        """Bring what is learned back, so that every delay lies in ``[0, longest]``."""

    def forward(self) -> Tensor:
        """Delays as they act now."""
        delay = self.exact()
        if not (self.training and self.are_learned):
            return delay.round()
        return rounded(delay, self.rounding)

    @property
    def are_learned(self) -> bool:
        """Whether there is anything to learn."""
        return any(True for _ in self.parameters())

    @torch.no_grad()
    def snap(self) -> None:
        """Round what is learned to whole steps."""
        for parameter in self.parameters():
            parameter.round_()


def require_rounding(rounding: str) -> None:
    """Refuse a rounding that there is not.

    Raises:
        InputError: If it is unknown.
    """
    if rounding not in get_args(Rounding):
        raise InputError(
            f"`rounding` must be none, snap, straight_through or stochastic, got {rounding!r:.80}."
        )


def rounded(delay: Tensor, rounding: Rounding) -> Tensor:
    """Delays as training sees them, with the gradient of the delays themselves.

    Source:
        Straight-through and stochastic: as compared for recurrent delays by Queant et al. (2025),
        https://arxiv.org/abs/2509.24852, and its later code.

    Example:
        >>> rounded(torch.tensor([0.4, 2.7]), "straight_through")
        tensor([0., 3.])
    """
    match rounding:
        case "straight_through":
            return delay + (delay.round() - delay).detach()
        case "stochastic":
            return delay + ((delay + torch.rand_like(delay)).floor() - delay).detach()
    return delay


class SummedDelays(Delays):
    """Delays that are the sum of parts.

    Args:
        num_sources: Source neurons, ``I``.
        num_targets: Target neurons, ``O``; None where the sources are the targets, in a recurrent layer.
        time_step_ms: Length of a time step, in ms.
        learned: Parts that are learned: ``axonal``, ``dendritic``, ``synaptic``, ``layer``.
        fixed: Parts that stay as they were drawn, at whole steps.
        offset_ms: Longest frozen offset of a pair, in ms: each is drawn from 0 to this. With learned axonal
            delays: hybrid ones, as few to learn and as many different ones.
        start: What the sum of all parts starts from.
        rounding: As of :class:`Delays`.

    Attributes:
        axonal_delay: Of every source, shape ``(I,)``; like the others a parameter if learned, else a buffer.
        dendritic_delay: Of every target, shape ``(O,)``.
        delay: Of every pair, shape ``(O, I)``.
        layer_delay: Of all, a scalar.
        offset: Of every pair, shape ``(O, I)``, or ``(1, 1)`` and 0.

    Raises:
        InputError: If a part is unknown or named twice, or the offset is negative.

    Source:
        Axonal and dendritic: Bouhadjar et al. (2025). Hybrid: the frozen integer offsets of a fork of DelRec.

    Example:
        >>> delays = SummedDelays(3, 2, 10.0, start=lambda: Uniform(20.0, 20.0))
        >>> delays()
        tensor([[2., 2., 2.]], grad_fn=<AddBackward0>)
    """

    parameter_groups: ClassVar[Mapping[str, str]] = dict.fromkeys(PARAMETERS.values(), "delays")
    offset: Tensor

    def __init__(
        self,
        num_sources: int,
        num_targets: int | None,
        time_step_ms: float,
        *,
        learned: tuple[DelayPart, ...] = ("axonal",),
        fixed: tuple[DelayPart, ...] = (),
        offset_ms: float = 0.0,
        start: Callable[[], Start] = Uniform,
        rounding: Rounding = "none",
    ) -> None:
        super().__init__(rounding)
        num_targets = num_sources if num_targets is None else num_targets
        grid, self.parts = TimeGrid(time_step_ms), (*learned, *fixed)
        if set(self.parts) - PARAMETERS.keys() or len(set(self.parts)) < len(self.parts):
            raise InputError(
                f"parts of a delay must be different ones of {', '.join(PARAMETERS)}, got {list(self.parts)}."
            )
        shapes = {
            "axonal": (num_sources,),
            "dendritic": (num_targets,),
            "synaptic": (num_targets, num_sources),
            "layer": (),
        }
        for part in self.parts:
            drawn = start().draw_ms(shapes[part]) / time_step_ms / len(self.parts)
            if part in learned:
                setattr(self, PARAMETERS[part], nn.Parameter(drawn))
            else:
                self.register_buffer(PARAMETERS[part], drawn.round())
        if not 0 <= offset_ms < math.inf:
            raise InputError(
                f"`offset_ms` must be at least 0, as a negative delay is none, got {offset_ms:g}."
            )
        self.longest_offset = grid.whole_steps(offset_ms) if offset_ms else 0
        shape = shapes["synaptic"] if self.longest_offset else (1, 1)
        self.register_buffer("offset", torch.randint(0, self.longest_offset + 1, shape).float())

    def exact(self) -> Tensor:  # noqa: D102
        total: Tensor = self.offset
        for part in self.parts:
            value = getattr(self, PARAMETERS[part])
            total = total + (value.unsqueeze(-1) if part == "dendritic" else value)
        return total

    @torch.no_grad()
    def constrain(self, longest: float) -> None:  # noqa: D102
        share = max(longest - self.longest_offset, 0) / max(len(self.parts), 1)
        for parameter in self.parameters():
            parameter.clamp_(0, share)


class DistanceDelays(Delays):
    """Delays that are distances between neurons, which have learned positions.

    Args:
        num_sources: Source neurons, ``I``.
        num_targets: Target neurons, ``O``; None where the sources are the targets, as in a recurrent layer.
        time_step_ms: Length of a time step, in ms.
        num_dimensions: Dimensions of the space, ``D``.
        start: Coordinates are drawn from this.
        rounding: As of :class:`Delays`.

    Attributes:
        source_position: In time steps of travel, shape ``(I, D)``.
        target_position: Shape ``(O, D)``, or None.

    Source:
        Mészáros et al. (2025), https://arxiv.org/abs/2511.01632.

    Example:
        >>> delays = DistanceDelays(3, 2, 10.0, start=lambda: Uniform(0.0, 50.0))
        >>> delays().shape
        torch.Size([2, 3])
    """

    parameter_groups: ClassVar[Mapping[str, str]] = {
        "source_position": "delays",
        "target_position": "delays",
    }

    def __init__(
        self,
        num_sources: int,
        num_targets: int | None,
        time_step_ms: float,
        *,
        num_dimensions: int = 2,
        start: Callable[[], Start] = Uniform,
        rounding: Rounding = "none",
    ) -> None:
        super().__init__(rounding)
        if num_dimensions < 1:
            raise InputError(f"`num_dimensions` must be at least 1, got {num_dimensions}.")
        self.source_position = nn.Parameter(start().draw_ms((num_sources, num_dimensions)) / time_step_ms)
        own = None if num_targets is None else start().draw_ms((num_targets, num_dimensions)) / time_step_ms
        self.target_position = None if own is None else nn.Parameter(own)

    def exact(self) -> Tensor:  # noqa: D102
        source = self.source_position
        target = source if self.target_position is None else self.target_position
        square = (target.unsqueeze(1) - source).square().sum(dim=-1)
        return torch.where(square > 0, square, 1).sqrt() * (square > 0)  # the root has no slope at 0

    @torch.no_grad()
    def constrain(self, longest: float) -> None:
        """Into a cube whose diagonal is the longest delay."""
        side = longest / math.sqrt(self.source_position.shape[1])
        for position in self.parameters():
            position.clamp_(0, side)
