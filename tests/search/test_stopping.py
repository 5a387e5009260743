"""A training is stopped when even its best ending is dominated, and not before."""

import numpy as np
import pytest

from paretosearch.recipe import Recipe
from paretosearch.search.stopping import AUDIT_SHARE, LEAST_CURVES, Forecast, Stopper

RECIPE = Recipe("d", "n", epochs=8)

#: Error after each of four epochs of a second, falling by the square root of two each time.
HALVING = [(float(epoch), 1 - 0.4 * 2 ** (-epoch / 2)) for epoch in range(1, 5)]


def scaled(seconds: float = 1.0, error: float = 1.0, epochs: int = 4) -> list[tuple[float, float]]:
    return [(seconds * s, 1 - error * (1 - a)) for s, a in HALVING[:epochs]]


def learned(count: int = LEAST_CURVES, **how: float) -> Forecast:
    forecast = Forecast()
    for trial in range(count):
        forecast.learn(trial, scaled(**how))
    return forecast


def test_nothing_is_foreseen_before_enough_trainings_are_complete() -> None:
    assert learned(LEAST_CURVES - 1).ending(HALVING[:2], 4) is None
    assert learned(LEAST_CURVES).ending(HALVING[:2], 4) is not None


def test_the_ending_of_a_curve_like_the_others_is_that_of_the_others() -> None:
    ending = learned().ending(scaled(seconds=3.0, error=1.3, epochs=2), 4)
    assert ending is not None
    assert ending.seconds == pytest.approx(12.0)
    assert ending.accuracy == pytest.approx(1 - 1.3 * 0.1)


def test_curves_of_other_lengths_are_compared_at_the_same_share() -> None:
    forecast = learned()
    eight = [(float(epoch), 1 - 0.4 * 2 ** (-epoch / 4)) for epoch in range(1, 9)]
    ending = forecast.ending(eight[:4], 8)
    assert ending is not None
    assert ending.accuracy == pytest.approx(eight[-1][1])
    assert ending.seconds == pytest.approx(8.0)


def test_the_ending_is_as_good_as_the_best_fall_that_was_seen_and_better_if_they_differ() -> None:
    forecast = learned()
    steep = [*HALVING[:2], (3.0, 0.9), (3.5, 0.97)]
    forecast.learn(99, steep)
    ending = forecast.ending(HALVING[:2], 4)
    assert ending is not None
    assert ending.accuracy >= 0.97
    assert ending.seconds <= 3.5  # the cheapest rest that was seen


def test_a_training_is_doomed_only_if_its_best_ending_is_dominated() -> None:
    forecast = learned()
    worse = forecast.doom(scaled(error=1.1, epochs=2), 4)
    assert worse is not None
    assert worse.by in range(LEAST_CURVES)
    assert forecast.doom(scaled(error=0.9, epochs=2), 4) is None  # more accurate
    assert forecast.doom(scaled(seconds=0.9, error=1.1, epochs=2), 4) is None  # faster


def test_a_dip_on_the_way_dooms_nobody() -> None:
    forecast = learned()
    dipping = [HALVING[0], HALVING[1], (3.0, 0.1)]
    ending = forecast.ending(dipping, 4)
    assert ending is not None
    assert ending.accuracy > HALVING[1][1]


def test_noise_of_the_curves_widens_what_is_thought_possible() -> None:
    rng = np.random.default_rng(1)
    forecast = Forecast()
    for trial in range(30):
        noise = np.exp(0.05 * rng.standard_normal(4))
        forecast.learn(trial, [(s, 1 - (1 - a) * n) for (s, a), n in zip(HALVING, noise, strict=True)])
    ending = forecast.ending(HALVING[:2], 4)
    assert ending is not None
    assert 1 - ending.accuracy < 0.1 * np.exp(-2 * 0.05 * 2**0.5)


def test_nothing_is_judged_while_a_change_is_planned_or_when_no_epoch_can_be_saved() -> None:
    judged = {}
    for settled in (0, 2):
        stopper = Stopper(1, lambda _, at=settled: at)
        for trial in range(LEAST_CURVES):
            stopper.learn(trial, HALVING)
        recipe = Recipe("d", "n", epochs=4)
        bad = scaled(error=1.5)
        judged[settled] = [epoch for epoch in range(1, 5) if stopper.judge(recipe, bad[:epoch])]
    assert judged == {0: [1, 2], 2: [2]}


def test_a_tenth_of_the_doomed_is_audited_and_always_the_same() -> None:
    stopper, other = Stopper(1, lambda _: 0), Stopper(2, lambda _: 0)
    audited = [trial for trial in range(2000) if stopper.audits(trial)]
    assert len(audited) / 2000 == pytest.approx(AUDIT_SHARE, abs=0.02)
    assert audited == [trial for trial in range(2000) if stopper.audits(trial)]
    assert audited != [trial for trial in range(2000) if other.audits(trial)]
