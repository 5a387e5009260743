"""The seam between the Launcher and whoever has work for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paretosearch.device import Device
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.store import AttemptRecord, Store, is_given_up


@dataclass(frozen=True)
class Ticket:
    """A training, or the timing of one, that waits for a Device.

    Args:
        trial: Number of the Trial.
        recipe: What to train.
        purpose: Who wants it.
        classes: Classes of device that can have it; None is all.
        replay: How the training went, which is to be timed again and not made; None trains.
        lost_on: UUID of the Device on which it was lost; another one is a better judge.
        not_before: How many Attempts of the launch had better have ended before it is tried again.
    """

    trial: int
    recipe: Recipe
    purpose: Purpose = "search"
    classes: frozenset[str] | None = None
    replay: Outcome | None = None
    lost_on: str | None = None
    not_before: int = 0

    def suits(self, device: Device | None) -> bool:
        """Whether a Device is of a class that can have it; None is any Device."""
        return device is None or self.classes is None or device.device_class in self.classes


@dataclass(frozen=True)
class Settled:
    """What became of an Attempt that has ended.

    Args:
        again: Whether its training is to be tried again.
        on_front: Whether its trial is on the front since then.
        seconds: What its trial takes, where that is not what this Attempt took.
        in_doubt: Whether its seconds are not believed, and measured once more.
    """

    again: bool = False
    on_front: bool = False
    seconds: float | None = None
    in_doubt: bool = False


class Work(Protocol):
    """Somebody who wants trainings, and is told how they ended."""

    purpose: Purpose

    def recover(self) -> Sequence[Ticket]:
        """Bring what a Launcher left that died to a state from which to go on; gives what is to be trained first."""

    def put_off(self, ticket: Ticket) -> None:
        """Note that a training that has been asked for is left to another launch."""

    def orphan(self, ticket: Ticket) -> None:
        """Take back a training that waits for classes of which no Device is left."""

    def leave(self) -> None:
        """Note that nothing more is done in this launch."""

    def next(self, device: Device | None) -> Ticket | None:
        """Give the next training for a Device; None if there is none, or the budget is spent.

        Args:
            device: Who asks, and may find that a training is not for its class; None asks for anybody.
        """

    def spare(self, device: Device | None) -> Ticket | None:
        """Give what a Device may do that would otherwise have nothing to do; None if there is nothing either."""

    def believes(self, outcome: Outcome) -> bool:
        """Whether the seconds of a complete Outcome are to be its trial's."""

    def progressed(self, assignment: Assignment, result: EpochResult) -> str | None:
        """Take in an epoch; says in one line why the Attempt is to end early, or None if it runs on."""

    def settle(self, device: Device, assignment: Assignment, outcome: Outcome) -> Settled:
        """Take in an Outcome that is in the store; harmless to repeat."""


def worth_another_try(store: Store, study: str, assignment: Assignment, outcome: Outcome) -> bool:
    """Whether a failed Attempt is to be tried again: if the infrastructure is to blame, and has not been too often."""
    what = _what(store.attempt(assignment.attempt))
    of_trial = store.attempts(study, assignment.trial)
    tries = [a.failure for a in of_trial if a.outcome == "failed" and _what(a) == what]
    return outcome.failure == "infrastructure" and not is_given_up(tries)


def _what(attempt: AttemptRecord) -> tuple[int, Purpose, str | None]:
    """Say what an Attempt was at: a training is the same on every class of device, a replay is of one."""
    return attempt.seed, attempt.purpose, attempt.device_class if attempt.purpose == "replay" else None
