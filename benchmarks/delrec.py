"""DelRec's published code in the budget of two studies of `variants.py`: samples, epochs and network.

CHECKOUT is a checkout of github alexmaxad/DelRec, and the environment has its requirements (spikingjelly
0.0.0.0.14, dcls, prettytable, wandb, matplotlib). Layers and training loop are the published ones. `pixels`
is permuted MNIST with the published rates; `journeys` is autonomous localisation, for which the checkout has
no script: its layers, with the recipe that the authors tell. A line of JSON an epoch, then one of
the test, which can be added to the study's `results.jsonl`: its table and figure show it then.

    python benchmarks/delrec.py pixels CHECKOUT --data ../shared/data/series --epochs 20
    python benchmarks/delrec.py journeys CHECKOUT --epochs 15
"""

import argparse
import contextlib
import io
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from lit_delays.data.datasets import AutonomousLocalisation, Dataset, SequentialMNIST

HELD_OUT = 1000  # images
Parts = dict[str, torch.utils.data.Dataset[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=["pixels", "journeys"])
    parser.add_argument("checkout", type=Path)
    parser.add_argument(
        "--data", type=Path, help="pixels: folder of mnist10k_train.npz and mnist10k_test.npz"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.study == "pixels" and options.data is None:
        parser.error("--data FOLDER is needed for pixels")
    if not (options.checkout / "configs/perf_PSMNIST.py").is_file():
        parser.error(
            f"CHECKOUT must be one of DelRec's code, with configs/perf_PSMNIST.py, got {options.checkout}"
        )
    os.environ["WANDB_MODE"] = "disabled"
    sys.path.insert(0, str(options.checkout))
    run(options)


def run(options: argparse.Namespace) -> None:
    import wandb
    from configs.perf_PSMNIST import Config
    from src.PSMNIST import trainer as published
    from src.SSC.snn import SNN_recurrent_delays, axonal_recdel

    torch.manual_seed(options.seed)
    wandb.init(mode="disabled")
    config = Config()
    config.epochs = options.epochs
    parts = (pixels if options.study == "pixels" else journeys)(options, config)
    model = SNN_recurrent_delays(config)
    model.log_params = lambda: None  # figures for W&B
    optimizers, schedules = published.init_optim_sche(model, config)
    if options.study == "journeys":
        as_for_journeys(model, optimizers, published)
    place = torch.device("cpu"), config, torch.arange(config.time_window)  # pixels are permuted already
    loaders = {
        name: DataLoader(part, 64 if name == "train" else 250, name == "train")
        for name, part in parts.items()
    }
    begun = time.time()
    for epoch in range(options.epochs):
        started = time.time()
        for layer in model.layers:
            if isinstance(layer, axonal_recdel):
                layer.update_sigma(epoch)
        with contextlib.redirect_stdout(io.StringIO()):
            fitted, _ = published.train(loaders["train"], model, optimizers, epoch, *place)
            checked, _ = published.test(loaders["val"], model, epoch, *place)
        for schedule in schedules:
            schedule.step()
        tell(epoch=epoch, training=fitted, validation=checked, seconds=time.time() - started)
    with contextlib.redirect_stdout(io.StringIO()):
        accuracy, _ = published.test(loaders["test"], model, epoch, *place)
    group = {"pixels": "PS-MNIST", "journeys": "AL"}[options.study]
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    cost = {"num_parameters": num_parameters, "seconds": round(time.time() - begun, 1)}
    tell(group=group, name="DelRec's code", seed=options.seed, accuracy=accuracy / 100, **cost)


def tell(**row: float | str) -> None:
    print(json.dumps(row), flush=True)


def pixels(options: argparse.Namespace, config: Any) -> Parts:
    """A sixteenth of the pixels; delays and their spread start at a fourth of the published ones."""
    files = {f"{split}_file": str(options.data / f"mnist10k_{split}.npz") for split in ("train", "test")}
    dataset = SequentialMNIST(**files, permutation_seed=42, pool=4)
    config.hidden_layers, config.time_window = [64, 128, 128], 49
    config.delay_std_init, config.sigma_init = config.delay_std_init / 4, config.sigma_init / 4
    whole = tensors(dataset, "train")
    train, val = random_split(whole, [len(whole) - HELD_OUT, HELD_OUT])
    return {"train": train, "val": val, "test": tensors(dataset, "test")}


def journeys(options: argparse.Namespace, config: Any) -> Parts:
    """Delays of 0 to 20 steps, never wider than their two neighbours, rounded at every evaluation."""
    from src.utils import Triangle

    config.input_size, config.hidden_layers, config.output_size, config.time_window = 3, [64, 88, 88], 2, 100
    config.v_threshold, config.v_reset = 0.5, 0.0
    config.surrogate_function = lambda excess: Triangle.apply(excess, 0.4)
    config.init_rec_delay, config.init_recdel_offset, config.max_rec_delay = "uniform", 0, 20
    config.sigma_init, config.use_sig_p = 0.0, False
    config.recurrent_dropout_rate = config.feedforward_dropout_rate = config.weight_decay = 0.0
    config.scheduler_weights = config.scheduler_pos = "cos"
    config.lr_w, config.lr_positions = 2e-3, 2e-2
    dataset = AutonomousLocalisation(num_steps=100, num_samples=5000)
    return {split: tensors(dataset, split) for split in dataset.splits}


def as_for_journeys(model: nn.Module, optimizers: list[torch.optim.Optimizer], published: Any) -> None:
    """Recurrent weights from Kaiming's range, the mean of the readout, gradients of a norm of at most 1."""
    for module in model.modules():
        if hasattr(module, "recurrent_weights"):
            nn.init.kaiming_uniform_(module.recurrent_weights, a=math.sqrt(5))
    published.calc_loss_SSC = lambda output, y: nn.functional.cross_entropy(output.mean(dim=0), y)

    def clip(*_: object) -> None:  # before the first optimiser's step, for both
        nn.utils.clip_grad_norm_(model.parameters(), 1)

    optimizers[0].register_step_pre_hook(clip)


def tensors(dataset: Dataset, split: str) -> TensorDataset:
    arrays = dataset.open(split)
    return TensorDataset(torch.from_numpy(arrays.values).float(), torch.from_numpy(arrays.labels))


if __name__ == "__main__":
    main()
