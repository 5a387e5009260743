"""The anytime front has epochs of those trainings only that could have ended there."""

import io
import json

from rich.console import Console

from paretosearch.recipe import Recipe
from paretosearch.report.anytime import anytime_front, anytime_json, anytime_table
from paretosearch.store import Point, front_of

ANNEALED, CONSTANT = Recipe("d", "n", epochs=3), Recipe("d", "n", epochs=3, schedule="constant")
CURVE = [(1.0, 0.5), (2.0, 0.7), (3.0, 0.8)]


def points(*recipes: Recipe) -> list[Point]:
    return [Point(n, 3.0 + n, 0.8 + n / 100, recipe, "cpu", n) for n, recipe in enumerate(recipes)]


def shown(*recipes: Recipe) -> list[tuple[int, int]]:
    curves = {n: [(s + n * s / 3, a + n / 100) for s, a in CURVE] for n in range(len(recipes))}
    return [(stage.point.trial, stage.epoch) for stage in anytime_front(front_of(points(*recipes)), curves)]


def test_epochs_under_a_falling_rate_are_no_results() -> None:
    assert shown(ANNEALED, ANNEALED) == [(0, 3), (1, 3)]


def test_epochs_under_a_constant_rate_are_on_the_front_where_nothing_is_better() -> None:
    assert shown(CONSTANT) == [(0, 1), (0, 2), (0, 3)]
    assert shown(ANNEALED, CONSTANT) == [(1, 1), (1, 2), (0, 3), (1, 3)]


def test_the_table_names_the_epoch_and_says_when_no_training_could_have_ended_early() -> None:
    def text(*recipes: Recipe) -> str:
        console = Console(file=io.StringIO(), record=True, width=90)
        console.print(anytime_table(anytime_front(front_of(points(*recipes)), {0: CURVE}), ("epochs",)))
        return console.export_text()

    assert "1/3" in text(CONSTANT)
    assert "none of these could have ended early" in text(ANNEALED)
    assert "no trial is complete yet" in text()


def test_json_has_a_recipe_for_every_stage() -> None:
    plain = anytime_json(anytime_front(front_of(points(CONSTANT)), {0: CURVE}))
    assert [entry["epoch"] for entry in json.loads(json.dumps(plain))] == [1, 2, 3]
    assert all(entry["recipe"]["schedule"] == "constant" for entry in plain)
