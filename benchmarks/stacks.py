"""One training step of the same network in two stacks: ours, and the paper's (dcls with SpikingJelly)."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.synapses.base import window
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer

NUM_CLASSES = {"SHD": 20, "SSC": 35}
MEAN_COUNT = 0.35  # spikes per time step and pooled channel, as in SHD

Step = Callable[[], float]


def read_config(path: Path, **changes: Any) -> NetworkConfig:
    """The network of a config file, for the data set that it names; changes are options of the network."""
    from lit_delays.cli.options import read  # which imports Lightning: not for --help

    words = [f"--model.network.{name}={value}" for name, value in changes.items()]
    options = read(["--config", str(path), *words])
    dataset = options["data"]["dataset"]["class_path"].rpartition(".")[2]
    sizes = {"num_inputs": 140, "num_classes": NUM_CLASSES.get(dataset, 20)}
    return NetworkConfig.of({**options["model"]["network"], **sizes})


def make_batch(config: NetworkConfig, batch_size: int, num_steps: int, device: str) -> tuple[Tensor, Tensor]:
    """Random counts ``(T, B, I)`` and labels ``(B,)``."""
    counts = torch.poisson(torch.full((num_steps, batch_size, config.num_inputs), MEAN_COUNT))
    return counts.to(device), torch.randint(config.num_classes, (batch_size,)).to(device)


def our_step(config: NetworkConfig, counts: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Step:
    """Forward, backward, Adam and constraints of our network."""
    network = Network(config).to(counts.device)
    optimizer = make_optimizer(network, OptimizerConfig())

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network.scores(counts, lengths), labels)
        loss.backward()
        optimizer.step()
        network.constrain()
        return loss.item()

    return step


def reference_step(config: NetworkConfig, counts: Tensor, labels: Tensor) -> Step:
    """The same in the stack of the paper: a dense kernel made by dcls, convolved; neurons of SpikingJelly."""
    from spikingjelly.activation_based import functional

    network = reference_network(config).to(counts.device)
    positions = [layer.P for layer in network.delays]
    rest = [p for p in network.parameters() if p.requires_grad and all(p is not q for q in positions)]
    adams = [torch.optim.Adam(rest, lr=5e-3, weight_decay=1e-5), torch.optim.Adam(positions, lr=0.1)]

    def step() -> float:
        functional.reset_net(network)
        for adam in adams:
            adam.zero_grad()
        loss = F.cross_entropy(network(counts).softmax(-1).sum(0), labels)
        loss.backward()
        for adam in adams:
            adam.step()
        for layer in network.delays:
            layer.clamp_parameters()
        return loss.item()

    return step


def reference_network(config: NetworkConfig) -> Any:
    """The paper's network of this configuration, built of its own packages."""
    from DCLS.construct.modules import Dcls1d
    from spikingjelly.activation_based import layer, neuron, surrogate

    synapses, membrane = config.synapses.arguments, config.neuron.arguments
    lags, depth = window(synapses["max_delay_ms"], config.time_step_ms), len(config.hidden_sizes)
    sizes = [config.num_inputs, *config.hidden_sizes, config.num_classes]

    def lif(v_threshold: float, keeps_voltage: bool) -> nn.Module:
        return neuron.LIFNode(
            tau=membrane["tau_mem_ms"] / config.time_step_ms,
            v_threshold=v_threshold,
            surrogate_function=surrogate.ATan(alpha=membrane["surrogate"]().slope),
            detach_reset=True,
            decay_input=False,
            step_mode="m",  # and the default backend, which is torch
            store_v_seq=keeps_voltage,
        )

    class Reference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.delays = nn.ModuleList(
                Dcls1d(
                    before,
                    after,
                    kernel_count=synapses["num_synapses"],
                    dilated_kernel_size=lags,
                    bias=False,
                    version="gauss",
                )
                for before, after in pairwise(sizes)
            )
            for delays in self.delays:
                nn.init.kaiming_uniform_(delays.weight, nonlinearity="relu")
                nn.init.uniform_(delays.P, -(lags // 2), lags // 2)
                nn.init.constant_(delays.SIG, lags // 2).requires_grad_(False)
            self.norms = nn.ModuleList(layer.BatchNorm1d(size, step_mode="m") for size in config.hidden_sizes)
            self.neurons = nn.ModuleList([*(lif(1.0, False) for _ in range(depth)), lif(1e9, True)])
            self.dropouts = nn.ModuleList(layer.Dropout(config.dropout, step_mode="m") for _ in range(depth))

        def currents(self, index: int, x: Tensor) -> Tensor:
            future = 0 if synapses["keep_length"] else (lags - 1) // 2
            padded = F.pad(x.permute(1, 2, 0), (lags - 1, future))
            return self.delays[index](padded).permute(2, 0, 1)

        def forward(self, x: Tensor) -> Tensor:
            for index, norm in enumerate(self.norms):
                x = norm(self.currents(index, x).unsqueeze(3)).squeeze(3)
                x = self.dropouts[index](self.neurons[index](x))
            self.neurons[-1](self.currents(depth, x))
            return self.neurons[-1].v_seq

    return Reference()
