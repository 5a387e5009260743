"""Schedule-free SGD: its three sequences, what is evaluated, and what a change of shape leaves of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.channels import Noise
from paretosearch.methods.schedule_free import ScheduleFree, ScheduleFreeSGD
from paretosearch.methods.weight_norm import WeightNorm
from paretosearch.recipe import Recipe
from paretosearch.testing.methods import TinyTraining
from paretosearch.training.build import build_optimizer

RATES = (0.01, 0.03, 0.1, 0.1, 0.1, 0.1)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def optimizer_of(model: nn.Module, beta: float, decay: float = 0.0) -> ScheduleFreeSGD:
    return ScheduleFreeSGD(torch.optim.SGD(model.parameters(), lr=0.0, weight_decay=decay), beta)


def step(optimizer: ScheduleFreeSGD, rate: float | Tensor) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_it_is_the_formula_of_the_paper(beta: float, decay: float) -> None:
    model = nn.Linear(3, 2)
    x = z = model.weight.detach().double().clone()
    optimizer, counted = optimizer_of(model, beta, decay), 0.0
    for number, rate in enumerate(RATES):
        y = (1 - beta) * z + beta * x
        torch.testing.assert_close(model.weight.detach().double(), y, atol=1e-6, rtol=0)
        noise = random(2, 3, seed=number)
        model.weight.grad = model.weight.detach() + noise
        model.bias.grad = torch.zeros(2)
        z = z - rate * (y + noise.double() + decay * y)
        counted += rate**2
        x = x + rate**2 / counted * (z - x)
        step(optimizer, rate)
    shown = next(iter(optimizer.average(model)))
    torch.testing.assert_close(shown.double(), x, atol=1e-6, rtol=0)


def test_at_a_constant_rate_it_evaluates_the_arithmetic_mean() -> None:
    model = nn.Linear(4, 1, bias=False)
    optimizer, seen = optimizer_of(model, 0.9), []
    z = model.weight.detach().double().clone()
    for number in range(20):
        model.weight.grad = random(1, 4, seed=number)
        z = z - 0.3 * model.weight.grad.double()
        seen.append(z)
        step(optimizer, 0.3)
    (shown,) = optimizer.average(model)
    torch.testing.assert_close(shown.double(), torch.stack(seen).mean(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("every", [2, 4])
def test_a_weight_without_a_gradient_in_most_steps_is_averaged_over_all_of_them(every: int) -> None:
    one, other = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    model = nn.ParameterList([one, other])
    optimizer, seen = ScheduleFreeSGD(torch.optim.SGD([one, other], lr=0.0, weight_decay=0.0), 0.9), []
    for number in range(400):
        is_exact = number % every == 0
        one.grad, other.grad = torch.full((1,), -1.0) if is_exact else None, torch.full((1,), -1.0 / every)
        step(optimizer, 0.1)
        seen.append(0.1 * (number // every + 1))
    x, plain = (float(average) for average in optimizer.average(model))
    z = x + float(optimizer.state[one]["gap"])
    print(f"gradients in every {every}th step: x / z = {x / z:.3f}, in every step {plain / z:.3f}")
    assert z == pytest.approx(seen[-1], rel=1e-4)
    assert x == pytest.approx(sum(seen) / len(seen), rel=1e-4)
    assert x == pytest.approx(plain, rel=0.02)
    assert float(one.detach()) == pytest.approx(0.1 * z + 0.9 * x, rel=1e-4)


def test_a_weight_that_never_has_a_gradient_stays_bit_by_bit() -> None:
    model = nn.Linear(3, 2)
    optimizer, before = optimizer_of(model, 0.9, decay=0.1), model.bias.detach().clone()
    for number in range(5):
        model.weight.grad = random(2, 3, seed=number)
        step(optimizer, 0.1)
    assert torch.equal(model.bias.detach(), before)


def test_a_network_without_a_weight_to_decay_is_trained() -> None:
    recipe = Recipe("random", "torchvision:squeezenet1_1", methods={"weight_norm": {"form": "plain"}})
    directions = WeightNorm(form="plain")
    model = directions.edit_model(nets.build(recipe.network, classes=4, channels=1, image_size=40))
    given = directions.wrap_optimizer(build_optimizer(model, recipe))
    assert 0 in [len(group["params"]) for group in given.param_groups]
    optimizer = ScheduleFree(beta=0.9).wrap_optimizer(given)
    assert isinstance(optimizer, ScheduleFreeSGD)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    step(optimizer, 0.1)
    assert not any(map(torch.equal, before, model.parameters()))


def test_a_step_with_an_infinite_gradient_changes_no_bit() -> None:
    for skips_first in (True, False):
        model = nn.Linear(5, 3)
        optimizer = optimizer_of(model, 0.9, 0.1)
        for number in range(0 if skips_first else 3):
            for parameter in model.parameters():
                parameter.grad = random(*parameter.shape, seed=number)
            step(optimizer, 0.17)
        before = [p.detach().clone() for p in model.parameters()]
        gaps = [optimizer.state[p]["gap"].clone() for p in model.parameters()]
        total = optimizer.total.clone()
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, math.nan)
        optimizer.found_inf = torch.ones(())
        step(optimizer, 0.17)
        assert all(map(torch.equal, before, model.parameters()))
        assert all(torch.equal(optimizer.state[p]["gap"], gap) for p, gap in zip(model.parameters(), gaps, strict=True))
        assert torch.equal(optimizer.total, total)


def test_a_rate_in_a_tensor_is_a_rate() -> None:
    results = []
    for kind in (float, torch.tensor):
        torch.manual_seed(0)
        model = nn.Linear(5, 3)
        optimizer = optimizer_of(model, 0.9)
        for number, rate in enumerate(RATES):
            for parameter in model.parameters():
                parameter.grad = random(*parameter.shape, seed=number)
            step(optimizer, kind(rate))  # type: ignore[operator]
        results.append([p.detach().clone() for p in model.parameters()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_its_average_is_nearer_to_the_optimum_of_a_noisy_problem_than_its_last_weights() -> None:
    model = nn.Linear(1, 256, bias=False)  # as many problems in one dimension
    optimizer = optimizer_of(model, 0.9)
    for number in range(400):
        model.weight.grad = model.weight.detach() - 0.3 + random(256, 1, seed=number)
        step(optimizer, 0.2)
    (mean,) = optimizer.average(model)
    z = mean + optimizer.state[model.weight]["gap"]
    ours, theirs = ((w - 0.3).square().mean().sqrt().item() for w in (mean, z))
    print(f"distance from the optimum: average {ours:.4f}, last weights {theirs:.4f}")
    assert ours < 0.3 * theirs


def test_the_rate_rises_and_is_constant_then_whatever_the_schedule() -> None:
    method, run = ScheduleFree(beta=0.9, rate=5.0, warmup=0.1), TinyTraining(()).run
    run.recipe, run.steps_per_epoch = Recipe("random", "convnet", epochs=4, learning_rate=0.2), 25
    method.wrap_optimizer(run.optimizer)
    rates = []
    for run.epoch in range(4):
        for run.epoch_step in range(25):
            run.learning_rate = 77.0
            method.on_batch(run, torch.zeros(1), torch.zeros(1))
            rates.append(run.learning_rate)
    assert rates[:10] == pytest.approx([(step + 0.5) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([1.0] * 90)


def test_every_evaluation_is_of_the_average() -> None:
    training = TinyTraining((ScheduleFree(beta=0.9),))
    (method,), model = training.methods, training.run.model
    shown = None
    for _ in range(3):
        training.epoch()
        network = method.eval_model(model)
        assert network is not model
        assert shown in (None, network)
        shown = network
        for parameter, own in zip(model.parameters(), network.parameters(), strict=True):
            gap = training.run.optimizer.state[parameter]["gap"]
            torch.testing.assert_close(own, parameter - 0.1 * gap)
            assert gap.any()
        for buffer, own in zip(model.buffers(), network.buffers(), strict=True):
            assert torch.equal(buffer, own)


def test_what_is_done_to_the_evaluated_network_stays_until_the_next_step() -> None:
    training = TinyTraining((ScheduleFree(beta=0.9),)).epoch()
    (method,) = training.methods
    norm = next(m for m in method.eval_model(training.run.model).modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None
    norm.running_mean.fill_(3.0)  # such as by estimating them anew
    method.eval_model(training.run.model)
    assert bool((norm.running_mean == 3).all())
    training.epoch()
    method.eval_model(training.run.model)
    assert not bool((norm.running_mean == 3).any())


def widened(training: TinyTraining, noise: Noise | None = None) -> None:
    surgeon = training.surgeon
    surgeon.remap({s.name: torch.arange(2 * s.size) % s.size for s in surgeon.channels.free}, noise=noise)


def deepened(training: TinyTraining) -> None:
    training.surgeon.insert_identity(training.surgeon.stages[0], torch.Generator().manual_seed(0))


def noisily_widened(training: TinyTraining) -> None:
    widened(training, Noise(0.3, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("change", [widened, noisily_widened, deepened])
def test_a_growing_network_goes_on_from_the_same_average(
    change: Callable[[TinyTraining], None], note_change: Callable[[Tensor, Tensor], float]
) -> None:
    training = TinyTraining((ScheduleFree(beta=0.9, rate=1.0),), "resnet8", width=0.5).epoch().epoch()
    before = training.logits()
    change(training)
    assert note_change(before, training.logits()) < 1e-4
    training.epoch()
    optimizer = training.run.optimizer
    assert all(optimizer.state[p]["gap"].shape == p.shape for p in training.run.model.parameters())
    assert (training.logits() - before).abs().max() > 1e-3


def test_noise_on_copies_stays_in_all_three_sequences() -> None:
    training = TinyTraining((ScheduleFree(beta=0.9),), "resnet8", width=0.5).epoch()
    noisily_widened(training)
    training.epoch()
    (method,) = training.methods
    weight = next(p for p in method.eval_model(training.run.model).parameters() if p.ndim == 4 and p.shape[1] > 1)
    one, other = weight.chunk(2, dim=1)
    assert (one - other).abs().max() > 1e-2


def test_a_pruned_network_goes_on() -> None:
    training = TinyTraining((ScheduleFree(beta=0.9),), "resnet8", width=1.0).epoch()
    training.surgeon.remap({s.name: torch.arange(s.size // 2) for s in training.surgeon.channels.free})
    training.epoch()
    assert training.logits().isfinite().all()
