"""Inconsistent SGD: the chart, the problem that it solves, when a chart begins anew, and what is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from paretosearch.methods.isgd import ISGD, ControlChart, descend
from paretosearch.methods.one_cycle import OneCycle
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import change_of, shape_lines
from paretosearch.run import Run
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import STEPS, TinyTraining
from paretosearch.training import train


def weights(training: TinyTraining) -> Tensor:
    return torch.cat([p.detach().flatten() for p in training.run.model.parameters()])


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.integers(1, 12))
def test_mean_and_deviation_are_those_of_the_last_losses(losses: list[float], size: int) -> None:
    chart = ControlChart(size)
    for loss in losses:
        chart.push(loss)
    last = np.array(losses[-size:])
    assert list(chart.losses) == losses[-size:]
    assert chart.mean == pytest.approx(last.mean(), abs=1e-9)
    assert chart.deviation == pytest.approx(last.std(), abs=1e-5)  # a root: 1e-10 of the squares
    assert (chart.limit(2.0) is None) == (len(losses) < size)
    again = ControlChart.stored(chart.state_dict())
    assert (again.mean, again.deviation, again.losses) == (chart.mean, chart.deviation, chart.losses)


def test_without_a_limit_it_is_sgd_bit_by_bit() -> None:
    endless, plain = ISGD(limit=6.0), TinyTraining(())
    watched = TinyTraining((endless,))
    endless.limit = math.inf
    for _ in range(4):
        assert torch.equal(weights(watched.epoch()), weights(plain.epoch()))
    assert endless._chart.is_full


def surprised(stop: int = 3, **parameters: float) -> tuple[TinyTraining, ISGD, list[float]]:
    """Train until the chart is full, then make a step with wrong labels; gives the losses that further steps saw."""
    method = ISGD(limit=2.0, stop=stop, **parameters)
    training = TinyTraining((method,))
    training._images, training._labels = training.batch  # of all steps
    for _ in range(4):
        training.epoch()
    losses: list[float] = []
    gradients = training.run.gradients

    def watched(x: Tensor, y: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        loss, found = gradients(x, y)
        losses.append(float(loss))
        return loss, found

    training.run.model.train()
    training.run.gradients = watched
    x, y = training.batch
    training.step(training.run, x, (y + 1) % 4)
    return training, method, losses


def test_a_batch_out_of_control_gets_a_few_more_steps_that_lower_its_loss() -> None:
    for stop in (1, 3, 7):
        training, method, losses = surprised(stop)
        assert method._triggered == 1
        assert 1 <= method._steps <= len(losses) <= stop
        assert losses == sorted(losses, reverse=True)
        (told,) = method.on_epoch_end(training.run)
        assert (told.kind, told.operations) == ("isgd", ())
        assert {name: told.figures[name] for name in ("triggered", "steps")} == {
            "triggered": 1,
            "steps": method_steps(losses, stop),
        }
        assert method._triggered == method._steps == 0


def method_steps(losses: list[float], stop: int) -> int:
    """Give the steps that were made: each looked at a loss first, and the last look may have found it in control."""
    return stop if len(losses) == stop else len(losses) - 1


def test_further_steps_leave_no_trace_in_buffers_momentum_and_random_numbers() -> None:
    ours, _, losses = surprised()
    drawn = torch.rand(3)
    assert losses
    theirs = TinyTraining(())
    theirs._images, theirs._labels = theirs.batch
    for _ in range(4):
        theirs.epoch()
    theirs.run.model.train()
    x, y = theirs.batch
    theirs.step(theirs.run, x, (y + 1) % 4)
    assert torch.equal(torch.rand(3), drawn)
    for a, b in zip(ours.run.model.buffers(), theirs.run.model.buffers(), strict=True):
        assert torch.equal(a, b)
    for p, q in zip(ours.run.model.parameters(), theirs.run.model.parameters(), strict=True):
        assert torch.equal(*(t.run.optimizer.state[w]["momentum_buffer"] for t, w in ((ours, p), (theirs, q))))
    assert not torch.equal(weights(ours), weights(theirs))


def watched_step(method: ISGD, told: list[tuple[float, float]]) -> tuple[TinyTraining, list[float]]:
    """Give a training whose steps say what they are told to, and what was drawn at random in and behind them."""
    training, drawn = TinyTraining(()), []

    def step(run: Run, _: Tensor, __: Tensor) -> Tensor:
        drawn.append(float(torch.rand(())))
        torch.rand(3)  # more than what belongs to the forward pass
        method.state_behind = torch.get_rng_state()  # type: ignore[attr-defined]
        loss, stepped = told.pop(0)
        run.loss, run.stepped = torch.tensor(loss), torch.tensor(stepped)
        return run.loss

    def gradients(_: Tensor, __: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        drawn.append(float(torch.rand(())))
        return torch.tensor(99.0), tuple(torch.zeros_like(p) for p in training.run.model.parameters())

    training.run.gradients = gradients
    training.step = method.edit_step(step)
    return training, drawn


def test_further_steps_draw_what_the_step_drew() -> None:
    method = ISGD(limit=1.0, stop=3)
    training, drawn = watched_step(method, [(1.0, 1.0), (1.1, 1.0), (50.0, 1.0)])
    for _ in range(3):
        training.step(training.run, *training.batch)
    assert len(set(drawn)) == 3
    assert drawn[2:] == [drawn[2]] * 4
    assert torch.equal(torch.get_rng_state(), method.state_behind)  # type: ignore[attr-defined]


def test_what_was_not_a_step_is_not_in_the_chart() -> None:
    method = ISGD(limit=2.0)
    training, _ = watched_step(method, [(1.0, 1.0), (77.0, 0.0), (math.inf, 1.0), (1.5, 1.0)])
    for _ in range(4):
        training.step(training.run, *training.batch)
    assert list(method._chart.losses) == [1.0, 1.5]
    assert method._triggered == 0


def test_a_batch_in_control_gets_no_step() -> None:
    method, training = ISGD(limit=2.0), TinyTraining(())
    training.run.learning_rate, before = 1.0, weights(training).clone()
    parameters = [p.detach().clone() for p in training.run.model.parameters()]
    random = [torch.get_rng_state()]
    assert method._solve(training.run, *training.batch, parameters, 99.0, random) == 0
    assert torch.equal(weights(training), before)
    assert method._solve(training.run, *training.batch, parameters, 0.0, random) == 5


@pytest.mark.parametrize(("loss", "triggered"), [(1.099, 0), (1.101, 1)])
def test_the_limit_is_some_deviations_above_the_mean(loss: float, triggered: int) -> None:
    method = ISGD(limit=2.0)  # losses of 1 and 1.066... deviate by a thirtieth from their mean
    training, _ = watched_step(method, [(1.0, 1.0), (1 + 1 / 15, 1.0), (loss, 1.0)])
    for _ in range(3):
        training.step(training.run, *training.batch)
    assert method._chart.limit(2.0) != pytest.approx(1.1)  # the newest loss is in the chart by now
    assert method._triggered == triggered


def test_a_further_step_is_the_shorter_the_nearer_the_limit_is() -> None:
    for loss in (2.0, 0.75):
        method, training = ISGD(limit=2.0, stop=1, epsilon=0.0), TinyTraining(())
        parameters = list(training.run.model.parameters())
        ones = tuple(torch.ones_like(p) for p in parameters)
        training.run.learning_rate, before = 0.1, [p.detach().clone() for p in parameters]
        training.run.gradients = lambda *_, said=loss, found=ones: (torch.tensor(said), found)
        assert method._solve(training.run, *training.batch, before, 0.5, [torch.get_rng_state()]) == 1
        for parameter, old in zip(parameters, before, strict=True):
            torch.testing.assert_close(parameter.detach(), old - 0.1 * (loss - 0.5))


def test_weights_stay_nearer_to_where_they_were_the_larger_epsilon_is() -> None:
    distances = []
    for epsilon in (0.0, 1e3, 1e4, 3e4):
        method, training = ISGD(limit=2.0, stop=8), TinyTraining(())
        method.epsilon, training.run.learning_rate = epsilon, 0.02
        before = [p.detach().clone() for p in training.run.model.parameters()]
        method._solve(training.run, *training.batch, before, 0.5, [torch.get_rng_state()])
        distances.append(float((weights(training) - torch.cat([b.flatten() for b in before])).norm()))
    print("distance by epsilon:", [f"{distance:.4f}" for distance in distances])
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.9 * distances[0]


def test_a_further_step_goes_down_the_objective_of_the_patent() -> None:
    generator = torch.Generator().manual_seed(0)
    w, w0, target = (torch.randn(6, generator=generator, dtype=torch.float64) for _ in range(3))
    limit, epsilon, rate = 0.3, 0.7, 0.05

    def loss_of(point: Tensor) -> Tensor:
        return (point - target).square().sum() + point.prod()

    at = w.clone().requires_grad_()
    objective = 0.5 * (loss_of(at) - limit) ** 2 + epsilon / (2 * 6) * (at - w0).square().sum()
    (gradient,) = torch.autograd.grad(objective, at)
    loss = loss_of(at)
    (plain,) = torch.autograd.grad(loss, at)
    moved = w.clone()
    descend([moved], [plain], [w0], rate * (loss.item() - limit), rate * epsilon / 6)
    torch.testing.assert_close(moved, w - rate * gradient)


def test_a_weight_without_a_gradient_is_pulled_back_alone() -> None:
    w = torch.tensor([4.0])
    descend([w, torch.ones(1)], [None, torch.ones(1)], [torch.tensor([2.0]), torch.ones(1)], 1.0, 0.25)
    assert w.item() == 3.5


def charted(run: Run, method: ISGD) -> int:
    method._follow(run)
    method._chart.push(1.0)
    return len(method._chart.losses)


def test_the_chart_begins_anew_with_another_network_batch_or_rate() -> None:
    method, training = ISGD(limit=2.0), TinyTraining((), width=1.0)
    run = training.run
    run.steps_per_epoch = 100
    assert [charted(run, method) for _ in range(3)] == [1, 2, 3]
    run.batch_size *= 2
    assert [charted(run, method) for _ in range(2)] == [1, 2]
    training.surgeon.remap({space.name: torch.arange(space.size // 2) for space in training.surgeon.channels.free})
    assert [charted(run, method) for _ in range(2)] == [1, 2]
    run.learning_rate *= 0.8
    assert charted(run, method) == 3
    run.learning_rate *= 0.7
    assert charted(run, method) == 1
    run.learning_rate *= 10
    assert charted(run, method) == 2


def test_one_cycle_begins_no_chart_before_the_last_three_steps() -> None:
    method, schedule, run = ISGD(limit=2.0), OneCycle(), TinyTraining(()).run
    run.recipe, run.steps_per_epoch = Recipe("random", "convnet", epochs=4), 25
    begun = []
    for run.epoch in range(4):
        for run.epoch_step in range(25):
            schedule.on_batch(run, *TinyTraining(()).batch)
            if charted(run, method) == 1:
                begun.append(25 * run.epoch + run.epoch_step)
    assert begun == [0, 97, 98, 99]


def test_a_training_tells_how_often_and_no_change_of_shape() -> None:
    recipe = Recipe(
        "stripes",
        "convnet",
        width=0.5,
        epochs=3,
        batch_size=16,
        reference_batch_size=16,
        methods={"isgd": {"limit": 0.5}},
    )
    outcome = train(recipe, image_set(), torch.device("cpu")).outcome
    assert [surgery.kind for surgery in outcome.surgeries] == ["isgd"] * 3
    assert all(surgery.channels_before == surgery.channels_after > 0 for surgery in outcome.surgeries)
    assert outcome.surgeries[0].figures["triggered"] == 0
    assert sum(surgery.figures["triggered"] for surgery in outcome.surgeries) > 0
    assert change_of(outcome.surgeries) == ""
    (line,) = shape_lines(recipe, outcome)
    assert line.startswith("isgd found the loss of ")
    assert len({phase.changes for phase in outcome.phases}) == 1


def test_further_steps_are_told_to_the_clock_apart() -> None:
    method = ISGD(limit=1.0, stop=2)
    training, _ = watched_step(method, [(1.0, 1.0), (1.1, 1.0), (50.0, 1.0), (1.0, 1.0)])
    apart = []

    @contextmanager
    def watched() -> Iterator[None]:
        apart.append(method._steps)
        yield
        apart.append(method._steps)

    training.run.apart = watched
    for _ in range(4):
        training.step(training.run, *training.batch)
    assert apart == [0, 2]
    assert STEPS == 2
