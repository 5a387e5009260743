"""Stochastic weight averaging: when it takes weights, at which learning rate, and what the mean is good for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from paretosearch import methods
from paretosearch.errors import RecipeError
from paretosearch.method import Method
from paretosearch.methods.one_cycle import OneCycle
from paretosearch.methods.swa import SWA
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.testing.methods import STEPS, TinyTraining
from paretosearch.training.surgery import Surgeon


def steps(
    made: tuple[Method, ...], model: nn.Module, steps: int, see: Callable[[Run], None], **fields: int | float
) -> Run:
    """Go through a training whose steps do no more than the Methods do."""
    recipe = Recipe("random", "convnet", **fields)  # type: ignore[arg-type]  # numbers where they belong
    optimizer, surgeon = torch.optim.SGD(model.parameters(), 0.1), Surgeon(model, torch.zeros(2, 1))
    cpu, generator = torch.device("cpu"), torch.Generator()
    run = Run(recipe, cpu, model, optimizer, generator, surgeon, _no_cost, recipe.batch_size, steps)
    step = _plain(made)
    for method in made:
        step = method.edit_step(step)
    x, y = torch.zeros(2, 1), torch.zeros(2)
    for run.epoch in range(recipe.total_epochs):
        for run.epoch_step in range(steps):
            for method in made:
                method.on_batch(run, x, y)
            see(run)
            step(run, x, y)
    return run


def _plain(made: tuple[Method, ...]) -> Callable[[Run, Tensor, Tensor], Tensor]:
    def step(run: Run, _: Tensor, __: Tensor) -> Tensor:
        for method in made:
            method.after_step(run)
        return torch.zeros(())

    return step


def _no_cost(_: int) -> object:
    raise AssertionError("nobody asks what a step costs")


def taken(method: SWA, epochs: int, steps_per_epoch: int) -> list[float]:
    """List after how many epochs weights are taken."""
    seen: list[float] = []

    def see(run: Run) -> None:
        if method.variant(run):
            seen.append(run.epoch + (run.epoch_step + 1) / run.steps_per_epoch)

    steps((method,), nn.Linear(1, 1), steps_per_epoch, see, epochs=epochs)
    return seen


@pytest.mark.parametrize(
    ("start", "per_epoch", "epochs", "steps_per_epoch", "expected"),
    [
        (0.75, 1, 12, 5, [10, 11, 12]),  # the papers'
        (0.75, 4, 4, 8, [3.25, 3.5, 3.75, 4]),
        (0.75, 4, 2, 8, [1.75, 2]),  # from the middle of an epoch on
        (0.5, 4, 2, 2, [1.5, 2]),  # fewer steps than weights to take
        (0.7, 2, 5, 4, [4, 4.5, 5]),  # an interval from 3.5 on
        (0.7, 3, 10, 7, [7 + 3 / 7, 7 + 5 / 7, 8, 8 + 3 / 7, 8 + 5 / 7, 9, 9 + 3 / 7, 9 + 5 / 7, 10]),
    ],
)
def test_weights_are_taken_at_equal_distances_up_to_the_last_step(
    start: float, per_epoch: int, epochs: int, steps_per_epoch: int, expected: list[float]
) -> None:
    assert taken(SWA(start=start, per_epoch=per_epoch), epochs, steps_per_epoch) == pytest.approx(expected)


def test_the_learning_rate_is_constant_from_the_start_on() -> None:
    rates: list[float] = []
    made = (OneCycle(), SWA(start=0.6, rate=0.1))
    fields = {"epochs": 5, "learning_rate": 0.4, "batch_size": 256, "reference_batch_size": 128}
    steps(made, nn.Linear(1, 1), 10, lambda run: rates.append(run.learning_rate), **fields)
    assert rates[30:] == pytest.approx([0.08] * 20)  # a tenth of a peak of 0.8
    assert len(set(rates[:30])) > 20
    assert rates[29] == pytest.approx(0.8 * (1 - 29.5 / 50) / 0.8)


def test_the_learning_rate_is_set_before_others_scale_it() -> None:
    names = [method.name for method in methods.CATALOGUE]
    assert max(names.index("one_cycle"), names.index("constant")) < names.index("swa")
    assert names.index("swa") < min(names.index("net2net"), names.index("dynamic_batch"))


class Noise(Method):
    """Make a noisy step of gradient descent on ``(w - optimum)**2 / 2``, and keep 8 bits of the weights."""

    name = "noise"
    optimum = 0.3337
    quantum = 2.0**-5  # with 8 bits in [-4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def after_step(self, run: Run) -> None:
        (weight,) = run.model.parameters()
        noise = torch.randn(weight.shape, generator=self.generator)
        weight -= run.learning_rate * (weight - self.optimum + 0.3 * noise)
        chance = torch.rand(weight.shape, generator=self.generator)
        weight.copy_((weight / self.quantum + chance).floor().clamp(-128, 127) * self.quantum)


def test_the_mean_of_quantised_weights_is_nearer_to_the_optimum_than_the_last() -> None:
    model = nn.Linear(1, 256, bias=False)  # as many problems in one dimension
    swa = SWA(start=0.5, rate=1.0, per_epoch=25)
    run = steps((swa, Noise()), model, 50, lambda _: None, epochs=16, learning_rate=0.1)
    (mean,), (last,) = swa.eval_model(model).parameters(), run.model.parameters()
    ours, theirs = ((w - Noise.optimum).square().mean().sqrt().item() for w in (mean, last))
    print(f"distance from the optimum: mean {ours:.4f}, last {theirs:.4f}, resolution {Noise.quantum}")
    assert ours < 0.5 * theirs
    assert ours < Noise.quantum
    assert bool((last / Noise.quantum == (last / Noise.quantum).round()).all())


def test_weights_are_taken_when_all_other_methods_are_done_with_them() -> None:
    model = nn.Linear(1, 4, bias=False)
    seen: list[Tensor] = []
    swa = SWA(start=0.5, per_epoch=1)

    class Last(Method):
        name = "last"

        @torch.no_grad()
        def after_step(self, run: Run) -> None:
            (weight,) = run.model.parameters()
            weight.fill_(100 * run.epoch + run.epoch_step)
            if swa.variant(run):
                seen.append(weight.detach().clone())

    steps((swa, Last()), model, 3, lambda _: None, epochs=6)
    (mean,) = swa.eval_model(model).parameters()
    assert torch.equal(mean, torch.stack(seen).mean(0))
    assert mean[0].item() == pytest.approx(402)


def test_before_the_first_weights_the_network_itself_is_evaluated() -> None:
    training = TinyTraining((SWA(start=0.5, per_epoch=1),))
    (swa,) = training.methods
    for _ in range(2):
        training.epoch()
        assert swa.eval_model(training.run.model) is training.run.model
    assert swa.eval_model(training.epoch().run.model) is not training.run.model
    assert STEPS == 2


@pytest.mark.parametrize(
    ("parameters", "epochs", "said"),
    [
        ({"start": 0.9}, 1, "swa.start = 0.9 leaves time to take weights never in a training of epochs = 1"),
        ({"start": 0.75}, 1, "swa.start = 0.75 leaves time to take weights once in a training of epochs = 1"),
        ({"start": 0.75, "per_epoch": 1}, 7, "swa.start = 0.75 leaves time to take weights once in a training of epo"),
        ({"start": 0.75, "per_epoch": 1}, 8, None),
        ({"start": 0.7, "per_epoch": 2}, 10, None),
        ({"start": 0.9, "per_epoch": 2}, 10, None),
        ({"start": 0.5}, 1, None),
    ],
)
def test_a_training_without_time_for_two_weights_is_refused(
    parameters: dict[str, float], epochs: int, said: str | None
) -> None:
    recipe = Recipe("random", "convnet", epochs=epochs, methods={"swa": parameters})
    if said is None:
        assert methods.active(recipe)[-1].name == "swa"
        assert len(taken(SWA(**parameters), epochs, 20)) >= 2
        return
    with pytest.raises(RecipeError) as caught:
        methods.active(recipe)
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(", and a mean is of two or more; lower it, raise swa.per_epoch, or set it to 1")
