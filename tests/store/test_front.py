"""The front and its hypervolume are those of the definition."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch.recipe import Recipe
from paretosearch.store import Point, front_of

RECIPE = Recipe(dataset="mnist", network="convnet")

_SECONDS = st.sampled_from([0.0, 1.0, math.nextafter(1.0, 2.0), 2.0, 5.0, 1e300, math.inf, -math.inf, math.nan])
_ACCURACY = st.sampled_from([0.0, 0.5, math.nextafter(0.5, 1.0), 0.75, 1.0, math.inf, math.nan])
_OBJECTIVES = st.lists(st.tuples(_SECONDS, _ACCURACY), max_size=12)
_FINITE = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=12)


def points_of(objectives: Sequence[tuple[float, float]]) -> list[Point]:
    return [Point(i, s, a, RECIPE, "cpu:x", 100 + i) for i, (s, a) in enumerate(objectives)]


def brute_front(points: Sequence[Point]) -> set[int]:
    finite = [p for p in points if math.isfinite(p.train_seconds) and math.isfinite(p.accuracy)]
    return {p.trial for p in finite if not any(beats(q, p) for q in finite)}


def beats(q: Point, p: Point) -> bool:
    if q.train_seconds > p.train_seconds or q.accuracy < p.accuracy:
        return False
    return q.train_seconds < p.train_seconds or q.accuracy > p.accuracy or q.trial < p.trial


def brute_hypervolume(points: Sequence[Point], seconds: float) -> float:
    """Add up the strips under the best accuracy to be had by each time."""
    inside = sorted((p.train_seconds, p.accuracy) for p in points if p.train_seconds < seconds)
    area = best = last = 0.0
    for at, accuracy in [*inside, (seconds, 0.0)]:
        area += best * (at - last)
        best, last = max(best, accuracy), at
    return area


@given(_OBJECTIVES, st.randoms())
def test_the_front_is_the_points_that_none_dominates(
    objectives: list[tuple[float, float]], order: random.Random
) -> None:
    points = points_of(objectives)
    shuffled = list(points)
    order.shuffle(shuffled)
    front = front_of(shuffled)
    assert {p.trial for p in front.points} == brute_front(points)
    assert [p.train_seconds for p in front.points] == sorted(p.train_seconds for p in front.points)
    assert [p.accuracy for p in front.points] == sorted(p.accuracy for p in front.points)
    assert [p.trial for p in front.dominated] == sorted({p.trial for p in points} - brute_front(points))


@given(_FINITE, st.floats(0, 150))
def test_the_hypervolume_is_the_area_up_to_the_reference(objectives: list[tuple[float, float]], seconds: float) -> None:
    points = points_of(objectives)
    front = front_of(points, reference_seconds=seconds)
    assert front.reference == (seconds, 0.0)
    assert front.hypervolume == pytest.approx(brute_hypervolume(points, seconds), rel=1e-9, abs=1e-12)


@given(_FINITE.filter(bool))
def test_the_reference_is_a_tenth_beyond_the_slowest_point(objectives: list[tuple[float, float]]) -> None:
    points = points_of(objectives)
    front = front_of(points)
    assert front.reference == (1.1 * max(p.train_seconds for p in points), 0.0)
    assert front.hypervolume == front_of(points, front.reference[0]).hypervolume


def test_a_slow_dominated_point_moves_the_reference_and_nothing_else() -> None:
    points = points_of([(1.0, 0.5), (10.0, 0.4)])
    front = front_of(points)
    assert [p.trial for p in front.points] == [0]
    assert (front.reference, front.hypervolume) == (pytest.approx((11.0, 0.0)), pytest.approx(5.0))


def test_of_equal_points_the_earliest_stays_in_any_order() -> None:
    points = points_of([(2.0, 0.5), (2.0, 0.5), (2.0, 0.5)])
    assert [p.trial for p in front_of(points[::-1]).points] == [0]


def test_no_points_have_an_empty_front() -> None:
    front = front_of([])
    assert (front.points, front.dominated, front.reference, front.hypervolume) == ((), (), (0.0, 0.0), 0.0)
