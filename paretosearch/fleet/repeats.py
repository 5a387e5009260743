"""Repeats as work for the Launcher: results that may be on the front are trained again with other seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count

from paretosearch.device import Device
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.work import Settled, Ticket, worth_another_try
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.search.repeating import most_uncertain, repeated
from paretosearch.store import Store, unsettled


class Repeats:
    """Asks for repeats as long as a result that may be on the front lacks some.

    Args:
        study: Name of the study.
        store: Where it is kept.
        wanted: Repeats of each.
        classes: Which classes of device are there.
        device_hours: Hours that the study may have cost; None for no limit.
    """

    purpose: Purpose = "confirm"

    def __init__(
        self, study: str, store: Store, wanted: int, classes: Classes, device_hours: float | None = None
    ) -> None:
        self._study, self._store, self._wanted, self._device_hours = study, store, wanted, device_hours
        self._classes = frozenset({classes.reference})
        self._tries: Counter[int] = Counter()
        self._seeds: set[tuple[int, int]] = set()
        self._last: int | None = None

    def recover(self) -> Sequence[Ticket]:
        """Count the repeats there are; those that were stopped or lost are to be trained first."""
        past = [attempt for attempt in self._store.attempts(self._study) if attempt.purpose == "confirm"]
        self._seeds = {(attempt.trial, attempt.seed) for attempt in past}
        self._tries = Counter(trial for trial, _ in self._seeds)
        return [Ticket(last.trial, last.recipe, self.purpose, self._classes) for last in unsettled(past).values()]

    def put_off(self, ticket: Ticket) -> None:
        """Nothing to note: a repeat without a result is the first of the next launch."""

    def orphan(self, ticket: Ticket) -> None:
        """Nothing to note: without the reference class there are no repeats until the next launch."""

    def leave(self) -> None:
        """Nothing to note either."""

    def believes(self, outcome: Outcome) -> bool:
        """Of a repeat that was disturbed the accuracy counts all the same."""
        return True

    def spare(self, device: Device | None) -> Ticket | None:
        """Nothing: there are as many repeats as are wanted."""
        return None

    def next(self, device: Device | None) -> Ticket | None:
        """Choose the next trial to repeat, and give its Recipe another seed."""
        if device is not None and device.device_class not in self._classes:
            return None  # its seconds would not be those of the first result
        hours = self._store.device_seconds(self._study) / 3600
        if self._device_hours is not None and hours >= self._device_hours:
            return None
        estimates = self._store.estimates(self._study)
        trial = most_uncertain(estimates, self._wanted, self._tries, self._last)
        if trial is None:
            return None
        self._last = trial
        self._tries[trial] += 1
        recipe = next(e.point.recipe for e in estimates if e.point.trial == trial)
        return Ticket(trial, self._fresh(trial, recipe), self.purpose, self._classes)

    def _fresh(self, trial: int, recipe: Recipe) -> Recipe:
        """Give a Recipe a seed with which it was not repeated; one of the first may be free, if that was stopped."""
        repeats = (repeated(recipe, number) for number in count(1))
        fresh = next(repeat for repeat in repeats if (trial, repeat.seed) not in self._seeds)
        self._seeds.add((trial, fresh.seed))
        return fresh

    def progressed(self, assignment: Assignment, result: EpochResult) -> str | None:
        """Let every repeat run to its end: one that does worse than hoped says as much as one that does better."""
        return None

    def settle(self, device: Device, assignment: Assignment, outcome: Outcome) -> Settled:
        """Let a repeat that was lost be tried again."""
        if outcome.status == "failed":
            return Settled(again=worth_another_try(self._store, self._study, assignment, outcome))
        return Settled(again=outcome.status == "stopped")
