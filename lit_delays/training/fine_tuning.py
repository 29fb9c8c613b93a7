"""Fine-tuning: a network starts from the weights and delays of a trained one."""

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.snn.synapses import Synapses
from lit_delays.training.checkpoint_files import (
    first_misfit,
    network_tensors,
    read_checkpoint,
    require_numbers,
)


def start_from(network: Network, checkpoint: Path) -> None:
    """Give a network the weights, norms, masks and delays of a checkpoint.

    Evaluated, it answers as the network of the checkpoint does: where its delays are fixed, they are the
    whole time steps that evaluation rounds the learned ones to. Nothing is changed if an error is raised.

    Args:
        network: A network of the same sizes and neurons, with delays (learned or fixed) where the trained one
            has them.
        checkpoint: A file that training of a :class:`~lit_delays.training.classifier.DelayClassifier` left.

    Raises:
        InputError: If the file is missing or no such checkpoint, or if a tensor does not fit or
            has something else than numbers.
    """
    trained = network_tensors(read_checkpoint(checkpoint, "check `--start_from`"))
    if not trained:
        raise InputError(f"{checkpoint} holds no network of lit_delays; check `--start_from`.")
    if misfit := first_misfit(network.state_dict(), trained):
        raise InputError(f"{checkpoint} does not fit this network: {misfit}; give the options of its run.")
    require_numbers(trained)
    _require_inside(checkpoint, network, trained)
    for name, module in network.named_modules():
        if isinstance(module, Synapses) and not module.learns_delays and f"{name}.delay" in trained:
            trained[f"{name}.delay"] = trained[f"{name}.delay"].round()
    network.load_state_dict(trained)


def check_start(checkpoint: str | None, run_dir: Path) -> None:
    """Refuse a checkpoint of the run itself, which would go on with it instead of starting from it.

    Raises:
        InputError: If the checkpoint lies in the folder of the run.
    """
    if checkpoint is not None and run_dir in Path(checkpoint).resolve().parents:
        raise InputError(f"`--start_from` is a checkpoint of this run, {run_dir.name}; give another --name.")


def _require_inside(checkpoint: Path, network: Network, trained: dict[str, Tensor]) -> None:
    """Refuse delays that do not fit into the windows of this network."""
    probe = deepcopy(network)
    probe.load_state_dict(trained)
    for module in probe.modules():
        if isinstance(module, Synapses) and not module.window_is_free:
            _require_room(checkpoint, module, network.config.time_step_ms)


def _require_room(checkpoint: Path, synapses: Synapses, step_ms: float) -> None:
    whole, own = synapses.whole_delays()[1], getattr(synapses, "delay", None)
    delay, window_ms = whole if own is None else own.detach(), (synapses.num_lags - 1) * step_ms
    if not (delay.min() >= 0 and delay.max() <= synapses.num_lags - 1):
        raise InputError(
            f"{checkpoint}: delays must be from 0 to {window_ms:g} ms, the window that `max_delay_ms` gives,"
            f" got {float(delay.min()) * step_ms:g} to {float(delay.max()) * step_ms:g} ms."
        )
    synapses.constrain()
    if not torch.equal(synapses.whole_delays()[1], whole):  # one part has left its share of the window
        raise InputError(
            f"{checkpoint}: `max_delay_ms` must be at least that of its run, as training keeps every part of"
            f" a delay in its share of the window, got {window_ms:g} ms."
        )
