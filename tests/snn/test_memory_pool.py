"""Recycled memory: never two owners at a time, and not more of it than was once in use."""

import gc
import mmap
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast import memory_pool as module
from lit_delays.snn.fast.memory_pool import recycled
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.operation import use

CPU = torch.device("cpu")
LARGE = module.LARGE // 4  # numbers


@pytest.fixture(autouse=True)
def _empty_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pool", module._Pool())


def numbers(size: int) -> torch.Tensor:
    return recycled((size,), torch.float32, CPU)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3 * LARGE)), max_size=30))
def test_no_tensor_is_overwritten_while_somebody_holds_it(requests: list[tuple[int, int]]) -> None:
    held: dict[int, torch.Tensor] = {}
    for number, (place, size) in enumerate(requests):
        held[place] = numbers(size).fill_(number)
        number_of = {place: int(tensor[0]) for place, tensor in held.items()}
        assert all(bool((tensor == number_of[place]).all()) for place, tensor in held.items())
    assert len({tensor.data_ptr() for tensor in held.values()}) == len(held)


@pytest.mark.parametrize(
    "view", [lambda x: x[5:], lambda x: x.detach(), lambda x: x.numpy(), lambda x: x.view(torch.uint8)]
)
def test_a_view_keeps_the_memory(view: object) -> None:
    kept = view(numbers(LARGE).fill_(1.0))  # type: ignore[operator]
    before = kept.sum()
    gc.collect()
    numbers(LARGE).fill_(7.0)
    assert kept.sum() == before


def test_what_autograd_saved_is_kept() -> None:
    x = torch.ones(LARGE, requires_grad=True)
    y = numbers(LARGE).fill_(3.0) * x
    numbers(LARGE).fill_(9.0)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full_like(x, 3.0))


def test_a_large_result_may_be_changed_in_place() -> None:
    x, kernel = torch.rand(64, 64, 128), torch.rand(9, 128, 128, requires_grad=True)
    with use(delayed_sum="spectral"):
        for large in (delayed_sum(x, kernel, 64), torch.zeros(1) + delayed_sum(x[:, :1], kernel, 64)):
            large.mul_(2).sum().backward()  # type: ignore[no-untyped-call]
    assert kernel.grad is not None


def test_a_kernel_without_large_pages_has_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def madvise(self, *_: object) -> None:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr("lit_delays.snn.fast.memory_pool.mmap.mmap", Refusing)
    assert numbers(LARGE).fill_(1.0).sum() == LARGE


def test_training_takes_no_more_memory_after_its_first_step() -> None:
    network = Network(NetworkConfig(num_inputs=64, hidden_sizes=[128, 128], num_classes=4))
    counts = torch.randint(0, 2, (60, 48, 64)).float()
    sizes = []
    for _ in range(4):
        network(counts).sum().backward()
        sizes.append([len(buffer.memory) for buffer in module._pool.buffers])
    assert sizes[0]
    assert sizes[1:] == sizes[:1] * 3


def test_what_nobody_takes_any_more_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 3)
    sizes = []
    for size in (LARGE, *[4 * LARGE] * 4, 16 * LARGE):
        numbers(size)
        sizes.append(len(module._pool.buffers))
    assert sizes == [1, 2, 2, 2, 2, 2]  # the first one has gone when the last one came


def test_threads_have_memory_of_their_own() -> None:
    def work(number: int) -> bool:
        mine = numbers(LARGE).fill_(number)
        return all(bool((numbers(LARGE).fill_(-1) == -1).all() & (mine == number).all()) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))


def test_small_tensors_and_empty_ones_are_the_usual_ones() -> None:
    assert recycled((0, 3), torch.float32, CPU).shape == (0, 3)
    numbers(10)
    assert not module._pool.buffers
