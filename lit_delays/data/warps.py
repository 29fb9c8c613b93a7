"""What makes a sample look as if another speaker or sensor had made it: moved, stretched, thinned, scaled.

Pure functions of counts and a generator of random numbers.

Shape letters: T time steps, B samples, N channels.
"""

import math

import torch
from torch import Tensor


def shift_channels(counts: Tensor, furthest: int, generator: torch.Generator) -> Tensor:
    """Move every sample by -``furthest`` to ``furthest`` channels, another voice; what leaves is lost.

    Args:
        counts: Shape ``(T, B, N)``.
        furthest: Largest shift, in channels.
        generator: Random numbers.

    Example:
        >>> shift_channels(torch.arange(1.0, 6).view(1, 1, 5), 2, torch.Generator().manual_seed(3)).flatten()
        tensor([2., 3., 4., 5., 0.])
    """
    _, num_samples, num_channels = counts.shape
    shift = torch.randint(
        -furthest, furthest + 1, (num_samples, 1), generator=generator, device=counts.device
    )
    source = torch.arange(num_channels, device=counts.device) - shift
    inside = (source >= 0) & (source < num_channels)
    moved = counts.gather(2, source.clamp(0, num_channels - 1).expand_as(counts))
    return moved * inside


def stretch_time(
    counts: Tensor, lengths: Tensor, most: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Slow or quicken every sample by a factor of 1 / (1 + ``most``) to 1 + ``most``; rates stay.

    Args:
        counts: Shape ``(T, B, N)``; what no longer fits into T is lost.
        lengths: Real steps of every sample, shape ``(B,)``.
        most: Largest change, such as 0.2.
        generator: Random numbers.

    Returns:
        Counts, and the real steps that they have now, at least 1.

    Example:
        >>> counts = torch.arange(1.0, 7).view(6, 1, 1)
        >>> slow, lengths = stretch_time(counts, torch.tensor([3]), 1.0, torch.Generator().manual_seed(5))
        >>> slow.flatten(), lengths
        (tensor([1., 1., 2., 3., 3., 0.]), tensor([5]))
    """
    num_steps, num_samples, _ = counts.shape
    draw = torch.rand(num_samples, generator=generator, device=counts.device)
    factor = torch.exp((2 * draw - 1) * math.log1p(most))
    stretched = (lengths * factor).round().long().clamp(1, num_steps)
    step = torch.arange(num_steps, device=counts.device).unsqueeze(1)
    source = ((step + 0.5) / factor).floor().long().minimum(lengths - 1)
    moved = counts.gather(0, source.unsqueeze(2).expand_as(counts))
    return moved * (step < stretched).unsqueeze(2), stretched


def jitter_times(counts: Tensor, lengths: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Move what happens in a step and channel by normal noise, in whole steps, inside its sample.

    Args:
        counts: Shape ``(T, B, N)``; their sum does not change.
        lengths: Real steps of every sample, shape ``(B,)``.
        std: Standard deviation of the noise, in time steps.
        generator: Random numbers.

    Example:
        >>> counts, lengths = torch.ones(5, 1, 1), torch.tensor([5])
        >>> jitter_times(counts, lengths, 1.0, torch.Generator().manual_seed(3)).flatten()
        tensor([0., 2., 2., 0., 1.])
    """
    step = torch.arange(len(counts), device=counts.device).view(-1, 1, 1)
    noise = torch.empty(counts.shape, device=counts.device).normal_(0, std, generator=generator)
    target = (step + noise.round_().long()).clamp_min(0).minimum((lengths - 1).view(1, -1, 1))
    inside = step < lengths.view(1, -1, 1)
    return torch.zeros_like(counts).scatter_add(0, target, counts * inside)


def drop_events(counts: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Silence every step of every channel with this probability.

    Example:
        >>> drop_events(torch.ones(1, 1, 8), 0.5, torch.Generator().manual_seed(0)).flatten()
        tensor([0., 1., 0., 0., 0., 1., 0., 1.])
    """
    kept = torch.rand(counts.shape, generator=generator, device=counts.device) >= probability
    return counts * kept


def scale_values(counts: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Multiply every sample by a factor of 1 / (1 + ``most``) to 1 + ``most``: another sensor's gain.

    Example:
        >>> scale_values(torch.ones(1, 2, 1), 1.0, torch.Generator().manual_seed(0)).flatten()
        tensor([0.9948, 1.4504])
    """
    draw = torch.rand(counts.shape[1], 1, generator=generator, device=counts.device, dtype=counts.dtype)
    return counts * torch.exp((2 * draw - 1) * math.log1p(most))
