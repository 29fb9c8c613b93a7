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
from lit_delays.snn.surrogates import Surrogate

SURROGATES = [cls for cls in subclasses(Surrogate) if cls.__module__.startswith("lit_delays.")]
TWO_STATES = [cls for cls in subclasses(TwoStateNeuron) if cls.__module__.startswith("lit_delays.")]

IN_THE_INTERPRETER = """
import torch
from lit_delays.components import subclasses
from lit_delays.snn.fast import lif_triton
from lit_delays.snn.fast.neuron_steps import TwoStateSteps
from lit_delays.snn.fast.two_state_scan import Kernels
from lit_delays.snn.neurons import LIF, SEAdLIF, TwoStateNeuron
from lit_delays.snn.neurons.base import run_neuron
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
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_are_the_plain_loops_in_tritons_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", IN_THE_INTERPRETER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
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
