"""Do the fast and the plain path give a trained network the same spikes and answers, in float32?

python benchmarks/agreement.py runs/NAME
"""

import argparse
from pathlib import Path

import torch
import yaml
from torch import Tensor

from lit_delays.data.module import SpikeData
from lit_delays.snn.convolution import use
from lit_delays.snn.decisions import class_scores
from lit_delays.snn.network import DelaySNN
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.runs import last_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run: Path = parser.parse_args().run
    network = DelayClassifier.load_from_checkpoint(last_checkpoint(run), weights_only=True).network.eval()
    options = yaml.safe_load((run / "config.yaml").read_text())["data"]
    data = SpikeData(**{name: value for name, value in options.items() if name != "augment"})
    data.prepare_data()
    data.setup()
    same = entries = samples = 0
    right = {"spectral": 0, "direct": 0}
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
def look(network: DelaySNN, counts: Tensor, path: str) -> tuple[list[Tensor], Tensor]:
    """Spikes of all hidden layers, and the answers, by one path."""
    seen: list[Tensor] = []
    with use(path):
        readout = network(counts, watch=lambda _, spikes: seen.append(spikes))
    return seen, class_scores(readout, network.config.decision).argmax(-1)


if __name__ == "__main__":
    main()
