"""Samples per second of the data path, against reading the same file sample by sample with h5py.

python benchmarks/data.py --file digits_train.h5
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from lit_delays.data.binning import Binning, steps_of
from lit_delays.data.sampler import EpochSampler
from lit_delays.data.samples import Batches
from lit_delays.data.storage.spike_files import open_spikes

NUM_INPUTS, CHANNELS_PER_BIN, TIME_STEP_MS = 140, 5, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, required=True, help="HDF5 file in SHD's schema")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--num-samples", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    start = time.perf_counter()
    arrays = open_spikes(options.file)
    opened = time.perf_counter() - start
    sampler = EpochSampler(min(options.num_samples, len(arrays)), options.batch_size, shuffle=True)
    places = list(sampler)
    binning = Binning("uniform", TIME_STEP_MS, NUM_INPUTS, CHANNELS_PER_BIN)
    batches = Batches(arrays, np.arange(len(arrays)), binning)

    def events() -> None:
        for batch in places:
            batches[batch]

    def counts() -> None:
        for batch in places:
            batches[batch].counts()

    def item_by_item() -> None:
        with h5py.File(options.file) as file:
            for batch in places:
                stack([read_item(file, int(index)) for index in batch])

    paths = {"events": events, "events and counts": counts, "h5py, item by item": item_by_item}
    rates = compare(paths, sum(map(len, places)), options.rounds)
    print(f"opened in {opened:.2f} s (packing included where there was no cache)")
    print("| path | samples/s | / h5py |\n|---|---|---|")
    for name, turns in rates.items():
        ratio = statistics.median(a / b for a, b in zip(turns, rates["h5py, item by item"], strict=True))
        print(f"| {name} | {statistics.median(turns):,.0f} | {ratio:.1f} |")


def compare(paths: dict[str, Callable[[], None]], num_samples: int, rounds: int) -> dict[str, list[float]]:
    """Samples per second of every path, timed in turn."""
    rates: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, run in paths.items():
            start = time.perf_counter()
            run()
            rates[name].append(num_samples / (time.perf_counter() - start))
    return rates


def read_item(file: h5py.File, index: int) -> Tensor:
    """One sample as counts ``(T, N)``, the way most readers of SHD go."""
    steps = steps_of(file["spikes/times"][index])
    counts = np.zeros((int(steps.max(initial=0)) + 1, NUM_INPUTS), np.float32)
    np.add.at(counts, (steps, file["spikes/units"][index] // CHANNELS_PER_BIN), 1)
    return torch.from_numpy(counts)


def stack(items: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(items)


if __name__ == "__main__":
    main()
