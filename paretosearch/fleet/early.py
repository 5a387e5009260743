"""Watches running Attempts for those that cannot reach the front any more."""

from __future__ import annotations

from datetime import UTC, datetime

from paretosearch.fleet.base import Assignment
from paretosearch.outcome import EpochResult, Outcome
from paretosearch.search import Stopper
from paretosearch.search.stopping import Doom
from paretosearch.store import StopDecision, Store


class EarlyStops:
    """Follows the curve of every Attempt, and keeps what was decided about it.

    Args:
        stopper: Who judges.
        store: Where decisions are kept.
    """

    def __init__(self, stopper: Stopper, store: Store) -> None:
        self._stopper, self._store = stopper, store
        self._curves: dict[int, list[tuple[float, float]]] = {}
        self._judged: set[int] = set()

    def begin(self, study: str) -> None:
        """Learn from the trainings of a study that are complete by now."""
        for trial, curve in self._store.curves(study).items():
            self._stopper.learn(trial, curve)

    def progressed(self, assignment: Assignment, result: EpochResult) -> str | None:
        """Take in an epoch of an Attempt; says in one line why the Attempt is to end, or None if it runs on."""
        attempt = assignment.attempt
        curve = self._curves.setdefault(attempt, [])
        curve[result.epoch - 1 :] = [(result.train_seconds, result.accuracy)]  # harmless to repeat
        if attempt in self._judged:
            return None
        doom = self._stopper.judge(assignment.recipe, curve)
        if doom is None:
            return None
        audited = self._stopper.audits(assignment.trial)
        self._store.record_stop(attempt, _decision(assignment, result, doom, audited))
        self._judged.add(attempt)
        return None if audited else _why(doom)

    def ended(self, assignment: Assignment, outcome: Outcome) -> None:
        """Forget an Attempt, or learn from it."""
        self._curves.pop(assignment.attempt, None)
        self._judged.discard(assignment.attempt)
        if outcome.status == "complete":
            self._stopper.learn(assignment.trial, [(e.train_seconds, e.accuracy) for e in outcome.epochs])


def _decision(assignment: Assignment, result: EpochResult, doom: Doom, audited: bool) -> StopDecision:
    return StopDecision(
        attempt=assignment.attempt,
        trial=assignment.trial,
        epoch=result.epoch,
        train_seconds=result.train_seconds,
        least_seconds=doom.ending.seconds,
        most_accuracy=doom.ending.accuracy,
        dominated_by=doom.by,
        curves=doom.ending.curves,
        audited=audited,
        moment=datetime.now(UTC),
    )


def _why(doom: Doom) -> str:
    best = f"{100 * doom.ending.accuracy:.1f} % in {doom.ending.seconds:.3g} s"
    return f"its best ending, {best}, is dominated by trial {doom.by}"
