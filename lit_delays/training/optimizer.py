"""One Adam in named groups, each with its own schedule."""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import nn

from lit_delays.errors import InputError
from lit_delays.training.schedules import BETA1, WeightSchedule, cosine, weight_rate

BETA2 = 0.999


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Learning rates of Adam; the defaults are the paper's.

    Args:
        weight_lr: Peak rate of weights, norms and learned time constants.
        weight_schedule: How that rate goes on: up and down in ``one_cycle``, with Adam's beta1 against it
            (the paper); a ``cosine`` from the peak to 0; ``constant``.
        delay_lr: First rate of the delays, in time steps, which follows a cosine to 0.
        weight_decay: L2 penalty on weights and learned time constants; norms have none.
        delay_decay: Share of a delay that it loses in a step, in units of its rate: keeps delays short,
            which a window without a limit makes cheap. Decoupled from the gradient.

    Raises:
        InputError: If a rate is not positive, a decay is negative, or there is no such schedule.
    """

    weight_lr: float = 5e-3
    weight_schedule: WeightSchedule = "one_cycle"
    delay_lr: float = 0.1
    weight_decay: float = 1e-5
    delay_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight_lr", "delay_lr"):
            if getattr(self, name) <= 0:
                raise InputError(f"`{name}` must be above 0, got {getattr(self, name)}.")
        if self.weight_schedule not in get_args(WeightSchedule):
            raise InputError(
                f"`weight_schedule` must be one_cycle, cosine or constant, got {self.weight_schedule!r:.80}."
            )
        for name in ("weight_decay", "delay_decay"):
            if getattr(self, name) < 0:
                raise InputError(f"`{name}` must be at least 0, got {getattr(self, name)}.")


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Adam:
    """Adam over the groups ``weights``, ``norms`` and, where delays are learned, ``delays``.

    Raises:
        InputError: If a component puts a parameter into a group that there is not.

    Source:
        The reference runs two Adams; one with groups gives the same numbers bit for bit.
    """
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "norms": [], "delays": []}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if (group := _group_of(module, name)) not in groups:
                raise InputError(
                    f"`{type(module).__name__}.parameter_groups` must name weights, norms or delays, got"
                    f" {group!r} for `{name}`."
                )
            groups[group].append(parameter)
    # Adam's own epsilon, 1e-8, is 0 in half precision
    is_half = any(parameter.dtype == torch.float16 for parameter in network.parameters())
    decay = {"weights": config.weight_decay, "norms": 0.0, "delays": config.delay_decay}
    return torch.optim.Adam(
        [
            {
                "name": name,
                "params": parameters,
                "weight_decay": decay[name],
                "decoupled_weight_decay": name == "delays",
            }
            for name, parameters in groups.items()
            if parameters
        ],
        lr=config.weight_lr,
        eps=1e-4 if is_half else 1e-8,
    )


def schedule_optimizer(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, epoch: int, num_epochs: int
) -> None:
    """Set the rate and beta1 of every group to their values in this epoch."""
    rate, beta1 = weight_rate(epoch, config.weight_schedule, num_epochs)
    for group in optimizer.param_groups:
        if group["name"] == "delays":
            group["lr"] = config.delay_lr * cosine(epoch, num_epochs)
            group["betas"] = (BETA1, BETA2)
        else:
            group["lr"], group["betas"] = config.weight_lr * rate, (beta1, BETA2)


def _group_of(module: nn.Module, name: str) -> str:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "norms"
    groups = getattr(module, "parameter_groups", {})  # neurons and synapses say where theirs belong
    return str(groups.get(name, "weights"))
