"""Which trainings have come to their end, and which of their attempts that failed are followed by another."""

from __future__ import annotations

from collections.abc import Sequence

from paretosearch.outcome import FailureClass
from paretosearch.store.records import AttemptRecord

#: A training whose Attempts keep dying of the infrastructure is given up after this many.
MOST_ATTEMPTS = 3

#: What all attempts at one training share: trial and seed.
Training = tuple[int, int]


def is_given_up(failures: Sequence[FailureClass | None]) -> bool:
    """Whether a training whose attempts failed like this, in order, is not tried again."""
    return any(failure != "infrastructure" for failure in failures) or len(failures) >= MOST_ATTEMPTS


def unsettled(attempts: Sequence[AttemptRecord]) -> dict[Training, AttemptRecord]:
    """Find the trainings that are neither at their end nor given up: their last attempts, by trial and seed.

    Args:
        attempts: All of a study, in the order in which they began.
    """
    return {key: tries[-1] for key, tries in _trainings(attempts).items() if not _is_settled(tries)}


def settling(attempts: Sequence[AttemptRecord]) -> set[int]:
    """Find the attempts, by their row, with which a training came to its end or was given up.

    Args:
        attempts: All of a study, in the order in which they began.
    """
    return {tries[-1].id for tries in _trainings(attempts).values() if _is_settled(tries)}


def _trainings(attempts: Sequence[AttemptRecord]) -> dict[Training, list[AttemptRecord]]:
    found: dict[Training, list[AttemptRecord]] = {}
    for attempt in attempts:
        if attempt.purpose == "replay":
            continue  # which trains nothing
        found.setdefault((attempt.trial, attempt.seed), []).append(attempt)
    return found


def _is_settled(tries: Sequence[AttemptRecord]) -> bool:
    has_ended = any(attempt.outcome in ("complete", "dominated") for attempt in tries)
    return has_ended or is_given_up([attempt.failure for attempt in tries if attempt.outcome == "failed"])
