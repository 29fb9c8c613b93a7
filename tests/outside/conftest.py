"""A user who brings parts of her own: her package is found, and nothing else is known of it."""

import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PARTS = [
    "--allow-import=my_delays",
    "--model.network.neuron=my_delays.neuron.RisingThreshold",
    "--model.network.neuron.rise=0.1",
    "--model.network.neuron.surrogate=my_delays.surrogate.Bump",
    "--model.network.neuron.surrogate.width=0.4",
    "--model.network.synapses=my_delays.synapses.GroupedDelays",
    "--model.network.synapses.max_delay_ms=90",
    "--model.network.synapses.group_size=2",
    "--model.network.synapses.kernel=my_delays.kernel.RaisedCosine",
    "--sigma.final=0.6",
    "--data.dataset=my_delays.dataset.NpzSensors",
]
SMALL = [
    "--model.network.hidden_sizes=[12, 8]",
    "--model.network.dropout=0.1",
    "--data.validation=random",
    "--data.batch_size=10",
    "--model.optimizer.weight_lr=0.02",
    "--trainer.max_epochs=10",
    "--trainer.accelerator=cpu",
    "--name=run",
]
NUM_SENSORS = 6


def words(folder: Path) -> list[str]:
    """Options of a run on the sensors in this folder, which it is kept in too."""
    return [
        *PARTS,
        *SMALL,
        f"--data.dataset.folder={folder}",
        f"--trainer.default_root_dir={folder / 'runs'}",
    ]


def sensors(num_samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A pulse moves over the sensors to the left, or to the right."""
    random = np.random.default_rng(seed)
    values = 0.1 * random.standard_normal((num_samples, 30, NUM_SENSORS)).astype(np.float32)
    labels = np.arange(num_samples) % 2
    for sample, label in enumerate(labels):
        for sensor in range(NUM_SENSORS):
            place = sensor if label else NUM_SENSORS - 1 - sensor
            values[sample, 4 + 3 * place + random.integers(2), sensor] += 3
    return values, labels


def write_sensors(folder: Path) -> None:
    for split, num_samples, seed in (("train", 100, 0), ("test", 40, 1)):
        values, labels = sensors(num_samples, seed)
        np.savez(folder / f"{split}.npz", x=values, y=labels)


@pytest.fixture(scope="session", autouse=True)
def _package_is_found():
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A finished run of nothing but parts from outside."""
    from lit_delays.cli.main import main

    folder = tmp_path_factory.mktemp("outside")
    write_sensors(folder)
    main(["fit", *words(folder)])
    return folder / "runs" / "run"
