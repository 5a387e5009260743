"""The Launcher: asks, assigns, collects, stores, tells."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from paretosearch.device import Device
from paretosearch.errors import RecipeError
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Done, Event, Fleet, Lost, Progress, Retired
from paretosearch.outcome import EpochResult, Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.search import Search
from paretosearch.space import Genome, Space
from paretosearch.store import Front, Store
from paretosearch.studyfile import Budget

#: A Trial whose Attempts keep dying of the infrastructure is given up after this many.
MOST_ATTEMPTS = 3

#: Longest wait for an event; signals are seen at least this often.
POLL_SECONDS = 0.5


class Watcher(Protocol):
    """Somebody who is shown what happens."""

    def starting(self, workers: int) -> None: ...
    def started(self, device: Device, trial: int, recipe: Recipe) -> None: ...
    def epoch(self, device: Device, result: EpochResult) -> None: ...
    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool) -> None: ...
    def front(self, front: Front) -> None: ...
    def message(self, text: str) -> None: ...


@dataclass(frozen=True)
class Ticket:
    """A Trial that waits for a Device."""

    trial: int
    recipe: Recipe


class Launcher:
    """Runs a study until its budget is spent or somebody stops it.

    The only process that touches the database while it runs. An Outcome goes spool, our tables, Optuna, front, and
    only then leaves the spool, and each of these is harmless to repeat: a crash at any point loses nothing.

    Args:
        study: Name of the study.
        space: What is searched.
        budget: When to end.
        search: Where to ask.
        store: Where to keep.
        fleet: Who trains.
        folder: Spool folder of the study.
        watcher: Who is shown.
    """

    def __init__(
        self,
        study: str,
        space: Space,
        budget: Budget,
        search: Search,
        store: Store,
        fleet: Fleet,
        folder: Path,
        watcher: Watcher,
    ) -> None:
        self._study, self._space, self._budget = study, space, budget
        self._search, self._store, self._fleet = search, store, fleet
        self._folder, self._watcher = folder, watcher
        self._waiting: deque[Ticket] = deque()
        self._signals: list[int] = []
        self._stops_passed_on = 0

    def run(self) -> int | None:
        """Search until the budget is spent.

        Returns:
            The signal that stopped the search early, or None.

        Raises:
            DeviceError: If a Worker does not start.
        """
        self._recover()
        if not self._has_work():
            return None
        self._watcher.front(self._store.front(self._study))
        self._watcher.starting(len(self._fleet.devices))
        with self._signals_noted():
            self._fleet.start()
            try:
                while self._keep_going():
                    for event in self._fleet.poll(POLL_SECONDS):
                        self._handle(event)
            finally:
                self._fleet.close()
        return self._signals[0] if self._signals else None

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._may_ask()

    def _keep_going(self) -> bool:
        """Give idle Devices work, or pass on a wish to stop; says whether anything is still running."""
        self._pass_on_stops()
        for device in self._fleet.idle():
            ticket = None if self._signals else self._next_ticket()
            if ticket is not None:
                self._assign(device, ticket)
        return self._fleet.is_busy()

    def _pass_on_stops(self) -> None:
        if len(self._signals) == self._stops_passed_on:
            return
        self._stops_passed_on = len(self._signals)
        now = self._stops_passed_on > 1
        self._watcher.message("stopping now" if now else "stopping after the running epochs; Ctrl-C again stops now")
        self._fleet.stop(now)

    def _next_ticket(self) -> Ticket | None:
        if self._waiting:
            return self._waiting.popleft()
        while self._may_ask():
            asked = self._search.ask()
            ticket = self._ticket(asked.trial, asked.genome)
            if ticket is not None:
                return ticket
        return None

    def _may_ask(self) -> bool:
        spent = self._store.device_seconds(self._study) / 3600
        enough_hours = self._budget.device_hours is not None and spent >= self._budget.device_hours
        enough_trials = self._budget.trials is not None and self._search.trials() >= self._budget.trials
        return not (enough_hours or enough_trials)

    def _ticket(self, trial: int, genome: Genome | None) -> Ticket | None:
        """Make a Trial's Recipe; a genome without one ends FAIL here."""
        if genome is None:
            self._search.tell(trial, None, {"failure": "infrastructure", "message": "the Launcher died while asking"})
            return None
        try:
            return Ticket(trial, self._space.recipe(genome))
        except RecipeError as error:
            self._search.tell(trial, None, {"failure": "invalid", "message": str(error)})
            self._watcher.message(f"trial {trial} cannot be trained: {error}")
            return None

    def _assign(self, device: Device, ticket: Ticket) -> None:
        attempt = self._store.start_attempt(self._study, ticket.trial, device, ticket.recipe)
        self._fleet.assign(device, Assignment(attempt, ticket.trial, ticket.recipe))
        self._watcher.started(device, ticket.trial, ticket.recipe)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._watcher.epoch(event.device, event.result)
            return
        if isinstance(event, Retired):
            self._watcher.message(event.message)
            return
        outcome = self._outcome_of(event)
        self._store.finish_attempt(event.assignment.attempt, outcome)
        self._settle(event.device, event.assignment.trial, event.assignment.recipe, outcome)
        spool.delete(self._folder, event.assignment.attempt)

    def _outcome_of(self, event: Done | Lost) -> Outcome:
        found = spool.read(self._folder, event.assignment.attempt)
        if found is not None:
            return found  # also of a Worker that died after it had written
        if self._signals:
            return Outcome("stopped", message="stopped by the user")
        how = event if isinstance(event, Lost) else None
        return failed("infrastructure", how.message if how else "the Outcome is gone", how.detail if how else "")

    def _settle(self, device: Device, trial: int, recipe: Recipe, outcome: Outcome) -> None:
        """Tell the sampler of an Outcome that is in the store, or let its Trial wait for another Attempt."""
        on_front = False
        if outcome.status == "complete":
            self._search.tell(trial, outcome.objectives, {"digest": recipe.digest})
            on_front = self._store.record_front(self._study, trial, device.device_class).entered
        elif outcome.status == "stopped":
            self._waiting.append(Ticket(trial, recipe))
        elif self._worth_another_try(trial, outcome):
            self._waiting.append(Ticket(trial, recipe))
            self._watcher.message(f"trial {trial} is tried again: {outcome.message}")
            return
        else:
            self._search.tell(trial, None, {"failure": str(outcome.failure), "message": outcome.message})
        self._watcher.finished(device, trial, outcome, on_front)
        if on_front:
            self._watcher.front(self._store.front(self._study, device.device_class))

    def _worth_another_try(self, trial: int, outcome: Outcome) -> bool:
        tries = [a for a in self._store.attempts(self._study, trial) if a.outcome == "failed"]
        return outcome.failure == "infrastructure" and len(tries) < MOST_ATTEMPTS

    def _recover(self) -> None:
        """Bring a study that was stopped or killed to a state from which it can go on."""
        for record in self._store.running_attempts(self._study):
            outcome = spool.read(self._folder, record.id) or Outcome("stopped", message="the Launcher died")
            self._store.finish_attempt(record.id, outcome)
        for asked in self._search.unfinished():
            self._recover_trial(asked.trial, asked.genome)
        spooled = set(spool.waiting(self._folder))
        for record in self._store.attempts(self._study):
            if record.id in spooled and record.outcome == "complete":
                self._store.record_front(self._study, record.trial, record.device_class)
        for attempt in spooled:
            spool.delete(self._folder, attempt)

    def _recover_trial(self, trial: int, genome: Genome | None) -> None:
        attempts = self._store.attempts(self._study, trial)
        done = next((a for a in attempts if a.outcome == "complete"), None)
        tries = [a for a in attempts if a.outcome == "failed"]
        if done is not None:
            assert done.train_seconds is not None
            assert done.accuracy is not None
            self._search.tell(trial, (done.train_seconds, done.accuracy), {"digest": done.digest})
        elif tries and (tries[-1].failure != "infrastructure" or len(tries) >= MOST_ATTEMPTS):
            self._search.tell(trial, None, {"failure": str(tries[-1].failure), "message": tries[-1].message})
        else:
            ticket = self._ticket(trial, genome)
            self._waiting.extend([ticket] if ticket else [])

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as wishes: the first ends every Attempt after its epoch, the second at once."""
        previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)  # acted upon by the loop, which may be in the middle of an assignment
