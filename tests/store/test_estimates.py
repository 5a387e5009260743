"""Repeats correct what the best of many noisy results promised."""

import numpy as np
import pytest

from paretosearch.recipe import Recipe
from paretosearch.store import Point, Repeat
from paretosearch.store.estimates import PRIOR_SPREAD, estimated, is_on_front, membership, spreads_of

RECIPE = Recipe("d", "n")


def point(trial: int, seconds: float, accuracy: float) -> Point:
    return Point(trial, seconds, accuracy, RECIPE, "cpu", trial)


@pytest.mark.parametrize("spread", [0.004, 0.015])
@pytest.mark.parametrize(("candidates", "repeats"), [(2, 2), (8, 3)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(spread: float, candidates: int, repeats: int) -> None:
    chance, held = np.random.default_rng(0), []
    for _ in range(400):
        noise = chance.normal(0, spread, (candidates, repeats + 1))
        points = [point(trial, 2.0 + trial, 0.8 + noise[trial, 0]) for trial in range(candidates)]
        again = [
            Repeat(t, s, 2.0 + t, 0.8 + noise[t, s], None) for t in range(candidates) for s in range(1, repeats + 1)
        ]
        held += [abs(e.accuracy - 0.8) <= e.accuracy_interval for e in estimated(points, again)]
    assert 0.92 < np.mean(held) <= 1.0


def test_a_result_without_repeats_is_its_own_estimate() -> None:
    (found,) = estimated([point(3, 2.0, 0.8)], [])
    assert (found.train_seconds, found.accuracy, found.repeats, found.test_accuracy) == (2.0, 0.8, 0, None)
    assert (found.membership, found.on_front, found.on_epsilon_front) == (1.0, True, True)
    assert found.seconds_interval == pytest.approx(2.776 * 2.0 * PRIOR_SPREAD[0], rel=1e-3)


def test_the_means_are_of_the_repeats_alone_since_the_first_result_was_chosen() -> None:
    repeats = [Repeat(3, seed, 2.2, accuracy, accuracy - 0.01) for seed, accuracy in ((1, 0.76), (2, 0.78))]
    (found,) = estimated([point(3, 2.0, 0.9)], repeats)
    assert (found.train_seconds, found.accuracy) == pytest.approx((2.2, 0.77))
    assert found.test_accuracy == pytest.approx(0.76)
    assert found.repeats == 2


def test_the_winners_curse_is_removed() -> None:
    """Of 40 equal trainings the luckiest looks best; its repeats have the mean of all."""
    rng = np.random.default_rng(0)
    points = [point(trial, 1.0 + trial / 1000, 0.8 + 0.01 * rng.standard_normal()) for trial in range(40)]
    best = max(points, key=lambda p: p.accuracy)
    assert best.accuracy > 0.812
    repeats = [Repeat(best.trial, s, best.train_seconds, 0.8 + 0.01 * rng.standard_normal(), None) for s in range(30)]
    found = next(e for e in estimated(points, repeats) if e.point.trial == best.trial)
    assert found.accuracy == pytest.approx(0.8, abs=found.accuracy_interval)
    assert found.membership < 0.2


def test_membership_is_even_between_equals_and_certain_far_from_them() -> None:
    means = np.array([[1.0, 0.7], [2.0, 0.9], [2.0, 0.9], [3.0, 0.5]])
    errors = np.full((4, 2), 0.01)
    shares = membership(means, errors, np.random.default_rng(1))
    assert shares[[0, 3]] == pytest.approx([1.0, 0.0])
    # One of two equals is beaten in both by chance in a quarter of the worlds each.
    assert shares[1:3] == pytest.approx([0.75, 0.75], abs=0.03)


@pytest.mark.parametrize("margin", [(0.0, 0.0), (0.05, 0.02)])
def test_the_front_and_the_epsilon_front_are_those_of_brute_force(margin: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        means = np.round(rng.random((25, 2)), 1) + np.array([1.0, 0.0])  # with ties and duplicates
        found = is_on_front(means, margin)
        for number, (seconds, accuracy) in enumerate(means):
            s, a = seconds * (1 - margin[0]), accuracy + margin[1]
            beaten = [(t <= s and b >= a) and (t < s or b > a) for t, b in means]
            assert found[number] == (not any(beaten))


def test_the_spread_is_drawn_from_what_is_thought_to_what_is_seen() -> None:
    rng = np.random.default_rng(3)
    points = [point(trial, 5.0, 0.7 + 0.05 * rng.standard_normal()) for trial in range(20)]
    repeats = [Repeat(trial, s, 5.0, 0.7 + 0.05 * rng.standard_normal(), None) for trial in range(20) for s in range(3)]
    assert spreads_of(points, [])[0] == pytest.approx(PRIOR_SPREAD)
    seconds, accuracy = spreads_of(points, repeats).mean(axis=0)
    assert accuracy == pytest.approx(0.05, rel=0.25)
    assert seconds < PRIOR_SPREAD[0]


def test_one_wild_trial_does_not_widen_the_intervals_of_the_others() -> None:
    points = [point(trial, 5.0, 0.8) for trial in range(9)]
    repeats = [Repeat(trial, 1, 5.0, 0.3 if trial == 4 else 0.799, None) for trial in range(9)]
    accuracy = spreads_of(points, repeats)[:, 1]
    assert accuracy[4] > 0.1
    assert np.delete(accuracy, 4).max() < 0.005
