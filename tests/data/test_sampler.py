import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_delays.data.sampler import EpochSampler
from lit_delays.errors import InputError

sizes = st.integers(1, 40)


@given(num_samples=sizes, batch_size=sizes, epoch=st.integers(0, 3))
def test_one_process_sees_every_sample_once_an_epoch(num_samples, batch_size, epoch):
    sampler = EpochSampler(num_samples, batch_size, shuffle=True)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(np.concatenate(batches)) == list(range(num_samples))
    assert all(len(batch) == batch_size for batch in batches[:-1])


@given(num_samples=sizes, batch_size=sizes, world_size=st.integers(2, 5), shuffle=st.booleans())
def test_several_processes_share_an_epoch(num_samples, batch_size, world_size, shuffle):
    num_samples = max(num_samples, world_size)
    ranks = [
        list(EpochSampler(num_samples, batch_size, shuffle, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    seen = np.concatenate([batch for batches in ranks for batch in batches])
    assert {len(batches) for batches in ranks} == {
        len(EpochSampler(num_samples, batch_size, shuffle, world_size=world_size))
    }
    assert all(0 < len(batch) <= max(batch_size, 2) for batches in ranks for batch in batches)
    assert set(seen.tolist()) == set(range(num_samples))
    if shuffle:
        assert len({sum(map(len, batches)) for batches in ranks}) == 1
    else:
        assert len(seen) == num_samples


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        sampler = EpochSampler(50, 50, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return next(iter(sampler)).tolist()

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_an_epoch_that_was_begun_goes_on_and_the_next_is_whole():
    sampler = EpochSampler(50, 7, shuffle=True)
    sampler.set_epoch(3)
    whole = [batch.tolist() for batch in sampler]
    again = EpochSampler(50, 7, shuffle=True)
    again.go_on(3, num_seen=5)
    assert [batch.tolist() for batch in again] == whole[5:]
    assert [batch.tolist() for batch in again] == whole


def test_an_epoch_in_order_is_in_order():
    assert [batch.tolist() for batch in EpochSampler(5, 2)] == [[0, 1], [2, 3], [4]]


def test_no_process_gets_an_empty_batch():
    ranks = [list(EpochSampler(5, 1, rank=rank, world_size=2)) for rank in range(2)]
    assert [[batch.tolist() for batch in batches] for batches in ranks] == [[[0, 2], [4]], [[1], [3]]]


def test_an_epoch_in_order_of_several_processes_goes_on_too():
    sampler = EpochSampler(11, 2, rank=1, world_size=2)
    whole = [batch.tolist() for batch in sampler]
    sampler.go_on(0, num_seen=1)
    assert [batch.tolist() for batch in sampler] == whole[1:]
    assert [batch.tolist() for batch in sampler] == whole


@pytest.mark.parametrize("shuffle", [False, True])
def test_fewer_samples_than_devices_are_refused(shuffle):
    sentence = (
        "`--trainer.devices` must be at most the number of samples to share, 3, got 4; give fewer devices."
    )
    with pytest.raises(InputError, match="^" + sentence + "$"):
        EpochSampler(3, 8, shuffle, world_size=4)
