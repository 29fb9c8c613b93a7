import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_delays.training.schedules import cosine, one_cycle, sigma_at

SHAPES = ("exponential", "linear", "cosine", "constant")


def optimizer() -> torch.optim.Adam:
    return torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.1)


@given(num_epochs=st.integers(1, 200))
def test_one_cycle_is_what_torch_runs(num_epochs):
    adam = optimizer()
    torchs = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=0.005, total_steps=num_epochs)
    for epoch in range(num_epochs):
        rate, beta1 = one_cycle(epoch, num_epochs)
        assert 0.005 * rate == pytest.approx(adam.param_groups[0]["lr"], rel=1e-12)
        assert beta1 == pytest.approx(adam.param_groups[0]["betas"][0], rel=1e-12)
        adam.step()
        if epoch + 1 < num_epochs:
            torchs.step()


def test_cosine_is_what_torch_runs():
    adam = optimizer()
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=150)
    for epoch in range(150):
        assert 0.1 * cosine(epoch, 150) == pytest.approx(adam.param_groups[0]["lr"], rel=1e-9)
        adam.step()
        torchs.step()


@pytest.mark.parametrize("shape", SHAPES)
def test_sigma_goes_from_start_to_final_and_stays(shape):
    widths = [sigma_at(e, shape, start=12.27, final=0.5, num_epochs=37) for e in range(60)]
    assert widths[0] == pytest.approx(0.5 if shape == "constant" else 12.27)
    assert widths[37:] == pytest.approx([0.5] * 23)
    assert widths == sorted(widths, reverse=True)


def test_the_exponential_is_the_references_decay_of_the_width_above_its_floor():
    above = 12.0
    for epoch in range(37):
        sigma = sigma_at(epoch, "exponential", start=12.27, final=0.5, num_epochs=37)
        assert sigma - 0.27 == pytest.approx(above)
        above *= (0.23 / 12) ** (1 / 37)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_too_short_to_anneal_has_the_final_sigma(shape):
    assert sigma_at(0, shape, start=12.27, final=0.5, num_epochs=0) == pytest.approx(0.5)


def test_an_exponential_may_end_below_the_floor():
    assert sigma_at(4, "exponential", start=3.0, final=0.1, num_epochs=4) == pytest.approx(0.1)
