"""What each process of tests/test_ddp.py runs: `fit`, keeping the first gradients and the last state.

Lightning starts this module once more for every further process.
"""

import sys
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.distributed
from torch.distributed.nn.functional import all_reduce

from lit_delays.cli.fit import DelayCLI
from lit_delays.snn.operation import use


class Keep(pl.Callback):
    def __init__(self):
        self.gradients = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if not self.gradients:
            parameters = pl_module.network.named_parameters()
            self.gradients = {name: parameter.grad.clone() for name, parameter in parameters}

    def on_train_end(self, trainer, pl_module):
        state = {name: tensor.clone() for name, tensor in pl_module.network.state_dict().items()}
        path = Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.pt"
        torch.save({"gradients": self.gradients, "state": state}, path)


class KeepingCLI(DelayCLI):
    def own_callbacks(self, chosen):
        return [*super().own_callbacks(chosen), Keep()]


def synchronised(self, x):
    """BatchNorm1d.forward over all processes; torch's SyncBatchNorm does it on GPUs alone."""
    if not self.training:
        return alone(self, x)
    count = total(torch.tensor(float(len(x))))
    mean = total(x.sum(0)) / count
    variance = total((x - mean).square().sum(0)) / count
    with torch.no_grad():
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
    return (x - mean) / (variance + self.eps).sqrt() * self.weight + self.bias


def total(x):
    return all_reduce(x) if torch.distributed.is_initialized() else x


if __name__ == "__main__":
    torch.set_num_threads(1)
    alone = torch.nn.BatchNorm1d.forward
    if "--trainer.accelerator=cpu" in sys.argv:
        torch.nn.BatchNorm1d.forward = synchronised
    with use(layer="plain"):  # norm and neurons as one would not come by here
        KeepingCLI("fit", sys.argv[1:])
