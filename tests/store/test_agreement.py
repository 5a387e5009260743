"""Replays are judged by trainings on the same class of device, and by nothing else."""

from types import SimpleNamespace
from typing import Any

import pytest

from paretosearch.store.agreement import Agreement, agreement


def attempt(purpose: str, trial: int, train_seconds: float, device_class: str = "a", **changes: Any) -> Any:
    plain = {"outcome": "complete", "noisy": False, "is_copy": False, **changes}
    return SimpleNamespace(
        purpose=purpose, trial=trial, train_seconds=train_seconds, device_class=device_class, **plain
    )


def test_replays_are_compared_with_the_trainings_of_their_class() -> None:
    attempts = [
        *(attempt("search", trial, seconds) for trial, seconds in enumerate((10.0, 20.0, 30.0, 40.0))),
        *(attempt("replay", trial, seconds) for trial, seconds in enumerate((11.0, 20.0, 45.0, 38.0))),
        attempt("replay", 0, 99.0, "b"),  # was never trained there
        attempt("search", 7, 5.0, "b"),
        attempt("replay", 7, 4.0, "b"),
    ]
    found = agreement(attempts)
    assert found["a"] == Agreement(4, pytest.approx(0.075), pytest.approx(0.5), pytest.approx(4 / 6))
    assert found["b"] == Agreement(1, pytest.approx(0.2), pytest.approx(0.2), None)


@pytest.mark.parametrize(
    "other",
    [
        attempt("replay", 0, 5.0, noisy=True),
        attempt("confirm", 0, 5.0),
        attempt("replay", 0, 5.0, outcome="failed"),
        attempt("replay", 1, 5.0),
    ],
)
def test_what_was_disturbed_or_failed_or_is_of_another_trial_says_nothing(other: Any) -> None:
    assert agreement([attempt("search", 0, 10.0), other]) == {}


def test_a_result_of_another_study_says_nothing_as_it_may_have_been_a_replay() -> None:
    assert agreement([attempt("search", 0, 10.0, is_copy=True), attempt("replay", 0, 5.0)]) == {}
