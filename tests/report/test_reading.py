"""What a reader looks for in a front."""

import pytest

from paretosearch.recipe import Recipe
from paretosearch.report.reading import accuracy_floor, evenly, notable, spans_decades
from paretosearch.store import Point, front_of

RECIPE = Recipe("mnist", "resnet8")


def points(*objectives: tuple[float, float]) -> list[Point]:
    return [Point(trial, seconds, accuracy, RECIPE, "c", trial) for trial, (seconds, accuracy) in enumerate(objectives)]


def test_the_knee_is_highest_above_the_line_between_the_ends_in_the_logarithm_of_time() -> None:
    # At 10 s, half way in the logarithm, 0.79 is 0.29 above the line; at 2 s 0.70 is 0.55 above it; at 50 s 0.1 only.
    found = notable(points((1, 0.0), (2, 0.70), (10, 0.79), (50, 0.95), (100, 1.0)))
    assert {name: point.trial for name, point in found.items()} == {"fastest": 0, "best": 4, "knee": 1}


def test_in_linear_time_another_point_would_be_the_knee() -> None:
    found = notable(points((1, 0.0), (2, 0.2), (30, 0.9), (100, 1.0)))  # linear: 0.19, 0.61; logarithm: 0.05, 0.16
    assert found["knee"].trial == 2


def test_a_front_that_sags_has_no_knee() -> None:
    assert "knee" not in notable(points((1, 0.5), (10, 0.51), (12, 0.9)))


def test_a_front_of_one_point_has_one_name() -> None:
    assert list(notable(points((1, 0.5)))) == ["only point"]
    assert notable([]) == {}


def test_a_time_of_zero_has_a_logarithm_to_reckon_with() -> None:
    assert notable(points((0, 0.1), (1, 0.89), (2, 0.9)))["knee"].trial == 1


def test_an_outlier_does_not_squash_the_front() -> None:
    front = front_of(points((1, 0.80), (10, 0.90), (11, 0.10), (12, 0.75)))
    assert accuracy_floor(front) == pytest.approx(0.72)  # 0.8 of the front's range below it
    assert accuracy_floor(front_of(points((1, 0.80), (10, 0.90), (12, 0.75)))) == 0.75
    assert accuracy_floor(front_of(points((1, 0.80), (10, 0.70), (12, 0.6)))) == 0.6  # a front of one point
    assert accuracy_floor(front_of(points((1, 0.80), (10, 0.70), (12, 0.1)))) == pytest.approx(0.5)


def test_evenly_keeps_both_ends_and_order() -> None:
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert evenly(range(3), 4) == [0, 1, 2]
    assert evenly(range(5), 1) == [0]


def test_times_are_read_on_a_logarithmic_axis_beyond_a_factor_of_20() -> None:
    assert spans_decades([1.0, 20.1])
    assert not spans_decades([1.0, 20.0])
    assert not spans_decades([0.0, 20.0])
