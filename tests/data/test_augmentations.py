import math
import re

import lightning.pytorch as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lit_delays.data.augmentations import (
    AugmentConfig,
    add_noise,
    augmented,
    cut_mix,
    generator_of,
    mask_channels,
    mask_time,
)
from lit_delays.data.batches import DenseBatch
from lit_delays.data.datasets import Patterns
from lit_delays.data.module import SpikeData
from lit_delays.data.warps import drop_events, jitter_times, scale_values, shift_channels, stretch_time
from lit_delays.errors import InputError
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.time_grid import TimeGrid
from lit_delays.training.classifier import DelayClassifier

EVERYTHING = AugmentConfig(
    scale=0.2, channel_shift=2, time_stretch=0.3, time_jitter_ms=10, drop_probability=0.1,
    noise=0.3, time_mask_ms=50, channel_mask=3, cutmix_probability=0.5,
)  # fmt: skip
NUM_CLASSES = 4

sizes = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 6))
seeds = st.integers(0, 10**6)


def told_apart(num_steps, num_samples, num_channels):
    """Counts of which no two are equal, none 0."""
    size = (num_steps, num_samples, num_channels)
    return torch.arange(1.0, 1 + math.prod(size)).view(size)


def runs(flags):
    """Lengths of the stretches of True in a row."""
    return [len(run) for run in re.findall("1+", "".join(str(int(flag)) for flag in flags))]


@given(size=sizes, longest=st.integers(1, 12), seed=seeds)
def test_a_time_mask_is_one_stretch_of_all_channels_and_nothing_else_changes(size, longest, seed):
    counts = told_apart(*size)
    masked = mask_time(counts, longest, 1.0, generator_of(seed))
    assert bool(((masked == counts) | (masked == 0)).all())
    for sample in masked.unbind(1):
        silent = (sample == 0).all(dim=1)
        assert torch.equal(silent, (sample == 0).any(dim=1))
        (length,) = runs(silent)
        assert 1 <= length <= min(longest, size[0])


@given(size=sizes, widest=st.integers(1, 8), seed=seeds)
def test_a_channel_mask_is_a_time_mask_of_the_other_axis(size, widest, seed):
    counts = told_apart(*size)
    turned = mask_time(counts.transpose(0, 2), widest, 1.0, generator_of(seed)).transpose(0, 2)
    assert torch.equal(mask_channels(counts, widest, 1.0, generator_of(seed)), turned)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_as_many_samples_are_masked_as_asked_each_length_and_place_as_often(probability):
    masked = mask_time(torch.ones(10, 40_000, 1), 4, probability, generator_of(0))
    silent = masked[:, :, 0] == 0
    lengths = silent.sum(dim=0)
    assert float((lengths > 0).float().mean()) == pytest.approx(probability, abs=0.01)
    for length in (1, 2, 3, 4):
        chosen = silent[:, lengths == length]
        assert chosen.shape[1] / 40_000 == pytest.approx(probability / 4, abs=0.01)
        starts = torch.bincount(chosen.float().argmax(dim=0), minlength=10)[: 11 - length]
        shares = starts / starts.sum().clamp(min=1)
        expected = 1 / (11 - length) if probability else 0.0
        torch.testing.assert_close(shares, torch.full_like(shares, expected), atol=0.02, rtol=0)


@given(size=sizes, furthest=st.integers(0, 8), seed=seeds)
def test_a_shift_moves_a_whole_sample_and_loses_what_leaves(size, furthest, seed):
    counts = told_apart(*size)
    moved = shift_channels(counts, furthest, generator_of(seed))
    for before, after in zip(counts.unbind(1), moved.unbind(1), strict=True):
        shifts = range(-furthest, furthest + 1)
        padded = F.pad(before, (furthest, furthest))
        ways = [padded[:, furthest - shift :][:, : size[2]] for shift in shifts]
        assert any(torch.equal(way, after) for way in ways)


def test_every_shift_is_as_frequent():
    moved = shift_channels(torch.eye(7)[3].expand(1, 70_000, 7), 2, generator_of(0))
    shares = moved[0].mean(dim=0)
    torch.testing.assert_close(shares, torch.tensor([0, 1, 1, 1, 1, 1, 0]) / 5, atol=0.01, rtol=0)


@given(size=sizes, most=st.floats(0, 3), seed=seeds)
def test_a_stretch_keeps_the_order_and_says_the_new_length(size, most, seed):
    num_steps, num_samples, num_channels = size
    counts = told_apart(*size)
    lengths = torch.randint(1, num_steps + 1, (num_samples,), generator=generator_of(seed))
    moved, found = stretch_time(counts, lengths, most, generator_of(seed))
    assert moved.shape == counts.shape
    for index, (before, after) in enumerate(zip(lengths.tolist(), found.tolist(), strict=True)):
        assert 1 <= after <= num_steps
        assert before / (1 + most) - 0.5 <= max(after, 0.5)
        assert after <= before * (1 + most) + 0.5 or after == 1
        assert not moved[after:, index].any()
        source = (moved[:after, index, 0] - counts[0, index, 0]) / (num_samples * num_channels)
        assert bool((source.diff() >= 0).all())
        assert source[0] >= 0
        assert source[-1] <= before - 1
        if most == 0:
            assert torch.equal(moved[:after, index], counts[:before, index])


def test_paces_are_as_often_slow_as_fast_and_the_whole_sample_comes_with_them():
    lengths = torch.full((5000,), 100)
    counts = torch.arange(1.0, 251).view(250, 1, 1).expand(250, 5000, 1)
    moved, found = stretch_time(counts, lengths, 1.0, generator_of(0))
    factors = found / 100
    assert 0.5 <= factors.min() < 0.51
    assert 1.98 < factors.max() <= 2
    assert float(factors.log().mean()) == pytest.approx(0, abs=0.02)
    last = moved[:, :, 0].gather(0, (found - 1).unsqueeze(0))[0]
    assert last.min() >= 98  # of 100; the fastest take every other step
    middle = moved[:, :, 0].gather(0, (found // 2).unsqueeze(0))[0]
    assert (middle - 50).abs().max() <= 2


ONE_EACH = {
    "scale": (0.5, lambda x, n, g: (scale_values(x, 0.5, g), n)),
    "channel_shift": (2, lambda x, n, g: (shift_channels(x, 2, g), n)),
    "time_stretch": (0.5, lambda x, n, g: stretch_time(x, n, 0.5, g)),
    "time_jitter_ms": (30.0, lambda x, n, g: (jitter_times(x, n, 3.0, g), n)),
    "drop_probability": (0.3, lambda x, n, g: (drop_events(x, 0.3, g), n)),
}


@pytest.mark.parametrize("option", ONE_EACH)
def test_each_option_is_its_function_in_steps(option):
    amount, function = ONE_EACH[option]
    counts, labels, lengths = told_apart(20, 6, 8), torch.arange(6) % NUM_CLASSES, torch.arange(15, 21)
    expected, real = function(counts, lengths, generator_of(3))
    config = AugmentConfig(**{option: amount})
    assert config.is_on
    assert not torch.equal(expected, counts)
    batch = augmented(
        counts, labels, config, num_classes=4, time_step_ms=10, generator=generator_of(3), lengths=lengths
    )
    assert torch.equal(batch.counts(), expected)
    assert torch.equal(batch.lengths, real)


@given(size=sizes, std=st.floats(0.1, 5), seed=seeds)
def test_jitter_loses_no_spike_and_leaves_no_sample(size, std, seed):
    lengths = torch.randint(1, size[0] + 1, (size[1],), generator=generator_of(seed))
    real = (torch.arange(size[0]).unsqueeze(1) < lengths).unsqueeze(2)
    counts = torch.ones(size) * real
    moved = jitter_times(counts, lengths, std, generator_of(seed))
    assert torch.equal(moved * real, moved)
    torch.testing.assert_close(moved.sum(0), counts.sum(0))


def test_jitter_is_as_wide_as_it_says():
    counts = F.one_hot(torch.tensor(50), 101).float().view(101, 1, 1).expand(101, 100, 100)
    moved = jitter_times(counts, torch.full((100,), 101), 3.0, generator_of(0)).mean(dim=(1, 2))
    away = torch.arange(101) - 50.0
    assert float((moved * away**2).sum().sqrt()) == pytest.approx((9 + 1 / 12) ** 0.5, rel=0.02)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_as_many_events_are_dropped_as_asked(probability):
    kept = drop_events(torch.ones(100, 100, 10), probability, generator_of(0))
    assert float(kept.mean()) == pytest.approx(1 - probability, abs=0.005)


def test_a_gain_is_one_of_a_sample_and_in_its_range():
    factors = scale_values(torch.ones(3, 5000, 2), 0.5, generator_of(0))
    assert torch.equal(factors, factors[:1, :, :1].expand(3, 5000, 2))
    assert 1 / 1.5 <= factors.min() < 0.67
    assert 1.49 < factors.max() <= 1.5
    assert float(factors[0, :, 0].log().mean()) == pytest.approx(0, abs=0.01)


@given(size=sizes, std=st.floats(0.01, 3), seed=seeds)
def test_noise_only_ever_adds_whole_spikes(size, std, seed):
    added = add_noise(torch.zeros(size), std, generator_of(seed))
    assert bool((added >= 0).all())
    assert torch.equal(added, added.round())
    counts = told_apart(*size)
    assert torch.equal(add_noise(counts, std, generator_of(seed)), counts + added)


@pytest.mark.parametrize(("std", "share"), [(0.25, 0.0455), (0.15, 0.00086), (1.0, 0.6171)])
def test_noise_of_a_width_makes_the_spikes_that_its_tail_says(std, share):
    assert share == pytest.approx(math.erfc(0.5 / std / math.sqrt(2)), abs=1e-4)
    added = add_noise(torch.zeros(100, 100, 100), std, generator_of(0))
    assert float((added > 0).float().mean()) == pytest.approx(share, abs=2e-3, rel=0.05)


@given(size=sizes, probability=st.sampled_from([0.0, 0.5, 1.0]), seed=seeds)
def test_cutmix_takes_a_stretch_of_the_next_sample_and_as_much_of_its_label(size, probability, seed):
    counts, labels = told_apart(*size), torch.arange(size[1]) % NUM_CLASSES
    mixed, shares = cut_mix(counts, labels, NUM_CLASSES, probability, generator_of(seed))
    for sample in range(size[1]):
        other = (sample + 1) % size[1]
        foreign = (mixed[:, sample] == counts[:, other]).all(dim=1)
        own = (mixed[:, sample] == counts[:, sample]).all(dim=1)
        assert bool((own | foreign).all())
        if size[1] > 1:
            assert len(runs(foreign)) <= 1
            expected = torch.zeros(NUM_CLASSES)
            expected[labels[sample]] += own.float().mean()
            expected[labels[other]] += foreign.float().mean()
            torch.testing.assert_close(shares[sample], expected)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(size[1]))


def test_cutmix_of_no_sample_is_the_plain_loss():
    counts, labels = told_apart(5, 3, 2), torch.tensor([2, 0, 1])
    mixed, shares = cut_mix(counts, labels, NUM_CLASSES, 0.0, generator_of(0))
    scores = torch.randn(3, NUM_CLASSES)
    assert torch.equal(mixed, counts)
    torch.testing.assert_close(F.cross_entropy(scores, shares), F.cross_entropy(scores, labels))


@settings(max_examples=20)
@given(key=st.lists(st.integers(0, 10**6), min_size=4, max_size=4), place=st.integers(0, 3))
def test_a_batchs_numbers_depend_on_its_whole_key_and_on_nothing_else(key, place):
    torch.manual_seed(key[0])
    before = torch.get_rng_state()
    one, same = (torch.rand(4, generator=generator_of(*key)) for _ in range(2))
    key[place] += 1
    assert torch.equal(one, same)
    assert not torch.equal(one, torch.rand(4, generator=generator_of(*key)))
    assert torch.equal(before, torch.get_rng_state())


def test_everything_together_keeps_the_shape_and_touches_no_input():
    counts, labels = told_apart(30, 6, 8), torch.arange(6) % NUM_CLASSES
    kept = counts.clone()
    batch = augmented(
        counts, labels, EVERYTHING, num_classes=NUM_CLASSES, time_step_ms=10, generator=generator_of(0)
    )
    assert batch.counts().shape == counts.shape
    assert batch.labels.shape == (6, NUM_CLASSES)
    assert torch.equal(counts, kept)
    masks = AugmentConfig(time_mask_ms=20, mask_probability=1)
    batch = augmented(
        counts, labels, masks, num_classes=NUM_CLASSES, time_step_ms=10, generator=generator_of(0)
    )
    assert torch.equal(batch.labels, labels)
    assert int((batch.counts() == 0).all(dim=2).sum(dim=0).max()) == 2


@pytest.mark.parametrize(("step", "mask"), [(1.1, 33), (0.7, 21)])
def test_a_time_mask_of_a_whole_number_of_steps_is_up_to_that_many(step, mask):
    config = AugmentConfig(time_mask_ms=mask, mask_probability=1)
    counts, labels = torch.ones(99, 2000, 1), torch.zeros(2000, dtype=torch.int64)
    batch = augmented(counts, labels, config, num_classes=1, time_step_ms=step, generator=generator_of(0))
    assert int((batch.counts() == 0).sum(dim=0).max()) == 30


class Listener(DelayClassifier):
    """Notes what it is fed in each stage."""

    def __init__(self):
        super().__init__(NetworkConfig(num_inputs=20, num_classes=10, hidden_sizes=[4]))
        self.fed = {"train": [], "val": [], "test": []}

    def _step(self, stage, batch):
        self.fed[stage].append((self.current_epoch, batch.counts().clone(), batch.labels.clone()))
        return super()._step(stage, batch)


def train(folder, augment, max_epochs=2, ckpt_path=None, test=False):
    """A network after a short training on generated patterns, which knows what it was fed."""
    torch.manual_seed(0)
    model, data = Listener(), SpikeData(Patterns, batch_size=24, augment=augment)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        limit_train_batches=3,
        limit_val_batches=1,
        limit_test_batches=1,
        default_root_dir=folder,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
    )
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    trainer.save_checkpoint(folder / f"{max_epochs}.ckpt")
    if test:
        trainer.test(model, data, verbose=False)
    return model


def same(fed, others):
    return len(fed) == len(others) and all(
        one[0] == other[0] and torch.equal(one[1], other[1]) and torch.equal(one[2], other[2])
        for one, other in zip(fed, others, strict=True)
    )


def test_only_training_is_augmented(tmp_path):
    plain, changed = (train(tmp_path, config, test=True) for config in (AugmentConfig(), EVERYTHING))
    for stage in ("val", "test"):
        assert len(plain.fed[stage]) > 0
        assert same(plain.fed[stage], changed.fed[stage])
    pairs = zip(plain.fed["train"], changed.fed["train"], strict=True)
    assert not any(torch.equal(one[1], other[1]) for one, other in pairs)


def test_switched_off_every_number_is_as_before(tmp_path, monkeypatch):
    plain = train(tmp_path, AugmentConfig(mask_probability=1))
    monkeypatch.delattr(SpikeData, "on_after_batch_transfer")
    before = train(tmp_path, AugmentConfig())
    assert same(plain.fed["train"], before.fed["train"])
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[name]), name


def test_a_resumed_training_is_augmented_as_an_uninterrupted_one(tmp_path):
    straight = train(tmp_path, EVERYTHING, max_epochs=3)
    train(tmp_path, EVERYTHING, max_epochs=1)
    torch.rand(7)  # whatever else was drawn meanwhile
    resumed = train(tmp_path, EVERYTHING, max_epochs=3, ckpt_path=tmp_path / "1.ckpt")
    assert [epoch for epoch, *_ in resumed.fed["train"]] == [1, 1, 1, 2, 2, 2]
    assert same(straight.fed["train"][3:], resumed.fed["train"])


def test_no_two_batches_are_augmented_alike(tmp_path):
    noise = train(tmp_path, AugmentConfig(noise=1)).fed["train"]
    plain = train(tmp_path, AugmentConfig()).fed["train"]
    added = [one[1] - other[1] for one, other in zip(noise, plain, strict=True)]
    assert all(not torch.equal(one, other) for k, one in enumerate(added) for other in added[:k])


def test_mixed_labels_train_and_count_the_larger_part(tmp_path):
    model = DelayClassifier(NetworkConfig(num_inputs=3, num_classes=2, hidden_sizes=[4, 4]))
    model.log = lambda *args, **kwargs: None
    scores = torch.tensor([[0.2, 0.8], [0.7, 0.3]])
    shares = torch.tensor([[0.4, 0.6], [0.1, 0.9]])
    model.forward = lambda counts, lengths: scores
    loss = model._step("train", DenseBatch(torch.zeros(5, 2, 3), shares))
    assert float(loss) == pytest.approx(float(-(shares * scores.log_softmax(-1)).sum(-1).mean()))
    assert float(model.scores["train_score"].compute()) == 0.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"noise": -1}, "`--data.augment.noise` must be at least 0, got -1."),
        ({"noise": math.nan}, "`--data.augment.noise` must be at least 0, got nan."),
        ({"time_mask_ms": math.inf}, "`--data.augment.time_mask_ms` must be at least 0, got inf."),
        (
            {"time_mask_ms": 4},
            "`--data.augment.time_mask_ms` must be 0 or at least one time step (10 ms), got 4.",
        ),
        ({"channel_mask": -1}, "`--data.augment.channel_mask` must be at least 0, got -1."),
        ({"channel_mask": 21}, "`--data.augment.channel_mask` must be at most 20 channels, got 21."),
        ({"scale": -1}, "`--data.augment.scale` must be at least 0, got -1."),
        ({"channel_shift": 20}, "`--data.augment.channel_shift` must be below 20 channels, got 20."),
        ({"time_stretch": math.inf}, "`--data.augment.time_stretch` must be at least 0, got inf."),
        (
            {"time_jitter_ms": 0.5},
            "`--data.augment.time_jitter_ms` must be 0 or at least a tenth of a time step, got 0.5.",
        ),
        ({"drop_probability": 1}, "`--data.augment.drop_probability` must be in [0, 1), got 1."),
        ({"mask_probability": 1.1}, "`--data.augment.mask_probability` must be in [0, 1], got 1.1."),
        ({"cutmix_probability": -0.1}, "`--data.augment.cutmix_probability` must be in [0, 1], got -0.1."),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        SpikeData(Patterns, augment=AugmentConfig(**options))


def test_nothing_is_on_where_nothing_is_asked_and_the_ends_of_a_range_are_in_it():
    assert not AugmentConfig().is_on
    edges = AugmentConfig(time_mask_ms=10, channel_mask=5, time_jitter_ms=1.01, channel_shift=4)
    edges.check(TimeGrid(10.0), num_inputs=5)


@pytest.mark.parametrize(
    ("task", "option", "why"),
    [
        ("ClassPerStep", "time_stretch", "stretched"),
        ("ClassPerStep", "cutmix_probability", "mixed"),
        ("ValuePerSequence", "scale", "scaled"),
    ],
)
def test_what_targets_cannot_follow_is_refused(task, option, why):
    rule = f"`--data.augment.{option}` must be 0 for {task}, whose targets cannot be {why}, got 0.5."
    with pytest.raises(InputError, match="^" + re.escape(rule) + "$"):
        SpikeData(Patterns, augment=AugmentConfig(**{option: 0.5}), task=task)
