"""Do the fast and the plain path give a trained network the same spikes and answers, in float32?

python benchmarks/agreement.py runs/NAME
"""

import argparse
from pathlib import Path

import torch
import yaml
from torch import Tensor

from lit_delays.components import rebuild
from lit_delays.data.datasets import Dataset
from lit_delays.data.module import SpikeData
from lit_delays.snn.network import Network
from lit_delays.snn.operation import use
from lit_delays.snn.readout import class_scores
from lit_delays.snn.recorder import Recorder
from lit_delays.training.loading import load_network
from lit_delays.training.runs import last_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run: Path = parser.parse_args().run
    network = load_network(last_checkpoint(run)).network
    options = yaml.safe_load((run / "config.yaml").read_text())["data"]
    options = {name: value for name, value in options.items() if name != "augment"}
    data = SpikeData(**{**options, "dataset": rebuild(Dataset, options["dataset"])})
    data.prepare_data()
    data.setup()
    same = entries = samples = 0
    right = {"spectral": 0, "plain": 0}
    for batch in data.test_dataloader():
        fast, plain = (look(network, batch.counts(), path) for path in right)
        same += sum(int((a == b).sum()) for a, b in zip(fast[0], plain[0], strict=True))
        entries += sum(spikes.numel() for spikes in plain[0])
        for path, (_, answers) in zip(right, (fast, plain), strict=True):
            right[path] += int((answers == batch.labels).sum())
        samples += len(batch.labels)
    print(f"equal spike entries: {same} of {entries} ({same / entries:.5%})")
    print("test accuracy: " + ", ".join(f"{path} {count / samples:.2%}" for path, count in right.items()))


@torch.no_grad()
def look(network: Network, counts: Tensor, path: str) -> tuple[list[Tensor], Tensor]:
    """Spikes of all hidden layers, and the answers, by one path."""
    with use(delayed_sum=path), Recorder(network) as recorder:
        readout = network(counts)
    seen = [layer.output for name, layer in recorder.record.items() if name != "readout"]
    return seen, class_scores(readout, network.config.decision).argmax(-1)


if __name__ == "__main__":
    main()
