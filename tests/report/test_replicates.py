"""What was trained with several seeds is shown with what chance does."""

import math
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from paretosearch.recipe import Recipe
from paretosearch.report.replicates import Spread, replicates, replicates_figure, replicates_rows
from paretosearch.store import Front, Point, front_of

AXES = ("number_format", "epochs", "seed")


def _point(trial: int, recipe: Recipe, seconds: float, accuracy: float) -> Point:
    return Point(trial, seconds, accuracy, recipe, "cpu", attempt=trial)


@pytest.fixture
def repeated() -> Front:
    recipe = Recipe("fashion-mnist", "resnet8")
    points = [
        _point(3 * seed + kind, replace(recipe, number_format=number_format, seed=seed), 10.0 + kind, accuracy)
        for seed, accuracies in enumerate([(0.90, 0.91), (0.92, 0.90), (0.94, 0.92)])
        for kind, (number_format, accuracy) in enumerate(zip(("fp32", "dfp16"), accuracies, strict=True))
    ]
    return front_of(points)


def test_an_interval_is_students(repeated: Front) -> None:
    fp32, dfp16 = replicates(repeated)
    assert [point.recipe.number_format for point in (*fp32.points, *dfp16.points)] == ["fp32"] * 3 + ["dfp16"] * 3
    assert fp32.accuracy.mean == pytest.approx(0.92)
    assert fp32.accuracy.half_width == pytest.approx(
        4.3027 * 0.02 / math.sqrt(3), rel=1e-4
    )  # t of 2 degrees, from a book
    assert Spread.of([0.5]) == Spread(0.5, None)


def test_without_a_second_seed_there_is_nothing_to_show(front: Front, repeated: Front) -> None:
    assert replicates(front) == ()
    points = (*repeated.points, *repeated.dominated)
    assert replicates(front_of([replace(point, recipe=replace(point.recipe, seed=0)) for point in points])) == ()


def test_the_table_has_a_row_a_recipe_and_no_seed(repeated: Front) -> None:
    rows = replicates_rows(replicates(repeated), AXES)
    assert [(row["number_format"], row["trainings"], row["trials"]) for row in rows] == [
        ("fp32", 3, "0 3 6"),
        ("dfp16", 3, "1 4 7"),
    ]
    assert all("seed" not in row for row in rows)


def test_the_figure_names_every_recipe(repeated: Front) -> None:
    figure = replicates_figure(replicates(repeated), AXES)
    assert isinstance(figure, Figure)
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert named == ["fp32, 12 epochs", "dfp16, 12 epochs"]


def test_many_recipes_fit_a_page(repeated: Front) -> None:
    recipe = Recipe("fashion-mnist", "resnet8", seed=1)
    more = [_point(100 + n, replace(recipe, epochs=n), float(n), n / 100) for n in range(20, 80)]
    groups = replicates(replace(repeated, dominated=(*repeated.dominated, *more)))
    figure = replicates_figure(groups, AXES)
    assert figure.get_figheight() < 9
    assert len(figure.axes[0].get_yticklabels()) == 40
