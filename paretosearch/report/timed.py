"""Which seconds of a study were measured by training, and which by timing a training again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paretosearch.report.words import counted, duration_text
from paretosearch.store import AttemptRecord


@dataclass(frozen=True)
class Replays:
    """What it took to time trainings again.

    Args:
        attempts: Replays that gave seconds.
        trials: Trials of which they were.
        device_seconds: Seconds that replays kept their devices, those that failed too.
        share: That as a share of what the whole study has spent, in [0, 1].
    """

    attempts: int
    trials: int
    device_seconds: float
    share: float

    def __str__(self) -> str:
        spent = f"{duration_text(self.device_seconds)}, {100 * self.share:.1f} % of device time"
        return f"{counted(self.trials, 'trial')}, {spent}"


def replays_of(attempts: Sequence[AttemptRecord], device_seconds: float) -> Replays:
    """Count the replays of a study.

    Args:
        attempts: All of the study.
        device_seconds: What it has spent.
    """
    made = [attempt for attempt in attempts if attempt.purpose == "replay"]
    done = [attempt for attempt in made if attempt.outcome == "complete"]
    spent = sum(attempt.device_seconds or 0.0 for attempt in made)
    return Replays(len(done), len({attempt.trial for attempt in done}), spent, spent / (device_seconds or 1.0))


def by_place(attempts: Sequence[AttemptRecord]) -> tuple[Sequence[AttemptRecord], Sequence[AttemptRecord]]:
    """Part the replays of a study: those on another class than their training, and those on the same."""
    trained = {a.trial: a.device_class for a in attempts if a.purpose == "search" and a.outcome == "complete"}
    replays = [attempt for attempt in attempts if attempt.purpose == "replay"]
    elsewhere = [replay for replay in replays if trained.get(replay.trial) != replay.device_class]
    return elsewhere, [replay for replay in replays if trained.get(replay.trial) == replay.device_class]


@dataclass(frozen=True)
class Origins:
    """Where the seconds of a study's results on a class of device are from.

    Args:
        trained: Results whose seconds are those of their training.
        timed: Results whose training was timed again.
        copied: Results of another study, which may be from either.
    """

    trained: int
    timed: int
    copied: int = 0


def origins(attempts: Sequence[AttemptRecord], device_class: str) -> Origins:
    """Count where the results of a study on a class of device are from."""
    results = [attempt for attempt in attempts if attempt.counts and attempt.device_class == device_class]
    timed, copied = sum(result.purpose == "replay" for result in results), sum(result.is_copy for result in results)
    return Origins(len(results) - timed - copied, timed, copied)
