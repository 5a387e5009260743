"""What does not go together: refused with a reason where a person writes it, left out where a search draws it."""

from itertools import combinations

import pytest

from paretosearch import methods
from paretosearch.axis import Value
from paretosearch.errors import RecipeError
from paretosearch.method import NAMED_SLOTS, Method
from paretosearch.methods import CATALOGUE, compatibility
from paretosearch.recipe import FIELDS, Recipe
from paretosearch.space import Space
from paretosearch.testing.acting import suited

CONFLICTS = [(conflict, other) for conflict in compatibility.CONFLICTS for other in conflict.others]

every_conflict = pytest.mark.parametrize(
    ("conflict", "other"), CONFLICTS, ids=lambda part: getattr(part, "method", part)
)


def switched(*names: str) -> dict[str, dict[str, Value]]:
    """Turn Methods on that are no choice of a slot."""
    found = [(method, suited(method).turned_on(method)) for method in CATALOGUE if method.name in names]
    return {m.name: {key: getattr(on, key) for key in m.space} for m, on in found if m.switch is not None}


def conflicting(conflict: compatibility.Conflict, other: str) -> Recipe:
    field = {conflict.field: other} if conflict.field else {}
    return Recipe("random", "resnet8", epochs=10, methods=switched(conflict.method, other), **field)  # type: ignore[arg-type]


@every_conflict
def test_it_is_of_methods_that_exist_or_of_values_that_a_field_has(
    conflict: compatibility.Conflict, other: str
) -> None:
    methods.by_name(conflict.method)
    if conflict.field:
        assert FIELDS[conflict.field].contains(other)
    else:
        methods.by_name(other)


@every_conflict
def test_a_recipe_is_refused_with_the_reason(conflict: compatibility.Conflict, other: str) -> None:
    with pytest.raises(RecipeError) as caught:
        methods.active(conflicting(conflict, other))
    assert conflict.method in str(caught.value)
    assert other in str(caught.value)
    assert "\n" not in str(caught.value)


@every_conflict
def test_a_search_leaves_one_of_them_out(conflict: compatibility.Conflict, other: str) -> None:
    recipe = conflicting(conflict, other)
    found = drawn(recipe)
    methods.active(found)
    gone = recipe.methods.keys() - found.methods.keys()
    assert len(gone) == 1
    assert gone <= {conflict.method, other}


@pytest.mark.parametrize(
    ("first", "second"),
    [(a, b) for a, b in combinations(CATALOGUE, 2) if a.slot and a.slot is b.slot and a.slot not in NAMED_SLOTS],
    ids=lambda method: method.name,
)
def test_of_two_methods_of_one_slot_a_search_keeps_the_first(first: type[Method], second: type[Method]) -> None:
    recipe = Recipe("random", "resnet8", epochs=10, methods=switched(first.name, second.name))
    with pytest.raises(RecipeError, match="slot; keep one of them"):
        methods.active(recipe)
    assert first.name in drawn(recipe).methods
    assert second.name not in drawn(recipe).methods


def test_a_method_waits_for_none_that_gives_way() -> None:
    both = switched("schedule_free", "layer_replacement")
    alone = drawn(Recipe("random", "resnet8", epochs=10, methods=both))
    assert "layer_replacement" in alone.methods
    endless = {**both, "prunetrain": {"penalty_ratio": 0.25, "until": 1.0}}
    assert drawn(Recipe("random", "resnet8", epochs=10, methods=endless)) == alone


def drawn(recipe: Recipe) -> Recipe:
    """Give the canonical Recipe of the genome that spells a Recipe."""
    values: dict[str, Value] = {key: axis.default for key, axis in methods.parameters().items()}  # type: ignore[misc]
    plain = {key: getattr(recipe, key) for key in ("dataset", "network", "pooling", "schedule", *FIELDS)}
    given = {f"{name}.{key}": value for name, found in recipe.methods.items() for key, value in found.items()}
    return Space({**plain, **values, **given}, {}, methods.activations()).recipe({})
