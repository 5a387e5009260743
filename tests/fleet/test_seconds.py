"""The seconds of one class say which trials may be on the front of another, for each number format."""

from __future__ import annotations

import random

import pytest

from paretosearch.fleet.seconds import Seconds, Trained
from paretosearch.recipe import Recipe
from paretosearch.store.front import Point, front_of

OLD, NEW = "cuda:A", "cuda:B"

#: Seconds on the new class by those on the old one, which has no units for fp16.
GAIN = {"fp32": 0.6, "fp16": 0.28}


def trial(number: int, number_format: str, train_seconds: float, accuracy: float) -> Trained:
    recipe = Recipe("fashion-mnist", "resnet8", number_format=number_format)
    return Trained(number, number, OLD, recipe, train_seconds, accuracy)


def some(seed: int) -> dict[int, Trained]:
    """Make a study of 60 trials, a quarter of them in fp16, of which longer ones are better, more or less."""
    rolled, found = random.Random(seed), {}
    for number in range(60):
        base = rolled.choice([5, 10, 20, 40]) * rolled.uniform(1, 4)
        accuracy = 0.7 + 0.2 * (base / 160) ** 0.3 + rolled.uniform(-0.05, 0.0)
        found[number] = trial(number, rolled.choice(["fp32", "fp32", "fp32", "fp16"]), base, min(accuracy, 1.0))
    return found


def known(trials: dict[int, Trained]) -> Seconds:
    seconds = Seconds()
    for trained in trials.values():
        seconds.note(trained, OLD, trained.train_seconds)
    return seconds


def on_front(trials: dict[int, Trained], there: dict[int, float]) -> set[int]:
    points = [Point(t, s, trials[t].accuracy, trials[t].recipe, NEW, t) for t, s in there.items()]
    return {point.trial for point in front_of(points).points}


@pytest.mark.parametrize("seed", range(6))
def test_timing_what_may_be_on_a_front_finds_all_of_it_where_formats_gain_differently(seed: int) -> None:
    trials, rolled = some(seed), random.Random(seed)
    true = {n: t.train_seconds * GAIN[t.recipe.number_format] * rolled.uniform(0.98, 1.02) for n, t in trials.items()}
    seconds, timed = known(trials), dict[int, float]()
    while near := [t for t, may_be in seconds.candidates(trials, NEW) if may_be and t not in timed]:
        timed[near[0]] = true[near[0]]
        seconds.note(trials[near[0]], NEW, true[near[0]])
    assert on_front(trials, timed) == on_front(trials, true)
    assert len(timed) < 30


def test_a_trial_of_a_format_is_expected_to_take_what_others_of_its_format_take() -> None:
    trials = {n: trial(n, "fp16" if n % 3 == 0 else "fp32", 10.0 + n, 0.5) for n in range(30)}
    seconds = known(trials)
    for number in range(20):
        seconds.note(trials[number], NEW, trials[number].train_seconds * GAIN[trials[number].recipe.number_format])
    for trained in trials.values():
        true = trained.train_seconds * GAIN[trained.recipe.number_format]
        assert seconds.expected(trained, NEW) == pytest.approx(true)


def test_one_trial_of_a_format_of_which_nothing_is_known_is_timed() -> None:
    """It seems to be twice as slow as what is as accurate."""
    trials = {n: trial(n, "fp32", 10.0, 0.9) for n in range(8)} | {8: trial(8, "fp16", 20.0, 0.9)}
    seconds = known(trials)
    for number in range(8):
        seconds.note(trials[number], NEW, 6.0)
    assert dict(seconds.candidates(trials, NEW))[8]
    trials[9] = trial(9, "fp16", 20.0, 0.9)
    seconds.note(trials[8], NEW, 13.0)
    assert not dict(seconds.candidates(trials, NEW))[9]


def test_ratios_are_found_once_until_there_is_more_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    original = Seconds._ratio_of

    def counted(seconds: Seconds, *pair: str) -> tuple[float, float]:
        asked.append(pair)
        return original(seconds, *pair)

    monkeypatch.setattr(Seconds, "_ratio_of", counted)
    trials = some(0)
    seconds = known(trials)
    for _ in range(3):
        list(seconds.candidates(trials, NEW))
    assert len(asked) == 2  # of each format
    seconds.note(trials[0], NEW, 1.0)
    list(seconds.candidates(trials, NEW))
    assert len(asked) == 4
