"""Parts of what is worth knowing on a card; `gpu.sh` runs them all, most worth first.

    python benchmarks/gpu.py step profile            # beside the paper's stack, where its packages are found
    python benchmarks/gpu.py step --device cpu --small

Each part prints a line of JSON as soon as it has a number, so that what is cut off loses nothing. It needs
torch and this package alone: no jsonargparse, no W&B.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from stacks import Step, make_batch, our_step, reference_step
from torch import Tensor
from torch.nn import functional as F

from lit_delays.components import subclasses
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, Neuron, SEAdLIF, SiLIF
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.operation import PLAIN, use
from lit_delays.snn.readout import class_scores
from lit_delays.snn.surrogates import Surrogate
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer

Options = argparse.Namespace
TRAINING_SAMPLES = {"shd": 8156, "ssc": 75_466}
BATCH, STEPS = {"shd": 256, "ssc": 128}, 100
RECURRENT_STEPS, RECURRENT_BATCH = 250, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script itself")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for part in options.parts:
        say(part=part, device=name_of(options.device), torch=torch.__version__)
        for numbers in PARTS[part](options):
            say(**numbers)


def say(**numbers: Any) -> None:
    print(json.dumps(numbers), flush=True)


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def config_of(options: Options, name: str) -> NetworkConfig:
    """The networks of `configs/shd.yaml` and `configs/ssc.yaml`, whose readers need jsonargparse."""
    if options.small:
        return NetworkConfig(num_inputs=8, hidden_sizes=[8, 8], num_classes=4)
    if name == "shd":
        return NetworkConfig(neuron=partial(LIF, tau_mem_ms=10.05))
    synapses = partial(SynapticDelays, max_delay_ms=300.0)
    neuron = partial(LIF, tau_mem_ms=15.0)
    sizes = {"num_classes": 35, "hidden_sizes": [512] * 3}
    return NetworkConfig(**sizes, synapses=synapses, neuron=neuron, dropout=0.25)


def batch_of(options: Options, name: str) -> tuple[NetworkConfig, Tensor, Tensor]:
    torch.manual_seed(0)
    config = config_of(options, name)
    sizes = (4, 10) if options.small else (BATCH[name], STEPS)
    return config, *make_batch(config, *sizes, options.device)


def seconds(run: Callable[[], object], options: Options) -> float:
    """Median time, after two runs that warm up."""
    times = []
    for _ in range(options.repeats + 2):
        wait(options.device)
        start = time.perf_counter()
        run()
        wait(options.device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def weighed(run: Callable[[], object], options: Options) -> dict[str, float]:
    """Time, and on a card the peak of its memory."""
    if options.device != "cuda":
        return {"step_s": seconds(run, options)}
    torch.cuda.reset_peak_memory_stats()
    taken = seconds(run, options)
    return {"step_s": taken, "peak_mb": torch.cuda.max_memory_allocated() / 2**20}


def equality(options: Options) -> Iterator[dict[str, Any]]:
    """The device against the CPU: losses of one step and gradients, by every form of the sum and neurons."""
    config, counts, labels = batch_of(options, "shd")
    config = replace(config, dropout=0.0)  # whose chances are those of a device
    networks = [Network(config).double().to(device) for device in ("cpu", options.device)]
    networks[1].load_state_dict(networks[0].state_dict())
    for forms in ({}, {"delayed_sum": PLAIN}, {"delayed_sum": "spectral"}, {"neuron": PLAIN}):
        answers = []
        for network in networks:
            device = next(network.parameters()).device
            with use(**forms):
                output = network(counts.double().to(device))
            loss = F.cross_entropy(class_scores(output, config.decision), labels.to(device))
            grads = torch.autograd.grad(loss, [made.weight for made in network.named_synapses().values()])
            answers.append([loss.detach().cpu(), *(grad.cpu() for grad in grads)])
        yield {"forms": forms or "chosen", "largest_error": largest_error(*answers)}
    for surrogate in subclasses(Surrogate):
        yield {"surrogate": surrogate.__name__, "largest_error": scan_error(surrogate, options)}


def largest_error(mine: list[Tensor], theirs: list[Tensor]) -> float:
    pairs = zip(mine, theirs, strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in pairs)


def scan_error(surrogate: type[Surrogate], options: Options) -> float:
    """Of the fused neurons' gradient, to that of the plain loop on the same device."""
    neuron = LIF(16, 10.0, surrogate=surrogate)
    current = torch.randn(20, 4, 16, device=options.device, requires_grad=True)
    ways = run_neuron, run_neuron.plain
    mine, theirs = ([*torch.autograd.grad(run(neuron, current).sum(), current)] for run in ways)
    return largest_error(mine, theirs)


def epoch(options: Options) -> Iterator[dict[str, Any]]:
    """As many steps as an epoch has, with counts that come from the host as bytes."""
    for name, samples in TRAINING_SAMPLES.items():
        config, counts, labels = batch_of(options, name)
        host = counts.to("cpu", torch.uint8)
        host = host.pin_memory() if options.device == "cuda" else host
        step, steps = our_step(config, counts, labels), 2 if options.small else -(-samples // len(labels))
        step()

        def run(step: Step = step, counts: Tensor = counts, host: Tensor = host, steps: int = steps) -> None:
            for _ in range(steps):
                counts.copy_(host.to(options.device, non_blocking=True))
                step()

        wait(options.device)
        start = time.perf_counter()
        run()
        yield {"network": name, "steps": steps, "epoch_s": time.perf_counter() - start}


def step(options: Options) -> Iterator[dict[str, Any]]:
    """A step of ours, and of the paper's stack in turn."""
    for name in BATCH:
        config, counts, labels = batch_of(options, name)
        ours = weighed(our_step(config, counts, labels), options)
        yield {"network": name, "stack": "ours", **ours}
        try:
            theirs = weighed(reference_step(config, counts, labels), options)
        except ImportError as error:
            yield {"network": name, "stack": "reference", "left_out": str(error)}
            continue
        yield {"network": name, "stack": "reference", **theirs, "speedup": theirs["step_s"] / ours["step_s"]}


def forms(options: Options) -> Iterator[dict[str, Any]]:
    """The sum and the neurons, plain and fast: whether the rule of cost, made on a CPU, holds here."""
    for name in BATCH:
        config, counts, labels = batch_of(options, name)
        for chosen in ({"delayed_sum": PLAIN}, {"delayed_sum": "spectral"}, {"neuron": PLAIN}, {}):
            train = our_step(config, counts, labels)
            with use(**chosen):
                yield {"network": name, "forms": chosen or "chosen", **weighed(train, options)}


def neurons(options: Options) -> Iterator[dict[str, Any]]:
    """Scans of neurons, beside their plain loops, forward and backward."""
    kinds: list[type[Neuron]] = [LIF, SEAdLIF, SiLIF]
    shape = (10, 2, 8) if options.small else (RECURRENT_STEPS, RECURRENT_BATCH, 512)
    for kind in kinds:
        neuron = kind(shape[2], 4.0).to(options.device)
        current = torch.randn(shape, device=options.device, requires_grad=True)
        for form, run in (("fused", run_neuron), ("plain", run_neuron.plain)):
            measured = weighed(lambda run=run: run(neuron, current).sum().backward(), options)  # noqa: B023
            yield {"neuron": kind.__name__, "form": form, **measured}


def recurrent(options: Options) -> Iterator[dict[str, Any]]:
    """A step of three recurrent layers of 256 neurons on SSC's sizes, fused and as a loop."""
    from lit_delays.snn.synapses.recurrent_delays import RecurrentDelays

    sizes = {"num_classes": 35, "hidden_sizes": [8] if options.small else [256] * 3}
    synapses = partial(SynapticDelays, delays="none")
    config = NetworkConfig(**sizes, time_step_ms=4.0, synapses=synapses, recurrent=RecurrentDelays)
    shape = (2, 8) if options.small else (RECURRENT_BATCH, RECURRENT_STEPS)
    counts, labels = make_batch(config, *shape, options.device)
    for form in ({}, {"recurrent": PLAIN}):
        train = our_step(config, counts, labels)
        with use(**form):
            yield {"forms": form or "chosen", **weighed(train, options)}


def precision(options: Options) -> Iterator[dict[str, Any]]:
    """float32, TF32 and bfloat16: time, and the error of the scores."""
    for name in BATCH:
        config, counts, labels = batch_of(options, name)
        network = Network(config).to(options.device).eval()
        with torch.no_grad():
            exact = network.scores(counts)
        for kind in ("highest", "high", "bf16"):
            torch.set_float32_matmul_precision("high" if kind == "high" else "highest")
            with reduced(kind, options.device), torch.no_grad():
                error = (network.scores(counts) - exact).norm() / exact.norm()
            train = our_step(config, counts, labels)

            def run(kind: str = kind, train: Step = train) -> None:
                with reduced(kind, options.device):
                    train()

            yield {"network": name, "precision": kind, "error": float(error), **weighed(run, options)}
        torch.set_float32_matmul_precision("highest")


def reduced(kind: str, device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, dtype=torch.bfloat16) if kind == "bf16" else nullcontext()


def graphs(options: Options) -> Iterator[dict[str, Any]]:
    """A training step whose forward and backward are one CUDA graph, and the error of its gradients."""
    for name in BATCH:
        config, counts, labels = batch_of(options, name)
        yield {"network": name, "form": "as it is", **weighed(our_step(config, counts, labels), options)}
        if options.device != "cuda":
            continue
        yield {"network": name, "form": "CUDA graph", "largest_error": graph_error(config, counts, labels)}
        for form in ({}, {"delayed_sum": PLAIN}):
            with use(**form):
                train = graphed_step(config, counts, labels)
            # no peak of memory: the pool of a graph is filled at its capture, before
            taken = seconds(train, options)
            yield {"network": name, "form": "CUDA graph", "forms": form or "chosen", "step_s": taken}


def graphed_step(config: NetworkConfig, counts: Tensor, labels: Tensor) -> Callable[[], None]:
    """Forward and backward replayed; Adam, whose rates change every step, and constraints as they are."""
    network = Network(config).to(counts.device)
    optimizer = make_optimizer(network, OptimizerConfig())
    graph = graph_of(network, config, counts, labels)

    def run() -> None:
        graph.replay()
        optimizer.step()
        network.constrain()

    return run


def graph_of(network: Network, config: NetworkConfig, counts: Tensor, labels: Tensor) -> torch.cuda.CUDAGraph:
    """Captured after three runs on a stream of their own, which fill the caches of kernels and matrices."""

    def run() -> None:
        F.cross_entropy(class_scores(network(counts), config.decision), labels).backward()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    network.zero_grad(set_to_none=True)  # so that a replay writes the gradients and adds to none
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph


def graph_error(config: NetworkConfig, counts: Tensor, labels: Tensor) -> float:
    """Of a replay after other weights, counts and sigma came in, to the gradients as they are."""
    config = replace(config, dropout=0.0)
    network, counts = Network(config).to(counts.device), counts.clone()
    graph = graph_of(network, config, counts, labels)
    counts.copy_(counts.roll(1, dims=1))
    with torch.no_grad():
        for synapses in network.named_synapses().values():
            synapses.weight.mul_(1.1)
            synapses.sigma.mul_(0.5)  # type: ignore[union-attr]
    graph.replay()
    weights = [synapses.weight for synapses in network.named_synapses().values()]
    mine = [weight.grad.clone() for weight in weights]  # type: ignore[union-attr]
    loss = F.cross_entropy(class_scores(network(counts), config.decision), labels)
    return largest_error(mine, [*torch.autograd.grad(loss, weights)])


def profile(options: Options) -> Iterator[dict[str, Any]]:
    """Where a step spends its time."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    for name in BATCH:
        train = our_step(*batch_of(options, name))
        train()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if options.device == "cuda" else [])]
        with profiled(activities=kinds) as found:
            train()
        of_device = "self_device_time_total" if options.device == "cuda" else "self_cpu_time_total"
        events = sorted(found.key_averages(), key=lambda event: -getattr(event, of_device))[:25]
        top = {event.key[:80]: [round(getattr(event, of_device) / 1000, 3), event.count] for event in events}
        yield {"network": name, "ms_and_calls": top}


PARTS = {
    part.__name__: part
    for part in (equality, epoch, step, forms, neurons, recurrent, precision, graphs, profile)
}

if __name__ == "__main__":
    sys.exit(main())
