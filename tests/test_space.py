"""Genomes become canonical Recipes, and spaces have names."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest

from paretosearch.axis import Choice, Int, Real, SearchAxis, Value
from paretosearch.errors import RecipeError
from paretosearch.recipe import Recipe
from paretosearch.space import Activation, Space

ACTIVATIONS = (
    Activation("max", "pooling", "max", on=True, parameters=()),
    Activation("s3", "pooling", "s3", on=True, parameters=("grid",)),
    Activation("one_cycle", "schedule", "one_cycle", on=True, parameters=("warmup",)),
    Activation("constant", "schedule", "constant", on=True, parameters=()),
    Activation("prune", "prune.penalty", 0.0, on=False, parameters=("penalty", "interval")),
)
FIXED: dict[str, Value] = {
    "dataset": "cifar10",
    "network": "resnet20",
    "schedule": "one_cycle",
    "one_cycle.warmup": 0.2,
    "seed": 3,
}
SPACE = Space(
    FIXED,
    {
        "pooling": Choice(("max", "s3")),
        "s3.grid": Int(1, 4),
        "prune.penalty": Choice((0.0, 0.1)),
        "prune.interval": Int(1, 3),
        "batch_size": Int(32, 128, log2=True),
    },
    ACTIVATIONS,
)
GENOME: dict[str, Value] = {
    "pooling": "s3",
    "s3.grid": 2,
    "prune.penalty": 0.1,
    "prune.interval": 2,
    "batch_size": 64,
}


def test_a_genome_becomes_a_recipe_with_the_parameters_of_what_is_on() -> None:
    recipe = SPACE.recipe(GENOME)
    assert (recipe.dataset, recipe.network, recipe.batch_size, recipe.seed) == ("cifar10", "resnet20", 64, 3)
    assert (recipe.pooling, recipe.schedule) == ("s3", "one_cycle")
    assert recipe.methods == {
        "s3": {"grid": 2},
        "one_cycle": {"warmup": 0.2},
        "prune": {"penalty": 0.1, "interval": 2},
    }


@pytest.mark.parametrize(
    ("off", "inert"),
    [({"prune.penalty": 0.0}, "prune.interval"), ({"pooling": "max"}, "s3.grid")],
)
def test_an_inert_axis_leaves_no_trace_in_the_recipe(off: dict[str, Value], inert: str) -> None:
    digests = {SPACE.recipe({**GENOME, **off, inert: value}).digest for value in (1, 2, 3)}
    assert len(digests) == 1
    assert len({SPACE.recipe({**GENOME, inert: value}).digest for value in (1, 2, 3)}) == 3


def test_genomes_share_a_recipe_exactly_when_they_differ_in_inert_axes_only() -> None:
    lists = [SPACE.values_of(name) for name in SPACE.axes]
    genomes = [dict(zip(SPACE.axes, values, strict=True)) for values in itertools.product(*lists)]
    recipes = {SPACE.recipe(genome) for genome in genomes}
    assert len(genomes) == SPACE.size == 2 * 4 * 2 * 3 * 3
    assert len(recipes) == (1 + 4) * (1 + 3) * 3


def test_a_method_that_takes_no_parameters_leaves_its_name_in_its_field_alone() -> None:
    assert "max" not in SPACE.recipe({**GENOME, "pooling": "max"}).methods


def acting_on(needed: str | None, recipe: Recipe) -> Mapping[str, Value] | None:
    """What a Method says that acts in long trainings only, and perhaps only beside another one."""
    if recipe.epochs < 2 or (needed and needed not in recipe.methods):
        return None
    return {"strength": 1.0}


TWO = Space(
    fixed={"dataset": "cifar10", "network": "resnet20", "pooling": "max", "second.strength": 0.5},
    axes={"epochs": Int(1, 3), "first.strength": Real(0.0, 2.0)},
    activations=(
        Activation("second", "second.strength", 0.0, False, ("strength",), partial(acting_on, "first")),
        Activation("first", "first.strength", 0.0, False, ("strength",), partial(acting_on, None)),
    ),
)


def test_a_method_that_could_not_act_is_left_out_with_what_acts_on_it() -> None:
    def left(epochs: int, strength: float) -> set[str]:
        return set(TWO.recipe({"epochs": epochs, "first.strength": strength}).methods)

    assert left(2, 1.5) == {"first", "second"}
    assert left(2, 0.0) == set()
    assert left(1, 1.5) == set()


def test_parameters_take_the_form_that_equal_trainings_share() -> None:
    digests = {TWO.recipe({"epochs": 2, "first.strength": strength}).digest for strength in (0.5, 1.0, 1.5)}
    assert len(digests) == 1
    assert TWO.spelled({"epochs": 2, "first.strength": 1.5}).methods["first"] == {"strength": 1.5}


def test_all_genomes_of_a_recipe_share_one_genome_and_it_has_that_recipe() -> None:
    names = list(SPACE.axes)
    shared: dict[str, dict[str, Value]] = {}
    for values in itertools.product(*map(SPACE.values_of, names)):
        genome = dict(zip(names, values, strict=True))
        recipe = SPACE.recipe(genome)
        one = SPACE.genome_of(recipe)
        assert shared.setdefault(recipe.digest, one) == one
        assert SPACE.recipe(one) == recipe
        assert SPACE.settled(genome) == one  # no Method here is unable to act
    assert len(shared) < SPACE.size  # type: ignore[operator]  # every axis is a list


RULES = replace(
    SPACE,
    axes={
        "batch_size": Choice((64, 128, 256)),
        "learning_rate_rule": Choice(("sqrt", "linear")),
        "epochs_rule": Choice(("updates", "fixed")),
    },
    fixed={**FIXED, "pooling": "max", "prune.penalty": 0.0, "prune.interval": 1, "s3.grid": 1},
)


def test_rules_that_say_nothing_leave_no_trace_in_the_recipe() -> None:
    names = list(RULES.axes)
    shared: dict[str, dict[str, Value]] = {}
    for values in itertools.product(*map(RULES.values_of, names)):
        recipe = RULES.recipe(dict(zip(names, values, strict=True)))
        one = RULES.genome_of(recipe)
        assert shared.setdefault(recipe.digest, one) == one
        assert RULES.recipe(one) == recipe
    sizes = [genome["batch_size"] for genome in shared.values()]
    assert [sizes.count(size) for size in (64, 128, 256)] == [2, 1, 4]


def test_a_rule_that_is_not_searched_stays_as_it_is_written() -> None:
    fixed = {**RULES.fixed, "learning_rate_rule": "sqrt", "epochs_rule": "updates"}
    recipe = replace(RULES, fixed=fixed, axes={"batch_size": Choice((64, 128))}).recipe({"batch_size": 128})
    assert (recipe.learning_rate_rule, recipe.epochs_rule) == ("sqrt", "updates")


def test_corners_are_the_ends_of_some_axes() -> None:
    corners = list(SPACE.corners(["prune.interval", "pooling", "seed"]))
    found = [(corner["prune.interval"], corner["pooling"], corner["batch_size"]) for corner in corners]
    assert found == [(1, "max", 32), (1, "s3", 32), (3, "max", 32), (3, "s3", 32)]


def test_a_space_has_a_genome_whose_values_are_all_its_own() -> None:
    assert SPACE.has(GENOME)
    assert not SPACE.has({**GENOME, "batch_size": 256})
    narrowed = replace(
        SPACE,
        fixed={**FIXED, "pooling": "max"},
        axes={name: axis for name, axis in SPACE.axes.items() if name != "pooling"},
    )
    assert not narrowed.has(GENOME)
    assert narrowed.has({**GENOME, "pooling": "max"})


def test_a_value_that_no_recipe_allows_is_refused() -> None:
    with pytest.raises(RecipeError, match="batch_size = 0"):
        SPACE.recipe({**GENOME, "batch_size": 0})


def test_a_space_with_a_continuum_has_no_size() -> None:
    assert replace(SPACE, axes={**SPACE.axes, "momentum": Real(0, 0.9)}).size is None


def test_a_space_lists_what_a_key_can_be() -> None:
    assert SPACE.values_of("pooling") == ("max", "s3")
    assert SPACE.values_of("batch_size") == (32, 64, 128)
    assert SPACE.values_of("prune.interval") == (1, 2, 3)
    assert SPACE.values_of("seed") == (3,)


def test_the_corner_is_the_genome_of_lowest_values() -> None:
    corner = {"pooling": "max", "s3.grid": 1, "prune.penalty": 0.0, "prune.interval": 1, "batch_size": 32}
    assert corner == SPACE.corner
    SPACE.corner["batch_size"] = 128
    assert corner == SPACE.corner  # whoever changes one has changed his own


def test_a_space_keeps_its_name_through_json_and_in_any_order_of_keys() -> None:
    turned = replace(SPACE, fixed=dict(reversed(FIXED.items())), axes=dict(list(SPACE.axes.items())[::-1]))
    assert turned.hash == SPACE.hash
    assert json.loads(json.dumps(SPACE.to_plain())).keys() == {"fixed", "axes"}


@pytest.mark.parametrize(
    "other",
    [
        replace(SPACE, fixed={**FIXED, "seed": 4}),
        replace(SPACE, fixed={**FIXED, "one_cycle.warmup": 0.3}),
        replace(SPACE, axes={**SPACE.axes, "batch_size": Int(32, 256, log2=True)}),
        replace(SPACE, axes={**SPACE.axes, "batch_size": Int(32, 128)}),
        replace(SPACE, axes={**SPACE.axes, "batch_size": Choice((32, 64, 128))}),
        replace(SPACE, axes={name: axis for name, axis in SPACE.axes.items() if name != "batch_size"}),
    ],
)
def test_another_space_has_another_name(other: Space) -> None:
    assert other.hash != SPACE.hash


def test_a_method_that_is_new_and_off_leaves_the_name_of_an_older_space_as_it_was() -> None:
    newer = replace(
        SPACE,
        fixed={**FIXED, "mixup.alpha": 0.0, "mixup.share": 0.5, "haar.levels": 2},
        activations=(
            *ACTIVATIONS,
            Activation("mixup", "mixup.alpha", 0.0, on=False, parameters=("alpha", "share")),
            Activation("haar", "pooling", "haar", on=True, parameters=("levels",)),
        ),
    )
    assert newer.hash == SPACE.hash
    assert replace(newer, fixed={**newer.fixed, "mixup.alpha": 0.1}).hash != SPACE.hash


def test_a_fixed_parameter_of_a_method_that_may_be_on_is_part_of_the_name() -> None:
    def hash_of(grid: int, *pooling: str) -> str:
        axes: dict[str, SearchAxis] = {"pooling": Choice(pooling), "batch_size": Int(32, 128, log2=True)}
        return Space({**FIXED, "s3.grid": grid, "prune.penalty": 0.0, "prune.interval": 1}, axes, ACTIVATIONS).hash

    def hash_of_always_on(interval: int) -> str:
        fixed = {**FIXED, "pooling": "max", "prune.interval": interval}
        return Space(fixed, {"prune.penalty": Choice((0.1, 0.2))}, ACTIVATIONS).hash

    assert hash_of_always_on(1) != hash_of_always_on(2)
    assert hash_of(2, "max", "s3") != hash_of(3, "max", "s3")
    assert hash_of(2, "max") == hash_of(3, "max")
