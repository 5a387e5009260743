"""Checks from outside what a search under faults has left: its history against its database."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

Event = Mapping[str, Any]


@dataclass(frozen=True)
class TrialRow:
    """A trial as Optuna's tables have it."""

    number: int
    state: str
    values: tuple[float, ...]
    failure: str | None


@dataclass(frozen=True)
class AttemptRow:
    """An attempt as our tables have it."""

    id: int
    trial: int
    seed: int
    device: str
    started: str
    ended: str | None
    outcome: str | None
    values: tuple[float | None, float | None]
    purpose: str = "search"
    counts: bool = True


@dataclass(frozen=True)
class Left:
    """What a database holds of a study when nothing runs any more."""

    trials: Sequence[TrialRow]
    attempts: Sequence[AttemptRow]

    def attempts_of(self, trial: int) -> list[AttemptRow]:
        """List the trainings of one trial."""
        return [attempt for attempt in self.attempts if attempt.trial == trial and attempt.purpose != "replay"]


@dataclass(frozen=True)
class Verdict:
    """What is wrong; all of it is empty if nothing is.

    Args:
        unfinished: Trials that neither ended nor say why.
        lost: Attempts whose Outcome was written, and is not in the database as it was.
        twice: Trainings that came to an end more than once.
        untold: Trials whose result the sampler has otherwise than the attempt.
        overlapping: Pairs of attempts that had one Device at the same time.
        impossible: Trials with a value that no training can have.
    """

    unfinished: Sequence[int]
    lost: Sequence[int]
    twice: Sequence[tuple[int, int]]
    untold: Sequence[int]
    overlapping: Sequence[tuple[int, int]]
    impossible: Sequence[int]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(vars(self).values())


def read_history(path: Path) -> list[Event]:
    """Read what was noted."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def read_left(url: str, study: str) -> Left:
    """Read what is in a database, by plain SQL."""
    engine = create_engine(url)
    with engine.connect() as connection:
        trials = connection.execute(text(_TRIALS), {"study": study}).all()
        values = connection.execute(text(_VALUES), {"study": study}).all()
        failures = {row[0]: json.loads(row[1]) for row in connection.execute(text(_FAILURES), {"study": study})}
        attempts = connection.execute(text(_ATTEMPTS), {"study": study}).all()
    engine.dispose()
    by_trial: dict[int, list[float]] = defaultdict(list)
    for number, value in values:
        by_trial[number].append(value)
    return Left(
        [TrialRow(number, state, tuple(by_trial[number]), failures.get(number)) for number, state in trials],
        [_attempt(row) for row in attempts],
    )


def _attempt(row: Any) -> AttemptRow:
    values = (row.train_seconds, row.accuracy)
    return AttemptRow(
        row.id,
        row.trial,
        row.seed,
        row.device,
        row.started,
        row.ended,
        row.outcome,
        values,
        row.purpose,
        bool(row.counts),
    )


_TRIALS = """SELECT t.number, CAST(t.state AS TEXT) FROM trials t JOIN studies s ON s.study_id = t.study_id
WHERE s.study_name = :study ORDER BY t.number"""
_VALUES = """SELECT t.number, v.value FROM trial_values v JOIN trials t ON t.trial_id = v.trial_id
JOIN studies s ON s.study_id = t.study_id WHERE s.study_name = :study ORDER BY t.number, v.objective"""
_FAILURES = """SELECT t.number, a.value_json FROM trial_user_attributes a JOIN trials t ON t.trial_id = a.trial_id
JOIN studies s ON s.study_id = t.study_id WHERE s.study_name = :study AND a.key = 'failure'"""
_ATTEMPTS = """SELECT id, trial, seed, device, CAST(started AS TEXT) AS started, CAST(ended AS TEXT) AS ended, outcome,
train_seconds, accuracy, purpose, counts FROM ps_attempt WHERE study = :study ORDER BY id"""


def check(history: Sequence[Event], left: Left) -> Verdict:
    """Compare what happened with what is left.

    Args:
        history: What was noted, in order.
        left: What is in the database.
    """
    rows = {row.id: row for row in left.attempts}
    trials = {row.number: row for row in left.trials}
    asked = {event["trial"] for event in history if event["event"] == "asked"} | trials.keys()
    written = [event for event in history if event["event"] == "spooled"]
    completed = [e for e in written if e["status"] == "complete"]
    trained = [row for e in completed if (row := rows.get(e["attempt"])) and row.purpose != "replay"]
    ended = Counter((row.trial, row.seed) for row in trained)
    results = {row.trial: row for row in left.attempts if row.counts}  # a disturbed training is not its trial's result
    return Verdict(
        unfinished=sorted(number for number in asked if not _has_ended(trials.get(number))),
        lost=sorted({e["attempt"] for e in written if not _is_stored(e, rows.get(e["attempt"]))}),
        twice=sorted(training for training, times in ended.items() if times > 1),
        untold=sorted({e["attempt"] for e in completed if not _is_told(rows.get(e["attempt"]), results, trials)}),
        overlapping=_overlapping(left.attempts),
        impossible=sorted(row.number for row in left.trials if row.state == "COMPLETE" and not _is_possible(row)),
    )


def _has_ended(trial: TrialRow | None) -> bool:
    return trial is not None and (
        trial.state in ("COMPLETE", "PRUNED") or (trial.state == "FAIL" and trial.failure is not None)
    )


def _is_stored(event: Event, row: AttemptRow | None) -> bool:
    if row is None or row.outcome != event["status"]:
        return False
    return event["status"] != "complete" or tuple(event["values"]) == row.values


def _is_told(row: AttemptRow | None, results: Mapping[int, AttemptRow], trials: Mapping[int, TrialRow]) -> bool:
    if row is None or row.trial not in results or row.trial not in trials:
        return False
    trial = trials[row.trial]
    return trial.state == "COMPLETE" and trial.values == results[row.trial].values


def _is_possible(trial: TrialRow) -> bool:
    if len(trial.values) != 2 or not all(map(math.isfinite, trial.values)):
        return False
    seconds, accuracy = trial.values
    return seconds > 0 and 0 <= accuracy <= 1


def _overlapping(attempts: Sequence[AttemptRow]) -> list[tuple[int, int]]:
    found = []
    by_device: dict[str, list[AttemptRow]] = defaultdict(list)
    for row in sorted(attempts, key=lambda row: row.started):
        for before in by_device[row.device][-1:]:
            if before.ended is None or before.ended > row.started:
                found.append((before.id, row.id))
        by_device[row.device].append(row)
    return found
