"""The Launcher: asks, assigns, collects, stores, tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from paretosearch.device import Device
from paretosearch.errors import DataError, StoreAwayError
from paretosearch.fleet import checkpoints, spool
from paretosearch.fleet.base import Assignment, Done, Event, Fleet, Joined, Lost, Progress, Retired, Waiting
from paretosearch.fleet.breaker import Breaker
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.losses import DataLosses
from paretosearch.fleet.patience import Patience
from paretosearch.fleet.signals import Signals
from paretosearch.fleet.waiting import WaitingList
from paretosearch.fleet.watcher import Watcher
from paretosearch.fleet.work import Ticket, Work
from paretosearch.outcome import Outcome, failed
from paretosearch.store import AttemptRecord, Store, unsettled

#: Seconds of training that a crash may cost: a checkpoint takes some tenths of a second, and is off the clock.
CHECKPOINT_SECONDS = 60.0

#: A Device asks for more as long as fewer trainings than this wait for one of another class.
MOST_UNSUITED = 4

#: Longest wait for an event; signals are seen at least this often.
POLL_SECONDS = 0.5


T = TypeVar("T")


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
        classes: Who is told which Devices come and go.
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
        classes: Classes,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._study, self._store, self._fleet = study, store, fleet
        self._folder, self._watcher, self._checkpoint_seconds = folder, watcher, checkpoint_seconds
        self._work = {source.purpose: source for source in work}
        self._classes = classes
        self._waiting = WaitingList()
        self._given: dict[int, Ticket] = {}  # attempts that the fleet has, or had
        self._signals = Signals()
        self._stops_passed_on = 0
        self._patience = Patience(self._signals, watcher.message, self._pass_on_stops)
        self._breaker = Breaker()
        self._waiting_for_disk: set[int] = set()
        self._digests: dict[str, str] = {}  # of the data sets that the study's results are of
        self._losses = DataLosses()
        self._has_lost_all = False

    def run(self) -> int | None:
        """Work until there is nothing left to do.

        Returns:
            The signal that ended it early, or None.

        Raises:
            DataError: If the data set is not to be had any more where there are Devices.
            DeviceError: If no Device is left, since their Workers do not start or keep dying.
            ParetosearchError: If one trial after another fails by no fault of its own.
            StoreAwayError: If the database is away for too long.
            StoreError: If it refuses.
        """
        with self._signals:  # from here on, as what has been asked for is to be put off
            try:
                self._work_through()
            except StoreAwayError as error:
                if not self._signals:
                    raise
                self._watcher.message(f"left while the database was away: {error}")
        if self._has_lost_all and not self._signals:
            raise DataError(f"{self._losses}; bring the images back, and the same command goes on with every trial")
        if self._breaker.is_open:
            raise self._breaker.error(self._folder)
        return self._signals.first

    def _work_through(self) -> None:
        try:
            self._patiently(self._recover)
            first = None if self._signals else self._next_ticket(None)
            if first is not None:
                self._waiting.put_first(first)
                self._train()
        finally:
            self._put_off()

    def _train(self) -> None:
        """Keep the Devices busy until nothing is left to do, or somebody wants an end."""
        others = self._classes.present.intersection(self._store.device_classes(self._study))
        for name in sorted({self._classes.reference} | others):
            self._watcher.front(self._store.front(self._study, name))
        self._watcher.starting(len(self._fleet.devices))
        try:
            self._fleet.start()
            while self._keep_going():
                for event in self._fleet.poll(POLL_SECONDS):
                    self._handle(event)
        finally:
            self._fleet.close()

    def _put_off(self) -> None:
        """Leave what still waits to another launch."""
        for ticket in self._waiting:
            self._patiently(partial(self._work[ticket.purpose].put_off, ticket))
        for source in self._work.values():
            self._patiently(source.leave)

    def _keep_going(self) -> bool:
        """Give idle Devices work, or pass on a wish to stop; says whether anything is still running."""
        self._pass_on_stops()
        if not (self._signals or self._breaker.is_open):
            self._give_work()
        if self._fleet.is_busy():
            return True
        self._has_lost_all = bool(self._losses) and not self._able()
        return False

    def _give_work(self) -> None:
        for stranded in self._waiting.stranded(self._classes.present):
            self._work[stranded.purpose].orphan(stranded)
        asked: list[Device] = []  # anew after each: Devices may have cores in common
        while (device := next((d for d in self._able() if d not in asked), None)) is not None:
            ticket = self._next_ticket(device)
            asked.append(device)
            if ticket is not None:
                self._assign(device, ticket)

    def _able(self) -> Sequence[Device]:
        """List the idle Devices whose host has the data."""
        return self._losses.spared(self._fleet.idle())

    def _pass_on_stops(self) -> None:
        if len(self._signals) == self._stops_passed_on:
            return
        self._stops_passed_on = len(self._signals)
        now = self._stops_passed_on > 1
        self._watcher.message("stopping now" if now else "stopping after the running epochs; Ctrl-C again stops now")
        self._fleet.stop(now)

    def _next_ticket(self, device: Device | None) -> Ticket | None:
        """Choose what to train next, on a Device if it is known."""
        ticket = self._waiting.ready(device) or self._fresh_ticket(device)
        return ticket or self._waiting.rest(device, self._is_alone) or self._spare_ticket(device)

    def _is_alone(self, ticket: Ticket) -> bool:
        """Whether no other Device has anything to do, or could have the ticket."""
        return not self._fleet.is_busy() and sum(map(ticket.suits, self._able())) <= 1

    def _fresh_ticket(self, device: Device | None) -> Ticket | None:
        """Ask for work, and let what is not for this Device wait for another one."""
        while device is None or self._waiting.count_unsuited(device) < MOST_UNSUITED:
            tickets = (self._patiently(partial(source.next, device)) for source in self._work.values())
            ticket = next((ticket for ticket in tickets if ticket is not None), None)
            if ticket is None or ticket.suits(device):
                return ticket
            self._waiting.put(ticket)
        return None

    def _spare_ticket(self, device: Device | None) -> Ticket | None:
        tickets = (self._patiently(partial(source.spare, device)) for source in self._work.values())
        return next((ticket for ticket in tickets if ticket is not None), None)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Make a call that is harmless to repeat until the database takes it; Workers train on meanwhile."""
        return self._patience.until_taken(call)

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
        self._given[attempt] = ticket
        with_test = ticket.purpose == "confirm"  # a search must not look at the test split
        assignment = Assignment(
            attempt,
            ticket.trial,
            ticket.recipe,
            with_test,
            replay=ticket.replay,
            purpose=ticket.purpose,
            checkpoint_seconds=self._checkpoint_seconds,
            data_digest=self._digests.get(ticket.recipe.dataset),
        )
        self._fleet.assign(device, assignment)
        self._watcher.started(device, ticket.trial, ticket.recipe, ticket.purpose)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Retired):
            self._classes.retired(event.device)
            self._watcher.message(event.message)
        elif isinstance(event, Waiting):
            self._waits_for_disk(event)
        elif isinstance(event, Joined):
            self._losses.make_good(event.device)  # it has the data, or it would not be here
            self._classes.joined(event.device)
            self._patiently(lambda: self._store.add_device(event.device))
            self._watcher.joined(event.device)
        elif isinstance(event, Progress):
            self._progressed(event)
        else:
            self._ended(event)

    def _waits_for_disk(self, event: Waiting) -> None:
        if event.assignment.attempt not in self._waiting_for_disk:
            self._waiting_for_disk.add(event.assignment.attempt)
            self._watcher.message(f"trial {event.assignment.trial} waits for the disk: {event.message}")

    def _progressed(self, event: Progress) -> None:
        self._watcher.epoch(event.device, event.result)
        work, result = self._work[event.assignment.purpose], event.result
        why = self._patiently(lambda: work.progressed(event.assignment, result))
        if why is not None:
            self._fleet.cut(event.device, why)

    def _ended(self, event: Done | Lost) -> None:
        device, assignment, outcome = event.device, event.assignment, self._outcome_of(event)
        self._waiting.count_ended()
        work = self._work[assignment.purpose]
        believed = self._patiently(lambda: work.believes(outcome))
        self._patiently(lambda: self._store.finish_attempt(assignment.attempt, outcome, believed))
        settled = self._patiently(lambda: work.settle(device, assignment, outcome))
        self._breaker.count(assignment.trial, outcome, settled.again)
        if outcome.failure == "data":
            self._lost_data(device, assignment, outcome)
        if settled.again:
            self._waiting.put_again(self._given[assignment.attempt], device, outcome, self._fleet.devices)
        if settled.again and not self._signals and self._losses.spared(self._fleet.devices):
            self._watcher.message(f"trial {assignment.trial} is tried again: {outcome.message}")
        else:
            shown = outcome if settled.seconds is None else replace(outcome, train_seconds=settled.seconds)
            self._watcher.finished(device, assignment.trial, shown, settled.on_front, settled.in_doubt)
        if outcome.status == "complete":  # it may be on the front, and is one more that the front is of
            self._watcher.front(self._patiently(lambda: self._store.front(self._study, device.device_class)))
        spool.delete(self._folder, assignment.attempt)
        self._given.pop(assignment.attempt, None)  # a replay's has all of a training

    def _lost_data(self, device: Device, assignment: Assignment, outcome: Outcome) -> None:
        """Let nothing more begin on a machine that has lost the data; what runs there has read it before."""
        said = self._losses.note(device, assignment, outcome)
        self._classes.lost_data(device.host)
        if self._fleet.is_busy() or self._able():
            self._watcher.message(f"{said}; what is being trained goes on, and nothing more begins there")

    def _outcome_of(self, event: Done | Lost) -> Outcome:
        found = spool.read(self._folder, event.assignment.attempt)
        if found is not None:
            return found  # also of a Worker that died after it had written
        if self._signals:
            return Outcome("stopped", message="stopped by the user")
        how = event if isinstance(event, Lost) else None
        if how is not None and not how.has_begun:
            return Outcome("stopped", message=f"before it had begun, {how.message}")
        return failed("infrastructure", how.message if how else "the Outcome is gone", how.detail if how else "")

    def _recover(self) -> None:
        """Bring a study that was stopped or killed to a state from which it can go on; harmless to repeat."""
        self._waiting.clear()
        study = self._store.study(self._study)
        known = (study and study.data_sets) or {}
        self._digests = {name: content["digest"] for name, content in known.items()}
        for record in self._store.running_attempts(self._study):
            outcome = spool.read(self._folder, record.id) or Outcome("stopped", message="the Launcher died")
            self._store.finish_attempt(record.id, outcome, self._believes(record, outcome))
        for source in self._work.values():
            for ticket in source.recover():
                self._waiting.put(ticket)
        spooled = set(spool.waiting(self._folder))
        for record in self._store.attempts(self._study):
            if record.id in spooled and record.outcome == "complete":
                self._store.record_front(self._study, record.trial, record.device_class)
        for attempt in spooled:
            spool.delete(self._folder, attempt)
        # Not only what is waiting here: a search that was stopped goes on after its results were confirmed.
        open_ones = unsettled(self._store.attempts(self._study)).keys()
        for path in checkpoints.leftovers(self._folder, set(open_ones)):
            path.unlink()

    def _believes(self, record: AttemptRecord, outcome: Outcome) -> bool:
        """Whether the seconds of an Attempt are to be its trial's, be it of somebody who has no work in this launch."""
        work = self._work.get(record.purpose)
        return work.believes(outcome) if work is not None else not outcome.noisy
