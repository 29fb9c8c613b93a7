r"""Schedules: what a width or a learning rate is in a given epoch.

Every schedule is a function of the epoch alone, never an increment: a resumed run needs no state, and a
schedule can be plotted before training.
"""

import math
from typing import Literal

SigmaSchedule = Literal["exponential", "linear", "cosine", "constant", "adaptive"]
WeightSchedule = Literal["one_cycle", "cosine", "constant"]

SIGMA_FLOOR = 0.27  # time steps; the reference's exponential decays towards this width, not towards 0

BETA1 = 0.9  # Adam's own, which one cycle alone changes

# One cycle of Smith and Topin (2018) as torch's OneCycleLR runs it with its defaults
WARM_UP = 0.3  # share of the epochs in which the rate rises
START = 1 / 25  # first rate, in units of the peak
END = START / 1e4  # last rate
BETA1_HIGH, BETA1_LOW = 0.95, 0.85  # Adam's beta1 mirrors the rate


def sigma_at(epoch: int, schedule: SigmaSchedule, *, start: float, final: float, num_epochs: int) -> float:
    r"""Width of the soft delays in an epoch, in time steps.

    .. math:: \sigma(e) = f + (\sigma_0 - f) \left(\frac{\sigma_1 - f}{\sigma_0 - f}\right)^{e/E}

    for the exponential, with :math:`f = 0.27`; ``linear`` and ``cosine`` go the same way in their own shape.

    Args:
        epoch: Epoch, from 0.
        schedule: Shape of the way down; ``constant`` stays at ``final``. ``adaptive`` is an exponential
            whose epochs are those in which the delays had settled.
        start: Width in epoch 0, :math:`\sigma_0`.
        final: Width from epoch ``num_epochs`` on, :math:`\sigma_1`.
        num_epochs: Epochs that the way takes, :math:`E`.

    Source:
        Hammouamri et al. (2023), Sec. 3.3: exponential. Its reference code lets ``sigma - 0.27`` decay,
        hence the floor.

    Example:
        >>> [round(sigma_at(e, "exponential", start=12.27, final=0.5, num_epochs=4), 2) for e in range(6)]
        [12.27, 4.73, 1.93, 0.89, 0.5, 0.5]
    """
    progress = min(epoch / num_epochs, 1.0) if num_epochs else 1.0
    match schedule:
        case "exponential" | "adaptive":
            floor = SIGMA_FLOOR if final > SIGMA_FLOOR else 0.0
            share = (final - floor) / (start - floor)
            return floor + (start - floor) * math.pow(share, progress)
        case "linear":
            return start + (final - start) * progress
        case "cosine":
            return _cosine(start, final, progress)
        case "constant":
            return final


def decayed(epoch: int, start: float, decay: float, num_epochs: int) -> float:
    r"""Width of recurrent soft delays in an epoch, :math:`\sigma_0\, r^{100 e / E}`, in time steps.

    Args:
        epoch: Epoch ``e``, from 0.
        start: Width in epoch 0, :math:`\sigma_0`.
        decay: :math:`r`, what is left of it after each hundredth of the epochs.
        num_epochs: Epochs of the whole run, ``E``.

    Source:
        The code of Queant et al. (2025), https://arxiv.org/abs/2509.24852.

    Example:
        >>> [round(decayed(epoch, 10.0, 0.95, 50), 2) for epoch in (0, 1, 49)]
        [10.0, 9.03, 0.07]
    """
    return start * math.pow(decay, 100 * epoch / num_epochs)


def weight_rate(epoch: int, schedule: WeightSchedule, num_epochs: int) -> tuple[float, float]:
    """Learning rate of the weights, in units of its peak, and Adam's beta1.

    Args:
        epoch: Epoch, from 0.
        schedule: Its course: :func:`one_cycle`, :func:`cosine` from the peak down to 0, or none.
        num_epochs: Epochs of the whole run.

    Example:
        >>> [weight_rate(2, schedule, 4) for schedule in ("cosine", "constant")]
        [(0.5, 0.9), (1.0, 0.9)]
    """
    match schedule:
        case "one_cycle":
            return one_cycle(epoch, num_epochs)
        case "cosine":
            return cosine(epoch, num_epochs), BETA1
        case "constant":
            return 1.0, BETA1


def one_cycle(epoch: int, num_epochs: int) -> tuple[float, float]:
    """Learning rate of the weights, in units of its peak, and Adam's beta1.

    Args:
        epoch: Epoch, from 0.
        num_epochs: Epochs of the whole run.

    Source:
        Smith and Topin (2018), https://arxiv.org/abs/1708.07120. The paper names OneCycle for the rate; the
        scheduler its reference code takes cycles beta1 too.

    Example:
        >>> rate, beta1 = one_cycle(0, 150)
        >>> round(rate, 4), beta1
        (0.04, 0.95)
    """
    peak = WARM_UP * num_epochs - 1  # in a run of under 4 epochs it lies before the first
    if epoch < peak:
        rise = epoch / peak
        return _cosine(START, 1.0, rise), _cosine(BETA1_HIGH, BETA1_LOW, rise)
    fall = (epoch - peak) / (num_epochs - 1 - peak)
    return _cosine(1.0, END, fall), _cosine(BETA1_LOW, BETA1_HIGH, fall)


def cosine(epoch: int, num_epochs: int) -> float:
    """Learning rate in units of its first value: that of the delays.

    Example:
        >>> [round(cosine(e, 4), 2) for e in range(5)]
        [1.0, 0.85, 0.5, 0.15, 0.0]
    """
    return _cosine(1.0, 0.0, epoch / num_epochs)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
