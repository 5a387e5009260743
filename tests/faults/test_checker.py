"""The checker finds what is wrong: one that cannot fail proves nothing."""

from dataclasses import replace
from typing import Any

import pytest

from paretosearch.testing.checker import AttemptRow, Event, Left, TrialRow, check


def history(*more: Event) -> list[Event]:
    return [
        {"event": "asked", "trial": 0},
        {"event": "started", "attempt": 1, "trial": 0, "seed": 5, "device": "a"},
        {"event": "spooled", "attempt": 1, "status": "complete", "values": [2.0, 0.7]},
        {"event": "asked", "trial": 1},
        {"event": "spooled", "attempt": 2, "status": "failed", "values": None},
        *more,
    ]


GOOD = TrialRow(0, "COMPLETE", (2.0, 0.7), None)
FAILED = TrialRow(1, "FAIL", (), "bug")
DONE = AttemptRow(1, 0, 5, "a", "10:00", "10:01", "complete", (2.0, 0.7))
BROKEN = AttemptRow(2, 1, 5, "a", "10:02", "10:03", "failed", (None, None))


def left(trials: Any = (GOOD, FAILED), attempts: Any = (DONE, BROKEN)) -> Left:
    return Left(trials, attempts)


def test_a_search_that_lost_nothing_is_clean() -> None:
    assert check(history(), left()).is_clean


@pytest.mark.parametrize("state", ["RUNNING", "WAITING"])
def test_a_trial_that_seems_to_run_is_found(state: str) -> None:
    assert check(history(), left([replace(GOOD, state=state), FAILED])).unfinished == [0]


def test_a_trial_that_failed_without_a_word_is_found() -> None:
    assert check(history(), left([GOOD, replace(FAILED, failure=None)])).unfinished == [1]


def test_a_trial_that_was_asked_and_is_not_there_is_found() -> None:
    assert check(history({"event": "asked", "trial": 2}), left()).unfinished == [2]


@pytest.mark.parametrize(
    "attempts",
    [
        (BROKEN,),
        (replace(DONE, outcome="stopped"), BROKEN),
        (replace(DONE, outcome=None), BROKEN),
        (replace(DONE, values=(2.0, 0.71)), BROKEN),
    ],
    ids=["gone", "stopped", "open", "other"],
)
def test_an_outcome_that_is_not_stored_as_it_was_written_is_found(attempts: Any) -> None:
    assert check(history(), left(attempts=attempts)).lost == [1]


def test_a_training_that_came_to_its_end_twice_is_found() -> None:
    again = {"event": "spooled", "attempt": 3, "status": "complete", "values": [2.1, 0.7]}
    second = replace(DONE, id=3, started="10:04", ended="10:05", values=(2.1, 0.7))
    assert check(history(again), left(attempts=(DONE, BROKEN, second))).twice == [(0, 5)]


@pytest.mark.parametrize("told", [replace(GOOD, values=(2.0, 0.8)), replace(GOOD, state="FAIL", failure="bug")])
def test_a_sampler_that_was_told_something_else_is_found(told: TrialRow) -> None:
    assert check(history(), left([told, FAILED])).untold == [1]


@pytest.mark.parametrize("started", ["10:00", "10:00:30"])
def test_two_attempts_on_one_device_are_found(started: str) -> None:
    assert check(history(), left(attempts=(DONE, replace(BROKEN, started=started)))).overlapping == [(1, 2)]
    assert check(history(), left(attempts=(DONE, replace(BROKEN, started=started, device="b")))).is_clean


@pytest.mark.parametrize(
    "values", [(float("inf"), 0.5), (1.0, float("nan")), (0.0, 0.5), (-5.0, 0.5), (1.0, 2.0), (1.0,), ()]
)
def test_a_value_that_no_training_can_have_is_found(values: tuple[float, ...]) -> None:
    assert check([], left([replace(GOOD, values=values), FAILED], (BROKEN,))).impossible == [0]


TIMED = replace(DONE, id=3, started="10:04", ended="10:05", values=(1.5, 0.7), purpose="replay")
SPOOLED = {"event": "spooled", "attempt": 3, "status": "complete", "values": [1.5, 0.7]}


def test_a_replay_is_no_second_training_and_its_seconds_are_told_where_they_count() -> None:
    attempts = replace(DONE, counts=False), BROKEN, TIMED
    assert check(history(SPOOLED), left([replace(GOOD, values=(1.5, 0.7)), FAILED], attempts)).is_clean
    assert check(history(SPOOLED), left(attempts=attempts)).untold == [1, 3]
