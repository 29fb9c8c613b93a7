"""Hard and soft resets, with a gradient through them or without, against tangents carried by NumPy."""

import numpy as np
import pytest
import torch

from lit_delays.snn.neurons import LIF, PLIF, SoftResetLIF
from lit_delays.snn.operation import use
from lit_delays.snn.surrogates import ATan

TAU, THRESHOLD, SLOPE, STEPS = 2.0, 0.8, 5.0, 30
FORMS = [{"neuron": "plain"}, {}]


def reference(current: np.ndarray, soft: bool, detach: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes ``(T, N)``, and their derivatives for the current of every step ``(T, T, N)`` and for the leak.

    No sweep back in time, as everything else here does: derivatives go along with the voltage.
    """
    directions = np.concatenate([np.eye(STEPS), np.zeros((STEPS, 1))], axis=1)  # the last is the leak's
    v, dv = np.zeros(current.shape[1]), np.zeros((STEPS + 1, current.shape[1]))
    spikes, slopes = [], []
    for x, along in zip(current, directions, strict=True):
        h, dh = (1 - 1 / TAU) * v + x, (1 - 1 / TAU) * dv + along[:, None]
        dh[-1] -= v
        s = (h >= THRESHOLD).astype(float)
        ds = dh * (SLOPE / 2) / (1 + (np.pi / 2 * SLOPE * (h - THRESHOLD)) ** 2)
        through = np.zeros_like(ds) if detach else ds
        v = h - THRESHOLD * s if soft else h * (1 - s)
        dv = dh - THRESHOLD * through if soft else dh * (1 - s) - h * through
        spikes.append(s)
        slopes.append(ds)
    return np.stack(spikes), np.stack(slopes)[:, :-1], np.stack(slopes)[:, -1]


@pytest.mark.parametrize("form", FORMS, ids=["plain", "fused"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("cls", [LIF, SoftResetLIF, PLIF])
def test_spikes_and_gradients_are_those_of_the_equation(
    cls: type[LIF], detach: bool, form: dict[str, str]
) -> None:
    rng = np.random.default_rng(0)
    x, probe = rng.normal(0.3, 1.0, (STEPS, 7)), rng.normal(size=(STEPS, 7))
    spikes, by_current, by_leak = reference(x, cls is SoftResetLIF, detach)
    assert 0.1 < spikes.mean() < 0.9
    neuron = cls(
        7, 1.0, tau_mem_ms=TAU, v_threshold=THRESHOLD, surrogate=lambda: ATan(SLOPE), detach_reset=detach
    )
    current = torch.from_numpy(x[:, None]).requires_grad_()
    with use(**form):
        output = neuron.double()(current)
        (output[:, 0] * torch.from_numpy(probe)).sum().backward()
    assert np.array_equal(output[:, 0].detach(), spikes)
    np.testing.assert_allclose(current.grad[:, 0], np.einsum("tn,tsn->sn", probe, by_current), atol=1e-10)
    if cls is PLIF:  # the leak is a sigmoid
        slope = (1 / TAU) * (1 - 1 / TAU)
        expected = (probe * by_leak).sum() * slope
        torch.testing.assert_close(neuron.leak_logit.grad.item(), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("cls", [LIF, SoftResetLIF, PLIF])
def test_a_neuron_right_at_its_threshold_fires(cls: type[LIF]) -> None:
    current = torch.tensor([0.0, 1.0, 0.0, -1.0]).view(4, 1, 1)
    for form in FORMS:
        with use(**form):
            assert cls(1, 1.0, tau_mem_ms=2.0)(current).flatten().tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_soft_reset_keeps_what_exceeds_the_threshold() -> None:
    current = torch.tensor([2.5, 0.0, 0.0, 0.0]).view(4, 1, 1)
    assert SoftResetLIF(1, 1.0, tau_mem_ms=99.0, v_threshold=0.7)(current).flatten().tolist() == [1, 1, 1, 0]
    assert LIF(1, 1.0, tau_mem_ms=99.0, v_threshold=0.7)(current).flatten().tolist() == [1, 0, 0, 0]
