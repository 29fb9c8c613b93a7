"""The GPU kernels are the plain loops: on a GPU, and in Triton's interpreter where there is none."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from lit_delays.components import subclasses
from lit_delays.snn.neurons import LIF, PLIF, Neuron, SoftResetLIF, TwoStateNeuron
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.operation import use
from lit_delays.snn.recurrence import run_recurrent
from lit_delays.snn.surrogates import Surrogate
from lit_delays.snn.synapses import RecurrentDelays

SURROGATES = [cls for cls in subclasses(Surrogate) if cls.__module__.startswith("lit_delays.")]
TWO_STATES = [cls for cls in subclasses(TwoStateNeuron) if cls.__module__.startswith("lit_delays.")]

IN_THE_INTERPRETER = """
import torch
from lit_delays.components import subclasses
from lit_delays.snn.fast import lif_triton
from lit_delays.snn.fast.lif_scan import LifKernels
from lit_delays.snn.fast.neuron_steps import TwoStateSteps, steps_of
from lit_delays.snn.fast.recurrent_scan import RecurrentKernels, _taps
from lit_delays.snn.fast.two_state_scan import Kernels
from lit_delays.snn.neurons import LIF, PLIF, SEAdLIF, SoftResetLIF, TwoStateNeuron
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.operation import use
from lit_delays.snn.recurrence import run_recurrent
from lit_delays.snn.synapses import RecurrentDelays
from lit_delays.snn.surrogates import ATan, Surrogate

torch.manual_seed(0)

def same(plain, kernels, inputs):
    assert torch.equal(plain, kernels) and plain.any()
    probe = torch.randn_like(plain)
    pairs = [torch.autograd.grad(output, inputs, probe) for output in (plain, kernels)]
    for theirs, mine in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))

def two_states(neuron, steps=6):
    x = (20 * torch.randn(steps, 3, 101)).requires_grad_()
    kernels = Kernels.apply(x, TwoStateSteps, neuron, *TwoStateSteps.learned_by(neuron))
    same(run_neuron.plain(neuron, x), kernels, (x, *neuron.parameters()))

for cls in subclasses(TwoStateNeuron):
    two_states(cls(101, 4.0, surrogate=ATan))
for surrogate in subclasses(Surrogate):
    two_states(SEAdLIF(101, 4.0, surrogate=surrogate))
    neuron = LIF(101, 1.0, tau_mem_ms=4.0, v_threshold=0.5, surrogate=surrogate)
    for steps in (1, 7):
        x = torch.randn(steps, 3, 101, requires_grad=True)
        plain = run_neuron.plain(neuron, x)
        spikes, v_mem = lif_triton.lif_forward(x.detach(), 0.75, 0.5)
        assert torch.equal(spikes, plain)
        grad = torch.randn_like(plain)
        mine = lif_triton.lif_backward(grad, v_mem, 0.75, 0.5, neuron.surrogate)
        torch.testing.assert_close(mine, torch.autograd.grad(plain, x, grad)[0], rtol=1e-5, atol=1e-5)
two_states(SEAdLIF(101, 4.0), steps=2)
for cls in (LIF, PLIF, SoftResetLIF):
    for detach in (True, False):
        neuron = cls(101, 1.0, tau_mem_ms=4.0, v_threshold=0.5, detach_reset=detach)
        x = torch.randn(7, 3, 101, requires_grad=True)
        kernels = LifKernels.apply(x, neuron.leak, neuron)
        same(run_neuron.plain(neuron, x), kernels, (x, *neuron.parameters()))

def recurrent(neuron, steps, batch=18):
    synapses = RecurrentDelays(70, 70, 4.0)
    synapses.sigma.fill_(2.0)
    x = (20 * torch.randn(steps, batch, 70)).requires_grad_()
    mask = (torch.rand(batch, 70) > 0.3).float()
    kind = steps_of(neuron)
    inputs = x, mask, *_taps(synapses), kind, neuron, *kind.learned_by(neuron)
    with use(recurrent="plain", delayed_each="plain"):
        plain = run_recurrent(neuron, synapses, x, mask)
    learned = neuron.parameters() if steps > 1 else ()
    delays = synapses.parameters() if steps > 1 else ()
    same(plain, RecurrentKernels.apply(*inputs), (x, *learned, *delays))

for cls in subclasses(TwoStateNeuron):
    recurrent(cls(70, 4.0, surrogate=ATan), steps=5)
for cls in (LIF, PLIF, SoftResetLIF):
    for detach in (True, False):
        recurrent(cls(70, 4.0, detach_reset=detach), steps=7)
recurrent(LIF(70, 4.0), steps=1, batch=1)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_are_the_plain_loops_in_tritons_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", IN_THE_INTERPRETER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


FOR_A_GPU = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from lit_delays.snn.fast import lif_triton, recurrent_triton, two_state_triton

NUMBERS = dict.fromkeys(["gain", "v_threshold", "keep"], "fp32")
SIZES = dict.fromkeys(["num_steps", "last", "num_samples", "num_neurons", "num_lags", "size"], "i32")
FLOAT = dict.fromkeys(["c", "sums"], "*fp32")

def compiled(kernel, dtype, fuses=False, **constants):
    known = NUMBERS | SIZES | FLOAT | dict.fromkeys(constants, "constexpr")
    signature = {name: known.get(name, dtype) for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    code = compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": fuses})
    assert ("fma.rn" in code.asm["ptx"]) == fuses, kernel
    assert "tf32" not in code.asm["ptx"], kernel

for kernel in (two_state_triton._forward, two_state_triton._backward):
    compiled(kernel, "*fp32", STRICT=True, RESETS=True, BLOCK=256)
    compiled(kernel, "*bf16", STRICT=False, RESETS=False, BLOCK=256)
compiled(two_state_triton._backward, "*fp32", num_steps=1, STRICT=True, RESETS=True, BLOCK=256)
for soft in (True, False):
    compiled(lif_triton._forward, "*fp32", SOFT=soft, BLOCK=256)
    compiled(lif_triton._backward, "*fp32", SOFT=soft, DETACH=soft, BLOCK=256)
sizes = {"fuses": True, "STRICT": True, "SAMPLES": 16, "NEURONS": 64}
for reset in range(3):
    compiled(recurrent_triton._forward, "*fp32", RESET=reset, **sizes)
    compiled(recurrent_triton._backward, "*fp32", RESET=reset, DETACH=reset == 0, **sizes)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_compile_for_a_gpu_and_fuse_only_where_they_may(tmp_path) -> None:
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run([sys.executable, "-c", FOR_A_GPU], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("cls", [LIF, PLIF, SoftResetLIF, *TWO_STATES], ids=lambda cls: cls.__name__)
def test_the_kernels_are_the_plain_loops_on_a_gpu(cls: type[Neuron], surrogate: type[Surrogate]) -> None:
    neuron = cls(101, 4.0, surrogate=surrogate).cuda()  # type: ignore[call-arg]
    x = (20 * torch.randn(30, 3, 101)).cuda().requires_grad_()
    spikes = [run_neuron.plain(neuron, x), run_neuron(neuron, x)]
    assert torch.equal(*spikes)
    probe, inputs = torch.randn_like(x), (x, *neuron.parameters())
    for theirs, mine in zip(*(torch.autograd.grad(s, inputs, probe) for s in spikes), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.gpu
@needs_a_gpu
@pytest.mark.parametrize("cls", [LIF, PLIF, SoftResetLIF, *TWO_STATES], ids=lambda cls: cls.__name__)
def test_recurrent_neurons_are_the_plain_loop_on_a_gpu(cls: type[Neuron]) -> None:
    """Sums have another order there: a spike in ten thousand may fall on the other side."""
    neuron, synapses = cls(101, 4.0).cuda(), RecurrentDelays(101, 101, 4.0).cuda()
    synapses.sigma.fill_(2.0)
    x, mask = (20 * torch.randn(30, 35, 101)).cuda().requires_grad_(), torch.ones(35, 101).cuda()
    kernels = run_recurrent(neuron, synapses, x, mask)
    with use(recurrent="plain", delayed_each="plain"):
        plain = run_recurrent(neuron, synapses, x, mask)
    assert (kernels != plain).float().mean() < 1e-4
    probe, inputs = torch.randn_like(x), (x, *neuron.parameters(), *synapses.parameters())
    for theirs, mine in zip(*(torch.autograd.grad(s, inputs, probe) for s in (plain, kernels)), strict=True):
        assert (mine - theirs).norm() < 1e-2 * theirs.norm()
