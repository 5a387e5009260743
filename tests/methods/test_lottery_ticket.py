"""The lottery ticket against the tests of methods-structure, section 2.1, with what two trainings in one must be."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from paretosearch.errors import RecipeError
from paretosearch.methods import active
from paretosearch.methods.lottery_ticket import LotteryTicket, ticket
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import shape_lines
from paretosearch.testing.images import image_set
from paretosearch.training import Training, replay, train

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32)
#: Three epochs for the ticket, then two from the end of the first epoch on.
RECIPE = Recipe(
    "stripes",
    "convnet",
    epochs=5,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.1,
    weight_decay=1e-2,
    norm_batches=0,
    methods={"lottery_ticket": {"pruned": 0.8, "rewind": 1}},
)


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def masks_of(training: Training) -> list[Tensor]:
    (method,) = (method for method in training.methods if isinstance(method, LotteryTicket))
    return method.state_dict()["masks"]  # type: ignore[no-any-return]  # of a dict of anything


def matrices(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.ndim > 1]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 30)), min_size=1, max_size=5), st.floats(0.0, 0.99))
def test_a_ticket_has_its_density_and_the_largest_weights(shapes: list[tuple[int, int]], pruned: float) -> None:
    generator = torch.Generator().manual_seed(len(shapes))
    weights = [torch.randint(-3, 4, shape, generator=generator).float() for shape in shapes]  # many are equal
    masks = ticket(weights, pruned)
    assert [mask.shape for mask in masks] == [weight.shape for weight in weights]
    every, stays = (torch.cat([t.flatten() for t in tensors]) for tensors in (weights, masks))
    assert int((stays == 0).sum()) == round(pruned * len(every))
    assert set(stays.tolist()) <= {0.0, 1.0}
    if 0 < stays.sum() < len(stays):
        assert every[stays == 0].abs().max() <= every[stays == 1].abs().min()


@pytest.mark.parametrize("pruned", [0.2, 0.36, 0.8])
def test_the_density_of_a_network_is_exact_to_a_weight(pruned: float) -> None:
    recipe = replace(RECIPE, methods={"lottery_ticket": {"pruned": pruned}})
    training = Training(recipe, IMAGES, CPU)
    training.go(with_test=False)
    weights = sum(weight.numel() for weight in matrices(training.run.model))
    left = int(sum(mask.sum() for mask in masks_of(training)))
    print(f"{left} of {weights} weights left, density {left / weights:.6f}, asked for {1 - pruned:.6f}")
    assert abs(left - (1 - pruned) * weights) <= 1


def watched(recipe: Recipe, at: Callable[[Training], object]) -> Training:
    """Train, and look before the first step of every epoch."""
    training = Training(recipe, IMAGES, CPU)
    follow = training.follow

    def and_look() -> None:
        follow()
        at(training)

    training.follow = and_look  # type: ignore[method-assign]  # after the Methods have prepared for an epoch
    training.go(with_test=False)
    return training


@pytest.mark.parametrize("rewind", [0, 1, 2])
@pytest.mark.parametrize("number_format", ["fp32", "bf16-pure", "bfp8"])
def test_what_is_left_is_set_back_bit_by_bit(rewind: int, number_format: str) -> None:
    methods = {"lottery_ticket": {"pruned": 0.8, "rewind": rewind}}
    recipe = replace(RECIPE, epochs=6, number_format=number_format, methods=methods)
    begins: list[dict[str, Tensor]] = []
    momenta: list[float] = []

    def look(training: Training) -> None:
        begins.append(copied(training.run.model))
        momenta.append(sum(float(s["momentum_buffer"].abs().sum()) for s in training.run.optimizer.state.values()))

    training = watched(recipe, look)
    turn = (6 + rewind) // 2
    early, again = begins[rewind], begins[turn]
    masks = dict(zip((id(weight) for weight in matrices(training.run.model)), masks_of(training), strict=True))
    by_name = {name: masks.get(id(p)) for name, p in training.run.model.named_parameters()}
    for name, tensor in again.items():
        mask = by_name.get(name)
        stays = torch.ones_like(tensor, dtype=torch.bool) if mask is None else mask.bool()
        assert torch.equal(tensor[stays], early[name][stays])
        assert not tensor[~stays].any()
    assert momenta[turn] == 0.0
    assert momenta[turn - 1] > 0.0


@pytest.mark.parametrize("number_format", ["fp32", "bf16", "bf16-pure", "fp16", "dfp16", "bfp8"])
@pytest.mark.parametrize("others", [{}, {"muon": {"rate": 0.1}}], ids=["sgd", "muon"])
def test_momentum_brings_nothing_back(number_format: str, others: dict[str, dict[str, float]]) -> None:
    recipe = replace(RECIPE, number_format=number_format, methods={**RECIPE.methods, **others})
    training = Training(recipe, IMAGES, CPU)
    training.go(with_test=False)
    gone = [mask == 0 for mask in masks_of(training)]
    weights = matrices(training.run.model)
    assert sum(int(g.sum()) for g in gone) == round(0.8 * sum(weight.numel() for weight in weights))
    for weight, g in zip(weights, gone, strict=True):
        assert not weight[g].any()
        assert weight[~g].any()
    if not others:
        momenta = [training.run.optimizer.state[weight]["momentum_buffer"] for weight in weights]
        assert any(momentum[g].any() for momentum, g in zip(momenta, gone, strict=True)), "momentum had nothing to undo"


def rates_of(recipe: Recipe) -> list[list[float]]:
    """Give the learning rate of every step, by epoch."""
    rates: list[list[float]] = []
    training = Training(recipe, IMAGES, CPU)
    step = training.stepper

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(step, name)

        def __call__(self, run: Any, *arguments: Any) -> Tensor:
            rates.extend([] for _ in range(run.epoch + 1 - len(rates)))
            rates[run.epoch].append(run.learning_rate)
            return step(run, *arguments)

    training.stepper = Noting()  # type: ignore[assignment]  # as good as one
    training.go(with_test=False)
    return rates


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
def test_each_training_has_the_schedule_of_one_of_its_length(schedule: str) -> None:
    rates = rates_of(replace(RECIPE, schedule=schedule))
    plain = rates_of(replace(RECIPE, schedule=schedule, epochs=3, methods={}))
    assert rates[:3] == plain
    assert rates[3:] == plain[1:]


def test_where_the_epochs_do_not_divide_the_second_training_is_the_longer_one() -> None:
    rates = rates_of(replace(RECIPE, epochs=6))
    assert rates[:3] == rates_of(replace(RECIPE, epochs=3, methods={}))
    assert rates[3:] == rates_of(replace(RECIPE, epochs=4, methods={}))[1:]


def test_both_trainings_are_within_the_epochs_and_cost_what_all_of_them_cost() -> None:
    ours, plain = (train(r, IMAGES, CPU).outcome for r in (RECIPE, replace(RECIPE, methods={})))
    assert len(ours.epochs) == len(plain.epochs) == 5
    assert ours.training_flops == plain.training_flops
    assert ours.inference_flops == plain.inference_flops
    assert sum(phase.steps for phase in ours.phases) == sum(phase.steps for phase in plain.phases)
    assert [(phase.epoch, phase.pattern) for phase in ours.phases] == [(0, ""), (3, "lottery_ticket trains a ticket")]
    (note,) = ours.surgeries
    assert (note.epoch, note.kind) == (3, "lottery_ticket")
    assert note.seconds > 0
    weights = note.figures["weights"]
    left = weights - round(0.8 * weights)
    assert shape_lines(RECIPE, ours) == [
        f"lottery_ticket left {left:.0f} of {weights:.0f} weights after epoch 3, and set them back to epoch 1; zeros "
        "among weights save no time"
    ]


def test_a_longer_training_by_its_rule_goes_back_to_as_many_updates() -> None:
    stretched = Recipe("d", "n", epochs=4, batch_size=256, reference_batch_size=128, epochs_rule="updates")
    method = LotteryTicket(pruned=0.5)
    assert method.settled_at(stretched) == (8 + 2) // 2 + 1
    method.check(stretched)


def test_checkpoints_hold_the_early_weights_then_the_masks_and_go_on_to_the_same_bits() -> None:
    kept: list[bytes] = []

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    unbroken = train(RECIPE, IMAGES, CPU, keep=keep)
    checkpoints = [torch.load(io.BytesIO(state), weights_only=True) for state in kept]
    states = [checkpoint["methods"]["lottery_ticket"] for checkpoint in checkpoints]
    assert [state["early"] is not None for state in states] == [False, True, True, False]
    assert [state["masks"] is not None for state in states] == [False, False, False, True]
    early = checkpoints[0]["model"]
    assert all(torch.equal(states[2]["early"][name], early[name]) for name in early)
    ours = unbroken.model.state_dict()
    for checkpoint in checkpoints:
        continued = train(RECIPE, IMAGES, CPU, checkpoint=checkpoint)
        theirs = continued.model.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert [e.learning_rate for e in continued.outcome.epochs] == [e.learning_rate for e in unbroken.outcome.epochs]


def test_it_can_be_timed_again_without_being_trained() -> None:
    outcome = train(RECIPE, IMAGES, CPU).outcome
    again = replay(RECIPE, IMAGES, CPU, Outcome.from_json(outcome.to_json()))
    assert [phase.pattern for phase in again.phases] == [phase.pattern for phase in outcome.phases]
    assert again.train_seconds is not None
    assert again.train_seconds > 0


@pytest.mark.parametrize(("epochs", "rewind"), [(1, 0), (2, 1), (5, 4), (5, 9)])
def test_a_training_too_short_for_two_is_refused(epochs: int, rewind: int) -> None:
    methods = {"lottery_ticket": {"pruned": 0.5, "rewind": rewind}}
    with pytest.raises(RecipeError) as caught:
        active(Recipe("random", "convnet", epochs=epochs, methods=methods))
    assert str(caught.value) == (
        f"lottery_ticket.rewind = {rewind} leaves no time for two trainings in {epochs} epochs; lower it, train "
        "longer, or set lottery_ticket.pruned = 0"
    )


@pytest.mark.parametrize(("epochs", "rewind"), [(2, 0), (3, 1), (6, 4)])
def test_the_shortest_trainings_that_have_room_for_two_are_trained(epochs: int, rewind: int) -> None:
    methods = {"lottery_ticket": {"pruned": 0.5, "rewind": rewind}}
    assert train(replace(RECIPE, epochs=epochs, methods=methods), IMAGES, CPU).outcome.surgeries
