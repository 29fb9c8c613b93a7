"""Time and memory of one layer, forward and backward, beside the published loops.

Each measurement runs in a process of its own; a peer takes turns. Give the folder of its checkout: github
Maxtimer97/SSM-inspired-LIF for silif, IGITUGraz/SE-adlif for se_adlif, and alexmaxad/DelRec, beside
SpikingJelly, for recurrent_axonal and recurrent_synaptic, whose delays are 0 to 24 steps and sigma 10. Of
se_adlif the product of weights counts on both sides with `--with-product`, on neither without.

    python benchmarks/layers.py --layer silif --num-steps 250 --batch-size 128 --neurons 360 --json
    python benchmarks/layers.py --layer se_adlif --peer CHECKOUT --with-product
    python benchmarks/layers.py --layer recurrent_axonal --neurons 256 --peer CHECKOUT
    python benchmarks/layers.py --layer axonal --neurons 256    # and dendritic, synaptic: between two layers
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lit_delays.snn import neurons
from lit_delays.snn.delays import SummedDelays, Uniform
from lit_delays.snn.recurrence import Recurrence
from lit_delays.snn.synapses import RecurrentDelays, StructuredDelays, Synapses, SynapticDelays

LAYERS = {
    "lif": neurons.LIF,
    "soft_reset_lif": neurons.SoftResetLIF,
    "adlif": neurons.AdLIF,
    "cadlif": neurons.CAdLIF,
    "silif": neurons.SiLIF,
    "csilif": neurons.CSiLIF,
    "ef_adlif": neurons.EFAdLIF,
    "se_adlif": neurons.SEAdLIF,
}
STEP_MS = 4.0
RECURRENT = {"recurrent_axonal": ("axonal",), "recurrent_synaptic": ("synaptic",)}
BETWEEN = {"axonal": ("axonal",), "dendritic": ("dendritic",), "synaptic": None}
LONGEST, SIGMA = 24, 10.0  # steps

Run = Callable[[Tensor], Tensor]


def main() -> None:
    options = parse()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    stacks = ["ours", *(["peer"] if options.peer else [])]
    rounds = [{stack: in_a_process(stack) for stack in stacks} for _ in range(options.rounds)]
    result = {name: middle(turn["ours"][name] for turn in rounds) for name in ("step_s", "peak_mb")}
    if options.peer:
        result |= {f"peer_{name}": middle(turn["peer"][name] for turn in rounds) for name in dict(result)}
        result["speedup"] = middle(turn["peer"]["step_s"] / turn["ours"]["step_s"] for turn in rounds)
        result["memory_ratio"] = middle(turn["ours"]["peak_mb"] / turn["peer"]["peak_mb"] for turn in rounds)
    if not options.json:
        for name, value in result.items():
            print(f"{name:14} {value:.3f}")
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layer", choices=[*LAYERS, *RECURRENT, *BETWEEN], default="silif")
    parser.add_argument("--num-steps", type=int, default=250)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--neurons", type=int, default=360)
    parser.add_argument("--with-product", action="store_true", help="count a product of weights before it")
    parser.add_argument(
        "--peer", type=Path, help="checkout of the published code: also time its loop, in turn"
    )
    parser.add_argument("--rounds", type=int, default=5, help="processes of each")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps in each process")
    parser.add_argument("--json", action="store_true", help="print one line of JSON alone")
    parser.add_argument("--measure", choices=["ours", "peer"], help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median time of a forward and a backward pass, and the memory that they took, in this process."""
    torch.manual_seed(0)
    run = (ours if options.measure == "ours" else peer)(options)
    current = torch.randn(options.num_steps, options.batch_size, options.neurons, requires_grad=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        run(current).sum().backward()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"step_s": statistics.median(seconds[1:]), "peak_mb": (peak - before) / 1024}


def ours(options: argparse.Namespace) -> Run:
    if options.layer not in LAYERS:
        return delayed(options.layer, options.neurons)
    neuron = LAYERS[options.layer](options.neurons, STEP_MS)
    if not options.with_product:
        return neuron
    return nn.Sequential(nn.Linear(options.neurons, options.neurons), neuron)


def delayed(layer: str, size: int) -> Run:
    """Recurrent delays with their neurons, or delays between two layers alone."""
    start = partial(Uniform, high_ms=LONGEST * STEP_MS)
    if layer in RECURRENT:
        rule = partial(SummedDelays, learned=RECURRENT[layer], start=start)
        recurrence = Recurrence(RecurrentDelays(size, size, STEP_MS, delays=rule))
        recurrence.synapses.sigma.fill_(SIGMA)
        return partial(recurrence, neurons.LIF(size, STEP_MS, tau_mem_ms=2 * STEP_MS))
    options: dict[str, Any] = {"max_delay_ms": LONGEST * STEP_MS, "keep_length": True}
    if BETWEEN[layer] is None:
        synapses: Synapses = SynapticDelays(size, size, STEP_MS, **options)
    else:
        rule = partial(SummedDelays, learned=BETWEEN[layer], start=start)
        synapses = StructuredDelays(size, size, STEP_MS, delays=rule, **options)
    synapses.sigma.fill_(SIGMA)
    return synapses


def delrec(options: argparse.Namespace) -> Run:
    """The published layer with the same delays; its reset and its surrogate are those of its code for SHD."""
    from spikingjelly.activation_based import functional, neuron, surrogate
    from src.recurrent_neurons import axonal_recdel, synaptic_recdel

    config = SimpleNamespace(
        step_mode="m", store_v_seq=False, tau=2.0, decay_input=False, v_reset=0.0, v_threshold=1.0,
        surrogate_function=surrogate.ATan(5.0), detach_reset=True, backend="torch", sigma_init=SIGMA,
        recurrent_dropout_rate=0.0, use_sig_p=False, rec_delay_init_gain=1.0, init_rec_delay="uniform",
        init_recdel_offset=0, max_rec_delay=LONGEST,
    )  # fmt: skip
    kind = axonal_recdel if options.layer == "recurrent_axonal" else synaptic_recdel
    layer = kind(config, options.neurons, lambda backend, **others: neuron.LIFNode(**others))

    def run(x: Tensor) -> Tensor:
        functional.reset_net(layer)
        return layer(x)

    return run


def peer(options: argparse.Namespace) -> Run:
    sys.path.insert(0, str(options.peer))
    if options.layer in RECURRENT:
        return delrec(options)
    if options.layer == "silif":
        from models.snns import SiLIFLayer

        layer = SiLIFLayer(options.neurons, options.neurons, options.batch_size)
        return lambda x: layer._rf_cell(x.transpose(0, 1)).transpose(0, 1)
    if options.layer == "se_adlif":
        from models.alif import SEAdLIF

        sizes = {"input_size": options.neurons, "n_neurons": options.neurons, "use_recurrent": False}
        ranges = {"tau_u_range": [5, 25], "tau_w_range": [60, 300], "q": 120}
        cell = SEAdLIF(Options(sizes | ranges))
        if not options.with_product:
            import models.alif

            models.alif.F = SimpleNamespace(linear=lambda x, weight, bias: x)
        return lambda x: loop(cell, x)
    raise SystemExit(f"there is no peer for --layer {options.layer}; choose silif, se_adlif or recurrent_...")


class Options(dict):
    """Options by attribute, as the published code wants them."""

    __getattr__ = dict.__getitem__


def loop(cell: nn.Module, x: Tensor) -> Tensor:
    state, outputs = cell.initial_state(x.shape[1], x.device), []
    for now in x:
        output, state = cell(now, state)
        outputs.append(output)
    return torch.stack(outputs)


def in_a_process(stack: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", stack]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, float] = json.loads(printed.splitlines()[-1])
    return measured


middle = statistics.median

if __name__ == "__main__":
    main()
