"""What a change does alone is compared pair by pair, and with a longer or shorter plain training."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from paretosearch.recipe import Recipe
from paretosearch.report.effectplots import effects_figure
from paretosearch.report.effects import Effect, by_worth, effects, effects_rows
from paretosearch.report.look import Language, Look, Style
from paretosearch.report.replicates import Replicates, Spread
from paretosearch.store import Point

AXES = ("epochs", "label_smoothing.alpha", "ema.decay", "number_format", "seed")
PLAIN = Recipe("fashion-mnist", "resnet8", epochs=8)
SMOOTH = replace(PLAIN, methods={"label_smoothing": {"alpha": 0.1}})
FORMAT = replace(PLAIN, number_format="bf16")

#: Seconds and accuracy at a seed, from 0 to 2.
Law = Callable[[int], tuple[float, float]]


def trained(recipe: Recipe, law: Law, first: int) -> Replicates:
    """Train a Recipe with three seeds."""
    points = [
        Point(first + 10 * seed, *law(seed), replace(recipe, seed=seed), "cpu", attempt=first + 10 * seed)
        for seed in range(3)
    ]
    return Replicates(tuple(points))


def plain(seed: int) -> tuple[float, float]:
    return 10.0 + seed, 0.90 + 0.01 * seed


def twice_as_long(seed: int) -> tuple[float, float]:
    seconds, accuracy = plain(seed)
    return 2 * seconds, accuracy + 0.02


def study(*others: tuple[Recipe, Law]) -> list[Replicates]:
    recipes = [(PLAIN, plain), (replace(PLAIN, epochs=16), twice_as_long), *others]
    return [trained(recipe, law, first) for first, (recipe, law) in enumerate(recipes)]


def test_changes_are_means_over_pairs_of_one_seed() -> None:
    def law(seed: int) -> tuple[float, float]:
        seconds, accuracy = plain(seed)
        return seconds * (1.1 + 0.1 * seed), accuracy + 0.001 * seed

    _, found = effects(study((SMOOTH, law)), AXES)
    assert found.name == "smoothing 0.1"
    assert found.pairs == 3
    assert found.seconds.mean == pytest.approx(0.2)
    assert found.accuracy.mean == pytest.approx(0.001)
    assert found.seconds.half_width == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)


@pytest.mark.parametrize(
    ("times", "gain", "verdict"),
    [
        (2.0, 0.02, "unclear"),  # what twice the epochs give
        (2.0, 0.03, "pays"),
        (2.0, 0.01, "costs"),
        (math.sqrt(2), 0.01, "unclear"),  # halfway along the logarithm
        (4.0, 0.04, "unclear"),  # beyond the longest
        (0.5, -0.02, "unclear"),  # before the shortest
        (0.5, -0.01, "pays"),
    ],
)
def test_a_change_is_worth_what_it_has_beyond_the_plain_recipe_in_the_same_seconds(
    times: float, gain: float, verdict: str
) -> None:
    def law(seed: int) -> tuple[float, float]:
        seconds, accuracy = plain(seed)
        return times * seconds, accuracy + gain + (-1e-5, 0.0, 1e-5)[seed]  # chance, a little of it

    _, found = effects(study((FORMAT, law)), AXES)
    assert found.worth is not None
    assert found.worth.mean == pytest.approx(gain - 0.02 * math.log2(times), abs=1e-9)
    assert found.verdict == verdict


@pytest.mark.parametrize("times", [0.4, 5.0])
def test_what_takes_other_seconds_than_any_plain_training_is_not_judged(times: float) -> None:
    _, found = effects(study((FORMAT, lambda seed: (times * plain(seed)[0], plain(seed)[1]))), AXES)
    assert (found.worth, found.verdict) == (None, "unclear")


def test_the_plain_recipe_is_the_one_that_differs_least_wherever_it_stands() -> None:
    groups = study((SMOOTH, plain), (FORMAT, plain))
    named = {effect.name for effect in effects(groups[::-1], AXES)}
    assert named == {"16 epochs", "smoothing 0.1", "bf16"}


def test_more_epochs_are_not_compared_with_themselves() -> None:
    (longer,) = effects(study(), AXES)
    assert (longer.name, longer.worth, longer.verdict) == ("16 epochs", None, "unclear")


def test_one_training_of_each_has_no_interval_and_no_verdict() -> None:
    groups = [Replicates(group.points[:1]) for group in study((SMOOTH, lambda _: (10.0, 0.95)))]
    _, found = effects(groups, AXES)
    assert found.seconds == Spread(0.0, None)
    assert found.worth is not None
    assert found.verdict == "unclear"


def counting(group: Replicates, flops: Callable[[int], int | None]) -> Replicates:
    """Give trainings so many operations, by seed."""
    return Replicates(tuple(replace(point, training_flops=flops(point.recipe.seed)) for point in group.points))


def test_operations_are_compared_as_seconds_are() -> None:
    first, longer, smooth = study((SMOOTH, plain))
    groups = [
        counting(first, lambda seed: 1000 + 100 * seed),
        longer,
        counting(smooth, lambda seed: (500, 660, 840)[seed]),
    ]
    unknown, found = effects(groups, AXES)
    assert unknown.operations is None
    assert found.operations is not None
    assert found.operations.mean == pytest.approx(-0.4)
    assert found.operations.half_width == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
    rows = list(effects_rows([unknown, found]))
    assert [row["operations_change_percent"] for row in rows] == [None, pytest.approx(-40.0)]
    assert rows[1]["operations_half_width_95"] == pytest.approx(100 * found.operations.half_width)


@pytest.mark.parametrize("missing", [0, None])
def test_a_pair_without_operations_says_nothing_of_them(missing: int | None) -> None:
    first, longer, smooth = study((SMOOTH, plain))
    counted = counting(first, lambda seed: missing if seed == 0 else 1000)
    _, found = effects([counted, longer, counting(smooth, lambda seed: 900 if seed < 2 else None)], AXES)
    assert found.operations == Spread(pytest.approx(-0.1), None)
    assert found.pairs == 3


def test_without_another_length_there_is_no_verdict_column() -> None:
    groups = [group for group in study((SMOOTH, plain)) if group.recipe.epochs == 8]
    (found,) = effects(groups, AXES)
    (row,) = effects_rows([found])
    assert row["verdict"] == ""
    assert row["points_at_equal_seconds"] is None
    assert len(effects_figure([found]).axes) == 2


def test_a_seed_without_the_plain_recipe_is_no_pair() -> None:
    groups = study((SMOOTH, plain))
    groups[0] = Replicates(groups[0].points[1:])
    found = effects(groups, AXES)
    assert [effect.pairs for effect in found] == [2, 2]
    assert effects(groups[:1], AXES) == ()


@pytest.mark.parametrize("look", [Look("thesis", "en"), Look("slides", "de")])
def test_the_figure_names_every_change(look: Look) -> None:
    found = effects(study((SMOOTH, plain), (FORMAT, twice_as_long)), AXES)
    figure = effects_figure(found, look)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 3
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert named == [look.words(effect.name) for effect in found]


def test_a_row_has_percents_and_points() -> None:
    spread = Spread(0.1, 0.02)
    (row,) = effects_rows([Effect(SMOOTH, ("label_smoothing.alpha",), 3, spread, spread, spread)])
    assert row["seconds_change_percent"] == pytest.approx(10.0)
    assert row["accuracy_change_points"] == pytest.approx(10.0)
    assert row["points_at_equal_seconds_half_width_95"] == pytest.approx(2.0)
    assert row["verdict"] == "pays"


def _effect(worth: float | None, half: float = 0.01) -> Effect:
    spread = Spread(0.1, 0.02)
    return Effect(SMOOTH, ("label_smoothing.alpha",), 3, spread, spread, None if worth is None else Spread(worth, half))


def test_what_is_worth_most_comes_first_and_what_is_not_judged_last() -> None:
    found = [_effect(None), _effect(-0.1), _effect(0.2), _effect(0.0)]
    assert by_worth(found) == (found[2], found[3], found[1], found[0])


def test_a_change_that_lies_far_from_the_others_is_written_at_the_edge_and_leaves_them_their_room() -> None:
    near = [_effect(0.01 * number) for number in range(-3, 4)]
    *_, panel = effects_figure([*near, _effect(-0.6)]).axes
    assert [text.get_text() for text in panel.texts] == ["← −60"]
    assert -20 < panel.get_xlim()[0] < panel.texts[0].xy[0] < -4  # type: ignore[attr-defined]
    *_, panel = effects_figure([*near, _effect(-0.06)]).axes
    assert [text.get_text() for text in panel.texts] == []
    assert panel.get_xlim()[0] < -7


def test_a_panel_in_which_hardly_anything_changes_has_a_range() -> None:
    same = [Effect(SMOOTH, ("label_smoothing.alpha",), 3, *[Spread(0.0, 0.0)] * 3) for _ in range(9)]
    for panel in effects_figure([*same, _effect(-0.6)]).axes:
        low, high = panel.get_xlim()
        assert low < high


def test_what_a_change_turns_off_is_said() -> None:
    averaged = replace(PLAIN, methods={"ema": {"decay": 0.97}})
    recipes = [averaged, replace(averaged, epochs=16), PLAIN, SMOOTH, replace(averaged, number_format="bf16")]
    groups = [trained(recipe, plain, first) for first, recipe in enumerate(recipes)]
    found = effects(groups, AXES)
    assert [effect.name for effect in found] == ["16 epochs", "without ema", "smoothing 0.1, without ema", "bf16"]
    assert Look("thesis", "de").words(found[1].name) == "ohne ema"


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize("style", ["thesis", "slides"])
@pytest.mark.parametrize("worth", [0.01, None])
def test_what_the_axes_show_is_written_within_the_figure_and_apart(
    lang: Language, style: Style, worth: float | None
) -> None:
    long = replace(SMOOTH, methods={"label_smoothing": {"alpha": 0.1}, "ema": {"decay": 0.999}})
    found = [replace(_effect(worth), recipe=long, axes=("label_smoothing.alpha", "ema.decay"))]
    figure = effects_figure(found, Look(style, lang))
    figure.draw_without_rendering()
    boxes = [panel.xaxis.label.get_window_extent() for panel in figure.axes]
    assert boxes[0].x0 >= 0
    assert boxes[-1].x1 <= figure.bbox.x1
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
