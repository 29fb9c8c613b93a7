"""Steps per second of a network that runs one time step at a time.

The network of a config, untrained, hears random spikes; its hidden layers fire as their biases make them.

    python benchmarks/streaming.py --config configs/shd.yaml
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from stacks import read_config

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.stream import Stream
from lit_delays.snn.network import Network


def main() -> None:
    options = parse()
    torch.manual_seed(0)
    network = deploy(Network(read_config(options.config)))
    rng = np.random.default_rng(0)
    counts = (rng.random((options.num_steps, network.config.num_inputs)) < options.input_rate).astype(float)
    stream = Stream(network)
    started = time.perf_counter()
    outputs = [stream.step(count).outputs for count in counts]
    seconds = time.perf_counter() - started
    result = {
        "steps_per_second": options.num_steps / seconds,
        "times_real_time": options.num_steps * network.config.time_step_ms / 1000 / seconds,
        "share_firing": float(np.mean([float(layer.mean()) for step in outputs for layer in step])),
    }
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/shd.yaml"))
    parser.add_argument("--num-steps", type=int, default=1000)
    parser.add_argument("--input-rate", type=float, default=0.05, help="share of channels that spike a step")
    return parser.parse_args()


if __name__ == "__main__":
    main()
