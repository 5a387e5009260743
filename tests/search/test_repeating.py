"""Repeats go to the results of which it is least known whether they are on the front."""

from collections import Counter

import pytest

from paretosearch.recipe import Recipe
from paretosearch.search.repeating import most_uncertain, repeated
from paretosearch.store import Estimate, Point

RECIPE = Recipe("d", "n", seed=5)


def estimate(trial: int, membership: float, on_front: bool = False) -> Estimate:
    point = Point(trial, 1.0, 0.5, RECIPE, "cpu", trial)
    return Estimate(point, 0, 1.0, 0.5, 0.1, 0.01, None, membership, on_front, on_front)


KNOWN = [estimate(1, 0.97, True), estimate(2, 0.55, True), estimate(3, 0.4), estimate(4, 0.01), estimate(5, 0.02, True)]


def test_every_candidate_is_repeated_once_before_any_is_repeated_twice() -> None:
    tries: Counter[int] = Counter()
    order = []
    while (trial := most_uncertain(KNOWN, 2, tries, order[-1] if order else None)) is not None:
        tries[trial] += 1
        order.append(trial)
    assert sorted(order[:4]) == [1, 2, 3, 5]
    assert dict(tries) == {1: 2, 2: 2, 3: 2, 5: 2}  # 4 has no chance


def test_the_most_uncertain_one_comes_first_but_not_twice_in_a_row() -> None:
    once = Counter({1: 1, 2: 1, 3: 1, 5: 1})
    assert most_uncertain(KNOWN, 3, once) == 2
    assert most_uncertain(KNOWN, 3, once, last=2) == 3
    assert most_uncertain([KNOWN[1]], 3, once, last=2) == 2


def test_nothing_is_repeated_of_nothing() -> None:
    assert most_uncertain([], 3, {}) is None


@pytest.mark.parametrize("seed", [0, 5, 2**31 - 1])
def test_a_repeat_differs_in_its_seed_alone(seed: int) -> None:
    recipe = Recipe("d", "n", seed=seed)
    repeats = [repeated(recipe, number) for number in range(1, 50)]
    assert {r.digest for r in repeats} == {recipe.digest}
    assert len({r.seed for r in repeats} | {seed}) == 50
