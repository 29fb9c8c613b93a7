"""What is asked of a network: loss and metric of every task, over steps that count."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.tasks import (
    IGNORE,
    ClassPerSequence,
    ClassPerStep,
    Task,
    ValuePerSequence,
    ValuePerStep,
    task_named,
)

LENGTHS = torch.tensor([6, 3])


@pytest.fixture
def network() -> Network:
    """One that fires, so that its readout is another in every step."""
    torch.manual_seed(0)
    short = partial(SynapticDelays, max_delay_ms=30.0)
    made = Network(NetworkConfig(num_inputs=4, num_classes=3, hidden_sizes=[5], synapses=short)).eval()
    made.layers[0].norm.weight.data.fill_(3.0)
    made.layers[0].norm.bias.data.fill_(0.6)
    return made


@pytest.fixture
def counts() -> torch.Tensor:
    return torch.rand(6, 2, 4, generator=torch.Generator().manual_seed(0))


def test_a_class_per_sequence_is_what_the_network_decides(network: Network, counts: torch.Tensor) -> None:
    answer = ClassPerSequence(3).answer(network, counts, LENGTHS)
    assert torch.equal(answer, network.scores(counts, LENGTHS))
    targets = torch.tensor([2, 0])
    assert torch.equal(ClassPerSequence(3).loss(answer, targets), F.cross_entropy(answer, targets))
    metric = ClassPerSequence(3).make_metric()
    ClassPerSequence(3).update(metric, torch.eye(3)[[2, 1]], targets)
    assert metric.compute() == 0.5


def test_steps_without_a_label_count_for_nothing() -> None:
    task, answer = ClassPerStep(3), torch.randn(6, 2, 3)
    targets = torch.randint(3, (6, 2))
    targets[2:, 1] = IGNORE
    kept = [(answer[:, 0], targets[:, 0]), (answer[:2, 1], targets[:2, 1])]
    logits, labels = (torch.cat(parts) for parts in zip(*kept, strict=True))
    torch.testing.assert_close(task.loss(answer, targets), F.cross_entropy(logits, labels))
    metric = task.make_metric()
    task.update(metric, answer, targets)
    assert float(metric.compute()) == pytest.approx(float((logits.argmax(-1) == labels).float().mean()))
    assert task.loss(answer, torch.full((6, 2), IGNORE)) == 0


def test_the_answer_of_a_step_is_the_readout_of_that_step(network: Network, counts: torch.Tensor) -> None:
    answer = ClassPerStep(3).answer(network, counts)
    assert answer.shape == (6, 2, 3)
    assert torch.equal(answer, network(counts)[:6])


def test_a_forecast_is_read_when_the_last_input_has_come(network: Network, counts: torch.Tensor) -> None:
    answer, readout = ValuePerSequence(3).answer(network, counts, LENGTHS), network(counts, LENGTHS)
    assert torch.equal(answer, torch.stack([readout[5, 0], readout[2, 1]]))
    assert len(readout[:, 0].unique(dim=0)) == len(readout)  # each step says something else
    assert torch.equal(ValuePerSequence(3).answer(network, counts), network(counts)[5])


def test_errors_are_in_units_of_the_variance_of_the_whole_set() -> None:
    task, targets, answer = ValuePerSequence(1), torch.randn(50, 1), torch.randn(50, 1)
    metric = task.make_metric()
    for part in (slice(0, 20), slice(20, 50)):
        task.update(metric, answer[part], targets[part])
    expected = (answer - targets).square().sum() / (targets - targets.mean()).square().sum()
    torch.testing.assert_close(metric.compute(), expected)
    metric.reset()
    task.update(metric, targets.mean().expand(50, 1), targets)
    assert float(metric.compute()) == pytest.approx(1)


def test_values_of_steps_that_are_no_numbers_count_for_nothing() -> None:
    task, answer, targets = ValuePerStep(2), torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    targets[1:, 2] = torch.nan
    known = targets.isfinite()
    torch.testing.assert_close(task.loss(answer, targets), F.mse_loss(answer[known], targets[known]))
    answer.requires_grad_()
    task.loss(answer, targets).backward()
    assert answer.grad.isfinite().all()
    metric = task.make_metric()
    task.update(metric, answer.detach(), targets)
    assert metric.compute().isfinite()


@pytest.mark.parametrize(
    ("task", "targets", "rule"),
    [
        (ClassPerSequence(3), torch.zeros(5, 2, dtype=torch.int64), "a class for every sample"),
        (
            ClassPerStep(3),
            torch.zeros(5, 2, dtype=torch.int64),
            "a class for each of the 6 steps of a sample",
        ),
        (ValuePerSequence(1), torch.zeros(5, dtype=torch.int64), "1 real values for every sample"),
        (ValuePerStep(2), torch.zeros(6, 5, 1), "2 real values for each of the 6 steps"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_targets_of_another_task_are_refused(task: Task, targets: torch.Tensor, rule: str) -> None:
    with pytest.raises(InputError) as error:
        task.check(targets, num_steps=6)
    assert f"must be {rule}, got {targets.dtype}" in str(error.value)


def test_a_task_has_a_name() -> None:
    assert task_named("ValuePerStep") is ValuePerStep
    assert (ValuePerStep.metric, ValuePerStep.best) == ("nmse", "min")
    with pytest.raises(InputError, match="`Guess` is no Task of lit_delays"):
        task_named("Guess")
