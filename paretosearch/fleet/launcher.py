"""The Launcher: asks, assigns, collects, stores, tells."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeVar

from paretosearch.device import Device
from paretosearch.errors import ParetosearchError, StoreAwayError
from paretosearch.fleet import checkpoints, spool
from paretosearch.fleet.base import Assignment, Done, Event, Fleet, Joined, Lost, Progress, Retired, Waiting
from paretosearch.fleet.work import Ticket, Work, unsettled
from paretosearch.outcome import EpochResult, Outcome, Purpose, failed
from paretosearch.recipe import Recipe
from paretosearch.store import Front, Store

#: Seconds of training that a crash may cost: a checkpoint takes some tenths of a second, and is off the clock.
CHECKPOINT_SECONDS = 60.0

#: How long a database may be away before a launch gives up, and how often it is asked whether it is back.
AWAY_SECONDS, AGAIN_SECONDS = 1800.0, 1.0

#: So many trials in a row that end in an error of the program stop the launch: the next ones would as well.
MOST_BUGS = 8

#: Longest wait for an event; signals are seen at least this often.
POLL_SECONDS = 0.5


T = TypeVar("T")


class Watcher(Protocol):
    """Somebody who is shown what happens."""

    def starting(self, workers: int) -> None: ...
    def joined(self, device: Device) -> None: ...
    def started(self, device: Device, trial: int, recipe: Recipe, purpose: Purpose) -> None: ...
    def epoch(self, device: Device, result: EpochResult) -> None: ...
    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool) -> None: ...
    def front(self, front: Front) -> None: ...
    def message(self, text: str) -> None: ...


class Launcher:
    """Has a study's work done until there is none left, or somebody stops it.

    The only process that touches the database while it runs. An Outcome goes spool, our tables, Optuna, front, and
    only then leaves the spool, and each of these is harmless to repeat: a crash at any point loses nothing.

    Args:
        study: Name of the study.
        work: Who has work, the first of them first.
        store: Where to keep.
        fleet: Who trains.
        folder: Spool folder of the study.
        watcher: Who is shown.
        checkpoint_seconds: See `Assignment`.
    """

    def __init__(
        self,
        study: str,
        work: Sequence[Work],
        store: Store,
        fleet: Fleet,
        folder: Path,
        watcher: Watcher,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._study, self._store, self._fleet = study, store, fleet
        self._folder, self._watcher, self._checkpoint_seconds = folder, watcher, checkpoint_seconds
        self._work = {source.purpose: source for source in work}
        self._waiting: deque[Ticket] = deque()
        self._given: set[int] = set()  # attempts that the fleet has, or had
        self._signals: list[int] = []
        self._stops_passed_on = 0
        self._bugs: dict[int, str] = {}  # of the last trials, without a result since
        self._waiting_for_disk: set[int] = set()

    def run(self) -> int | None:
        """Work until there is nothing left to do.

        Returns:
            The signal that ended it early, or None.

        Raises:
            DeviceError: If no Device is left, since their Workers do not start or keep dying.
            ParetosearchError: If one trial after another ends in an error of the program.
        """
        with self._signals_noted():  # from here on, as what has been asked for is to be put off
            try:
                self._recover()
                first = None if self._signals else self._next_ticket(None)
                if first is not None:
                    self._waiting.appendleft(first)
                    self._train()
            finally:
                self._put_off()
        if self._is_broken:
            trial, message = self._bugs.popitem()
            raise ParetosearchError(
                f"{MOST_BUGS} trials in a row ended in an error of the program, the last one, {trial}, in {message!r}; "
                f"{self._folder}/worker-*.log has their tracebacks; the same command goes on"
            )
        return self._signals[0] if self._signals else None

    def _train(self) -> None:
        """Keep the Devices busy until nothing is left to do, or somebody wants an end."""
        self._watcher.front(self._store.front(self._study))
        self._watcher.starting(len(self._fleet.devices))
        try:
            self._fleet.start()
            while self._keep_going():
                for event in self._fleet.poll(POLL_SECONDS):
                    self._handle(event)
        finally:
            self._fleet.close()

    @property
    def _is_broken(self) -> bool:
        return len(self._bugs) >= MOST_BUGS

    def _put_off(self) -> None:
        """Leave what still waits to another launch."""
        for ticket in self._waiting:
            self._patiently(partial(self._work[ticket.purpose].put_off, ticket))

    def _keep_going(self) -> bool:
        """Give idle Devices work, or pass on a wish to stop; says whether anything is still running."""
        self._pass_on_stops()
        for device in self._fleet.idle():
            ticket = None if self._signals or self._is_broken else self._next_ticket(device)
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

    def _next_ticket(self, device: Device | None) -> Ticket | None:
        """Choose what to train next, on a Device if it is known; what was lost there is left to another one."""
        for ticket in self._waiting:
            if device is None or ticket.lost_on != device.uuid:
                self._waiting.remove(ticket)
                return ticket
        tickets = (self._patiently(source.next) for source in self._work.values())
        fresh = next((ticket for ticket in tickets if ticket is not None), None)
        is_last = not self._fleet.is_busy() and len(self._fleet.idle()) <= 1
        if fresh is None and self._waiting and is_last:
            return self._waiting.popleft()
        return fresh

    def _patiently(self, call: Callable[[], T]) -> T:
        """Make a call that is harmless to repeat until the database takes it; Workers train on meanwhile."""
        given_up = time.monotonic() + AWAY_SECONDS
        is_said = False
        while True:
            try:
                return call()
            except StoreAwayError as error:
                if time.monotonic() > given_up or len(self._signals) > 1:
                    raise
                if not is_said:
                    self._watcher.message(f"waiting for the database: {error}")
                is_said = True
                time.sleep(AGAIN_SECONDS)

    def _start(self, device: Device, ticket: Ticket) -> int:
        """Note the begin of an attempt; one that was noted in a call without an answer is taken instead."""
        for record in self._store.running_attempts(self._study):
            same = (record.trial, record.seed, record.purpose) == (ticket.trial, ticket.recipe.seed, ticket.purpose)
            if same and record.id not in self._given:
                if record.device == device.uuid:
                    return record.id
                self._store.finish_attempt(record.id, Outcome("stopped", message="the database was away"))
        return self._store.start_attempt(self._study, ticket.trial, device, ticket.recipe, ticket.purpose)

    def _assign(self, device: Device, ticket: Ticket) -> None:
        attempt = self._patiently(lambda: self._start(device, ticket))
        self._given.add(attempt)
        with_test = ticket.purpose != "search"  # which must not look at the test split
        assignment = Assignment(
            attempt,
            ticket.trial,
            ticket.recipe,
            with_test,
            purpose=ticket.purpose,
            checkpoint_seconds=self._checkpoint_seconds,
        )
        self._fleet.assign(device, assignment)
        self._watcher.started(device, ticket.trial, ticket.recipe, ticket.purpose)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Retired):
            self._watcher.message(event.message)
        elif isinstance(event, Waiting):
            self._waits_for_disk(event)
        elif isinstance(event, Joined):
            self._patiently(lambda: self._store.add_device(event.device))
            self._watcher.joined(event.device)
        elif isinstance(event, Progress):
            self._progressed(event)
        else:
            self._ended(event)

    def _waits_for_disk(self, event: Waiting) -> None:
        if event.assignment.attempt not in self._waiting_for_disk:
            self._waiting_for_disk.add(event.assignment.attempt)
            self._watcher.message(f"trial {event.assignment.trial} waits for the disk: {event.message}; make some room")

    def _progressed(self, event: Progress) -> None:
        self._watcher.epoch(event.device, event.result)
        work, result = self._work[event.assignment.purpose], event.result
        why = self._patiently(lambda: work.progressed(event.assignment, result))
        if why is not None:
            self._fleet.cut(event.device, why)

    def _ended(self, event: Done | Lost) -> None:
        device, assignment, outcome = event.device, event.assignment, self._outcome_of(event)
        self._count_bugs(assignment, outcome)
        self._patiently(lambda: self._store.finish_attempt(assignment.attempt, outcome))
        settled = self._patiently(lambda: self._work[assignment.purpose].settle(device, assignment, outcome))
        if settled.again:
            lost_on = device.uuid if isinstance(event, Lost) and len(self._fleet.devices) > 1 else None
            self._waiting.append(Ticket(assignment.trial, assignment.recipe, assignment.purpose, lost_on))
        if settled.again and not self._signals:
            self._watcher.message(f"trial {assignment.trial} is tried again: {outcome.message}")
        else:
            self._watcher.finished(device, assignment.trial, outcome, settled.on_front)
        if settled.on_front:
            self._watcher.front(self._patiently(lambda: self._store.front(self._study, device.device_class)))
        spool.delete(self._folder, assignment.attempt)

    def _count_bugs(self, assignment: Assignment, outcome: Outcome) -> None:
        if outcome.failure == "bug":
            self._bugs[assignment.trial] = outcome.message
        elif outcome.status == "complete":
            self._bugs.clear()

    def _outcome_of(self, event: Done | Lost) -> Outcome:
        found = spool.read(self._folder, event.assignment.attempt)
        if found is not None:
            return found  # also of a Worker that died after it had written
        if self._signals:
            return Outcome("stopped", message="stopped by the user")
        how = event if isinstance(event, Lost) else None
        if how is not None and not how.has_begun:
            return Outcome("stopped", message=f"it had not begun: {how.message}")
        return failed("infrastructure", how.message if how else "the Outcome is gone", how.detail if how else "")

    def _recover(self) -> None:
        """Bring a study that was stopped or killed to a state from which it can go on."""
        for record in self._store.running_attempts(self._study):
            outcome = spool.read(self._folder, record.id) or Outcome("stopped", message="the Launcher died")
            self._store.finish_attempt(record.id, outcome)
        for source in self._work.values():
            self._waiting.extend(source.recover())
        spooled = set(spool.waiting(self._folder))
        for record in self._store.attempts(self._study):
            if record.id in spooled and record.counts:
                self._store.record_front(self._study, record.trial, record.device_class)
        for attempt in spooled:
            spool.delete(self._folder, attempt)
        # Not only what is waiting here: a search that was stopped goes on after its results were confirmed.
        open_ones = unsettled(self._store.attempts(self._study)).keys()
        for path in checkpoints.leftovers(self._folder, set(open_ones)):
            path.unlink()

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
