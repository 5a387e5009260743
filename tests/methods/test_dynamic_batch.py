"""The dynamic mini-batch: what memory allows, what measured steps are worth, and the learning rate that follows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from paretosearch.errors import RecipeError
from paretosearch.methods import dynamic_batch
from paretosearch.methods.dynamic_batch import DynamicBatch, fitting
from paretosearch.recipe import Recipe
from paretosearch.run import StepCost
from paretosearch.testing.methods import BATCH, TinyTraining

GIB = 2**30


@pytest.fixture(autouse=True)
def _few_steps_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 0)


def training(largest: int = 4 * BATCH) -> TinyTraining:
    return TinyTraining((DynamicBatch(largest=largest),), "convnet", width=1.0)


def prune(tiny: TinyTraining) -> None:
    """Halve every space, as a pruning between two epochs would."""
    tiny.surgeon.remap({space.name: torch.arange(space.size // 2) for space in tiny.surgeon.channels.free})


def choose(tiny: TinyTraining) -> dict[str, float]:
    """Prune behind the first epoch; gives what the Method then says."""
    tiny.epoch()
    prune(tiny)
    (surgery,) = tiny.methods[0].on_epoch_start(tiny.run)
    assert not surgery.operations
    return dict(surgery.figures)


def test_the_batch_stays_as_long_as_the_network_does() -> None:
    tiny = training().epoch().epoch()
    assert tiny.run.batch_size == BATCH
    assert not list(tiny.methods[0].on_epoch_start(tiny.run))


def test_with_few_steps_to_come_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 7)  # two steps in each of the three epochs to come are fewer
    tiny = training().epoch()
    prune(tiny)
    assert list(tiny.methods[0].on_epoch_start(tiny.run)) == []


def test_the_batch_doubles_when_a_step_of_twice_the_images_is_faster_than_two() -> None:
    tiny = training()
    assert choose(tiny) == {"tried": 16, "speedup": 2.0, "batch_size": 16}
    assert tiny.run.batch_size == 16


def test_the_batch_stays_when_that_would_save_less_than_a_twentieth() -> None:
    tiny = training()
    tiny.run.step_cost = lambda batch: StepCost(0.04 + batch, 0, None)
    figures = choose(tiny)
    assert figures["speedup"] == pytest.approx(8.04 / 16.04 * 2)
    assert figures["batch_size"] == tiny.run.batch_size == BATCH


def test_the_batch_never_exceeds_its_limit_nor_the_images() -> None:
    assert choose(training(largest=12))["batch_size"] == 12
    tiny = training(largest=1000)
    tiny.run.steps_per_epoch = 1
    tiny.epoch()
    prune(tiny)
    assert not list(tiny.methods[0].on_epoch_start(tiny.run))


def rates(tiny: TinyTraining) -> list[float]:
    """Give the learning rate at the start, in the middle and at the end of the epoch after the choice, and later."""
    seen = []
    for epoch, step in ((1, 0), (1, 1), (2, 0), (3, 1)):
        tiny.run.epoch, tiny.run.epoch_step, tiny.run.learning_rate = epoch, step, 0.1
        tiny.methods[0].on_batch(tiny.run, *tiny.batch)
        seen.append(tiny.run.learning_rate)
    return seen


@pytest.mark.parametrize(
    ("rule", "follows"),
    [
        ("linear", [0.1, 0.15, 0.2, 0.2]),
        ("sqrt", [0.1, 0.1 * 1.5**0.5, 0.1 * 2**0.5, 0.1 * 2**0.5]),
        ("none", [0.1, 0.1, 0.1, 0.1]),
    ],
)
@pytest.mark.parametrize("reference", [BATCH, 4 * BATCH])
def test_the_learning_rate_follows_a_growing_batch_by_the_recipes_rule(
    rule: str, follows: list[float], reference: int
) -> None:
    tiny = training()
    tiny.run.recipe = replace(tiny.run.recipe, learning_rate_rule=rule, reference_batch_size=reference)
    choose(tiny)
    assert tiny.run.batch_size == 2 * BATCH
    assert rates(tiny) == pytest.approx(follows)


@pytest.mark.parametrize("rule", ["linear", "sqrt", "none"])
def test_a_batch_that_has_grown_trains_at_the_rate_of_one_that_was_as_large_from_the_start(rule: str) -> None:
    """Two growths in a row, by the rule each time, are one growth by the product."""
    tiny = training()
    tiny.run.recipe = replace(tiny.run.recipe, learning_rate_rule=rule)
    recipe = tiny.run.recipe
    method = tiny.methods[0]
    assert isinstance(method, DynamicBatch)
    for size, epoch in ((2 * BATCH, 1), (4 * BATCH, 2)):
        tiny.run.epoch = epoch
        method._take(tiny.run, size)
    tiny.run.epoch, tiny.run.epoch_step, tiny.run.learning_rate = 3, 0, recipe.peak_learning_rate
    method.on_batch(tiny.run, *tiny.batch)
    assert tiny.run.learning_rate == pytest.approx(replace(recipe, batch_size=4 * BATCH).peak_learning_rate)


@pytest.mark.parametrize("rule", ["linear", "sqrt"])
@pytest.mark.parametrize("largest", [0, 4 * BATCH])
def test_growing_and_keeping_by_either_rule_are_four_trainings(rule: str, largest: int) -> None:
    tiny = training(largest) if largest else TinyTraining((), "convnet", width=1.0)
    tiny.run.recipe = replace(tiny.run.recipe, learning_rate_rule=rule)
    tiny.epoch()
    prune(tiny)
    tiny.epoch()
    assert tiny.run.batch_size == (2 * BATCH if largest else BATCH)
    if largest:
        assert rates(tiny)[-1] == pytest.approx(0.1 * (2.0 if rule == "linear" else 2**0.5))


def test_a_continued_training_keeps_batch_and_learning_rate() -> None:
    tiny = training()
    choose(tiny)
    resumed = training().resume(tiny.checkpoint())
    assert resumed.run.batch_size == 16
    assert resumed.methods[0].state_dict() == tiny.methods[0].state_dict()


@pytest.mark.parametrize(
    ("peak", "larger_peak", "fits"),
    [
        (1.0, 1.5, 256),  # far from full
        (6.0, 10.0, 160),  # 2 GiB and 1/32 GiB an image: 0.9 * 8 GiB hold 166 images
        (6.0, 8.0, 192),  # what is reported of a step that broke down
    ],
)
def test_the_batch_fits_the_memory(peak: float, larger_peak: float, fits: int) -> None:
    small, large = (StepCost(1.0, int(gib * GIB), 8 * GIB) for gib in (peak, larger_peak))
    assert fitting((128, small), (256, large)) == fits


def test_a_batch_that_does_not_fit_any_more_becomes_smaller_at_any_speed() -> None:
    small, large = StepCost(1.0, int(7.8 * GIB), 8 * GIB), StepCost(9.0, int(12 * GIB), 8 * GIB)
    assert fitting((128, small), (256, large)) == 96


def test_a_batch_that_does_not_fit_at_all_is_halved_until_it_does() -> None:
    for largest in (BATCH, 4 * BATCH):
        tiny = training(largest)
        tiny.run.step_cost = lambda batch: StepCost(1.0 if batch <= 3 else math.inf, GIB, GIB)
        assert choose(tiny) == {"tried": BATCH, "batch_size": 2}
        assert tiny.run.batch_size == 2


def test_what_cannot_be_measured_is_not_taken() -> None:
    tiny = training()
    tiny.run.step_cost = lambda batch: StepCost(1.0 if batch <= BATCH else math.inf, GIB, GIB)
    assert choose(tiny) == {"tried": BATCH, "speedup": 1.0, "batch_size": BATCH}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"prunetrain": {"penalty_ratio": 0.2}},
            "dynamic_batch.largest = 128 is no larger than batch_size = 128, so the batch could never grow; "
            "raise it, or set it to 0",
        ),
        (
            {},
            "dynamic_batch.largest = 256 acts when the network changes its shape; "
            "turn one of early_bird, net2net, prunetrain on, or set it to 0",
        ),
    ],
)
def test_a_batch_that_could_never_grow_is_refused(methods: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        DynamicBatch(largest=128 if methods else 256).check(Recipe("random", "convnet", methods=methods))
    assert str(error.value) == message
