"""Counts what a database holds when a search under kills is over, in the same words for Optuna's workers and ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import create_engine, text

from paretosearch.testing.checker import Event


@dataclass(frozen=True)
class Found:
    """What one run has come to.

    Args:
        seconds: From the start to the last thing that happened.
        kills: Processes that were killed, by what they were.
        lost: Recipes with no trial that is COMPLETE.
        twice: Recipes that are COMPLETE more than once.
        stuck: Trials that are RUNNING though nothing runs any more.
        errors: What workers, or launches, ended of by themselves, and how often.
        beside: Other counts of this kind of run, by name.
    """

    seconds: float
    kills: dict[str, int]
    lost: int
    twice: int
    stuck: int
    errors: dict[str, int]
    beside: dict[str, int] = field(default_factory=dict)


def server_of(url: str) -> str:
    """Give name and version of the program behind a database."""
    is_file = url.startswith("sqlite")
    ask = "SELECT sqlite_version()" if is_file else "SHOW server_version"
    version = str(_rows(url, ask)[0][0]).split()[0]
    return f"{'SQLite' if is_file else 'PostgreSQL'} {version}"


def in_hand(url: str, study: str) -> set[str]:
    """Give the states of trials that have not ended."""
    return {row.state for row in _rows(url, _TRIALS, study=study)} & {"WAITING", "RUNNING"}


def count_optuna(url: str, study: str, recipes: int, history: Sequence[Event], seconds: float) -> Found:
    """Count after a run of Optuna's workers; all but kills, errors and claims is from the database.

    Args:
        url: The database.
        study: Name of the study.
        recipes: How many were enqueued, each as a trial with its number in the user attribute ``recipe``.
        history: What the workers have noted.
        seconds: How long it took.
    """
    rows = _rows(url, _TRIALS, study=study)
    complete = Counter(row.recipe for row in rows if row.state == "COMPLETE" and row.recipe is not None)
    stuck = [row for row in rows if row.state == "RUNNING"]
    open_ones = {row.recipe for row in rows if row.state in ("RUNNING", "WAITING")}
    failed = {row.recipe for row in rows if row.recipe is not None} - complete.keys() - open_ones
    # A retry is a new trial, so that two trainings of one trial are two workers that have claimed it.
    claims = Counter(event["trial"] for event in history if event["event"] == "training")
    ends = Counter(event["recipe"] for event in history if event["event"] == "trained")
    return Found(
        seconds=round(seconds, 2),
        kills={"workers": sum(event["event"] == "killed" for event in history)},
        lost=recipes - len(complete),
        twice=sum(times > 1 for times in complete.values()),
        stuck=len(stuck),
        errors=dict(Counter(event["error"] for event in history if event["event"] == "died")),
        beside={
            "stuck without a heartbeat": sum(row.heartbeats == 0 for row in stuck),
            "lost, and failed without a retry": len(failed),
            "waiting": sum(row.state == "WAITING" for row in rows),
            "failed": sum(row.state == "FAIL" for row in rows),
            "unasked": sum(row.recipe is None for row in rows),
            "trials": len(rows),
            "trials claimed twice": sum(times > 1 for times in claims.values()),
            "trainings": claims.total(),
            "recipes trained to the end again": sum(times > 1 for times in ends.values()),
            "heartbeats that ended": sum(event["event"] == "heartbeat ended" for event in history),
        },
    )


_TRIALS = """SELECT t.number, CAST(t.state AS TEXT) AS state, a.value_json AS recipe,
(SELECT COUNT(*) FROM trial_heartbeats h WHERE h.trial_id = t.trial_id) AS heartbeats
FROM trials t JOIN studies s ON s.study_id = t.study_id
LEFT JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'recipe'
WHERE s.study_name = :study ORDER BY t.number"""


def _rows(url: str, statement: str, **values: str) -> Sequence:  # type: ignore[type-arg]  # rows of any statement
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.execute(text(statement), values).all()
    finally:
        engine.dispose()
