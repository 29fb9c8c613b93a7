"""What each of two processes of tests/snn/test_padding.py runs: its half of a batch, padded its own way."""

import sys
from pathlib import Path

import torch
import torch.distributed

from lit_delays.snn.operation import use

from .ddp_worker import synchronised
from .snn.test_padding import LENGTHS, network, padded, samples


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.nn.BatchNorm1d.forward = synchronised
    mine = torch.arange(len(LENGTHS))[rank::2]
    clips = [samples()[index] for index in mine]
    made = network("paper")
    with use(layer="plain"):  # norm and neurons as one would not come by here
        scores = made.scores(padded(clips, (40, 55)[rank], noise=float(rank)), LENGTHS[mine])
    scores.square().sum().backward()
    for parameter in made.parameters():
        torch.distributed.all_reduce(parameter.grad)
    grads = {name: parameter.grad for name, parameter in made.named_parameters()}
    variances = [layer.norm.running_var for layer in made.layers]
    kept = {"mine": mine, "scores": scores.detach(), "grads": grads, "variances": variances}
    torch.save(kept, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()  # else its threads may outlive what they wait for, an abort


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
