"""Augmentations of training batches: warps, noise, masks and CutMix, on the device that holds the counts.

Pure functions of counts, labels and a generator of random numbers.

Shape letters: T time steps, B samples, N channels, C classes.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lit_delays.data.batches import DenseBatch
from lit_delays.data.warps import drop_events, jitter_times, scale_values, shift_channels, stretch_time
from lit_delays.errors import InputError
from lit_delays.time_grid import TimeGrid


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What is done to the batches of training, in this order; nothing by default, as in the paper.

    Args:
        scale: Gain of another sensor: a sample is multiplied by 1 / (1 + ``scale``) to 1 + ``scale``, at
            least 0. For real inputs; counts become real, too.
        channel_shift: Most channels by which a whole sample moves up or down, another voice; at least 0.
        time_stretch: Pace of another speaker: a sample takes 1 / (1 + ``time_stretch``) to 1 +
            ``time_stretch`` of its time, at least 0; what no longer fits the batch is lost.
        time_jitter_ms: Standard deviation of the normal noise that moves spikes in time, in ms: 0 for none,
            else at least a tenth of a time step.
        drop_probability: Share of the steps of every channel that are silenced, in [0, 1).
        noise: Standard deviation of normal noise whose absolute value, rounded, is added to every count, at
            least 0. 0.25 adds a spike to 5 % of the counts, 0.15 to 0.1 %.
        time_mask_ms: Longest stretch that is silenced in all channels of a sample, in ms; 0 for none, else
            at least one time step.
        channel_mask: Most neighbouring input channels that are silenced for a whole sample; 0 for none.
        mask_probability: Share of the samples with a time mask, and of those with a channel mask, in [0, 1].
        cutmix_probability: Share of the samples of which a stretch comes from the next sample in the batch,
            with the label mixed by the share of time steps, in [0, 1].

    Raises:
        InputError: If a value is out of its range.

    Source:
        Noise, masks and CutMix are in the paper's code, switched off. Its masks are a step and a channel
        shorter and may be empty, and it never cuts into the last sample of a batch.
    """

    scale: float = 0.0
    channel_shift: int = 0
    time_stretch: float = 0.0
    time_jitter_ms: float = 0.0
    drop_probability: float = 0.0
    noise: float = 0.0
    time_mask_ms: float = 0.0
    channel_mask: int = 0
    mask_probability: float = 0.65
    cutmix_probability: float = 0.0

    def __post_init__(self) -> None:
        amounts = ("scale", "channel_shift", "time_stretch", "time_jitter_ms")
        for name in (*amounts, "noise", "time_mask_ms", "channel_mask"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "at least 0")
        for name in ("mask_probability", "cutmix_probability"):
            self._require(name, 0 <= getattr(self, name) <= 1, "in [0, 1]")
        self._require("drop_probability", 0 <= self.drop_probability < 1, "in [0, 1)")

    def check(self, grid: TimeGrid, num_inputs: int) -> None:
        """Refuse masks that do not fit the data.

        Raises:
            InputError: If a mask is shorter than a time step, or wider than all channels, or a shift or
                jitter has nothing to move.
        """
        fits = self.time_mask_ms == 0 or grid.steps(self.time_mask_ms) >= 1
        self._require("time_mask_ms", fits, f"0 or at least one time step ({grid.time_step_ms:g} ms)")
        jitter = grid.steps(self.time_jitter_ms)
        self._require("time_jitter_ms", jitter == 0 or jitter >= 0.1, "0 or at least a tenth of a time step")
        self._require("channel_mask", self.channel_mask <= num_inputs, f"at most {num_inputs} channels")
        self._require("channel_shift", self.channel_shift < num_inputs, f"below {num_inputs} channels")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InputError(f"`--data.augment.{name}` must be {rule}, got {getattr(self, name):g}.")

    @property
    def is_on(self) -> bool:
        """Whether anything is done."""
        return self.is_warping or any(
            (self.noise, self.time_mask_ms, self.channel_mask, self.cutmix_probability)
        )

    @property
    def is_warping(self) -> bool:
        """Whether samples are moved, stretched, thinned or scaled."""
        moved = (self.scale, self.channel_shift, self.time_stretch, self.time_jitter_ms)
        return any((*moved, self.drop_probability))


def augmented(
    counts: Tensor,
    labels: Tensor,
    config: AugmentConfig,
    *,
    num_classes: int,
    time_step_ms: float,
    generator: torch.Generator,
    lengths: Tensor | None = None,
) -> DenseBatch:
    """Do to a batch what the configuration says.

    Args:
        counts: Spikes per time step, sample and channel, shape ``(T, B, N)``.
        labels: Classes, shape ``(B,)``.
        config: What to do.
        num_classes: Number of classes.
        time_step_ms: Length of a time step, in ms.
        generator: Random numbers, on the device of the counts.
        lengths: Real steps of every sample, shape ``(B,)``; None where all are.
    """
    if config.is_warping:
        counts, lengths = _warped(counts, lengths, config, TimeGrid(time_step_ms), generator)
    if config.noise:
        counts = add_noise(counts, config.noise, generator)
    if config.time_mask_ms:
        longest = TimeGrid(time_step_ms).whole_steps(config.time_mask_ms)
        counts = mask_time(counts, longest, config.mask_probability, generator)
    if config.channel_mask:
        counts = mask_channels(counts, config.channel_mask, config.mask_probability, generator)
    if config.cutmix_probability:
        counts, labels = cut_mix(counts, labels, num_classes, config.cutmix_probability, generator)
        lengths = None if lengths is None else torch.maximum(lengths, lengths.roll(-1))
    return DenseBatch(counts, labels, lengths)


def _warped(
    counts: Tensor, lengths: Tensor | None, config: AugmentConfig, grid: TimeGrid, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    real = lengths
    if real is None:
        real = torch.full(counts.shape[1:2], len(counts), device=counts.device)
    if config.scale:
        counts = scale_values(counts, config.scale, generator)
    if config.channel_shift:
        counts = shift_channels(counts, config.channel_shift, generator)
    if config.time_stretch:
        counts, real = stretch_time(counts, real, config.time_stretch, generator)
        lengths = real
    if config.time_jitter_ms:
        counts = jitter_times(counts, real, grid.steps(config.time_jitter_ms), generator)
    if config.drop_probability:
        counts = drop_events(counts, config.drop_probability, generator)
    return counts, lengths


def add_noise(counts: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Add the rounded absolute value of normal noise to every count, shape ``(T, B, N)``.

    Example:
        >>> add_noise(torch.zeros(1, 1, 8), 0.5, generator_of(0)).flatten()
        tensor([0., 0., 0., 0., 1., 0., 0., 0.])
    """
    noise = torch.empty_like(counts).normal_(0, std, generator=generator)
    return counts + noise.abs_().round_()


def mask_time(counts: Tensor, longest: int, probability: float, generator: torch.Generator) -> Tensor:
    """Silence 1 to ``longest`` time steps of some samples, shape ``(T, B, N)``.

    Example:
        >>> mask_time(torch.ones(8, 1, 1), 5, 1.0, generator_of(0)).flatten()
        tensor([1., 0., 0., 0., 0., 0., 1., 1.])
    """
    num_steps, num_samples, _ = counts.shape
    silent = _stretches(num_steps, num_samples, longest, probability, generator)
    return counts.masked_fill(silent.unsqueeze(2), 0)


def mask_channels(counts: Tensor, widest: int, probability: float, generator: torch.Generator) -> Tensor:
    """Silence 1 to ``widest`` neighbouring channels of some samples, shape ``(T, B, N)``."""
    _, num_samples, num_channels = counts.shape
    silent = _stretches(num_channels, num_samples, widest, probability, generator)
    return counts.masked_fill(silent.T, 0)


def cut_mix(
    counts: Tensor, labels: Tensor, num_classes: int, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replace a stretch of some samples by that of the next one in the batch, after the last by the first's.

    Returns:
        Counts, shape ``(T, B, N)``, and the share of every class, shape ``(B, C)``: each of the two labels
        weighs as much as its time steps.

    Source:
        Yun et al. (2019), https://arxiv.org/abs/1905.04899, along time alone, as in the paper's code.

    Example:
        >>> counts, labels = torch.ones(4, 2, 1) * torch.tensor([[3.0], [5.0]]), torch.tensor([0, 1])
        >>> mixed, shares = cut_mix(counts, labels, 2, 1.0, generator_of(1))
        >>> mixed[..., 0].T
        tensor([[5., 5., 5., 3.],
                [5., 3., 3., 3.]])
        >>> shares
        tensor([[0.2500, 0.7500],
                [0.7500, 0.2500]])
    """
    num_steps, num_samples, _ = counts.shape
    foreign = _stretches(num_steps, num_samples, num_steps - 1, probability, generator)
    mixed = torch.where(foreign.unsqueeze(2), counts.roll(-1, dims=1), counts)
    own = F.one_hot(labels, num_classes).to(counts.dtype)
    share = foreign.to(counts.dtype).mean(dim=0).unsqueeze(1)
    return mixed, (1 - share) * own + share * own.roll(-1, dims=0)


def generator_of(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Random numbers that depend on these numbers alone, each at least 0, and on the kind of device."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(seed[0]))


def _stretches(
    size: int, num_samples: int, longest: int, probability: float, generator: torch.Generator
) -> Tensor:
    """True in one stretch of 1 to ``longest`` of the places of some samples, shape ``(size, B)``."""
    chosen, length, start = torch.rand(3, num_samples, generator=generator, device=generator.device)
    length = (length * min(longest, size)).floor_().add_(1)
    length = length.clamp(max=size).where(chosen < probability, 0)
    start = (start * (size - length + 1)).floor_()
    place = torch.arange(size, device=generator.device).unsqueeze(1)
    inside: Tensor = (place >= start) & (place < start + length)
    return inside
