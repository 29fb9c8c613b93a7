"""Spiking networks with learnable delays, trained with PyTorch Lightning.

>>> import lit_delays
>>> config = lit_delays.NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8])
>>> lit_delays.Network(config).config == config
True
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# imported when they are asked for: torch takes a second, Lightning two
_PUBLIC = {
    "DelayClassifier": "lit_delays.training.classifier",
    "InputError": "lit_delays.errors",
    "LayerConfig": "lit_delays.snn.network_config",
    "Network": "lit_delays.snn.network",
    "NetworkConfig": "lit_delays.snn.network_config",
    "Neuron": "lit_delays.snn.neurons",
    "SpikeData": "lit_delays.data.module",
    "Stream": "lit_delays.deploy.stream",
    "Synapses": "lit_delays.snn.synapses",
    "allow": "lit_delays.components",
    "load": "lit_delays.deploy.loading",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lit_delays' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
