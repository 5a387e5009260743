"""Timing replays as work for the Launcher: one search, and the seconds of its trials on every class of device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

from paretosearch.device import Device
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.seconds import Seconds, Trained
from paretosearch.fleet.work import Settled, Ticket, worth_another_try
from paretosearch.outcome import EpochResult, FailureClass, Outcome, Purpose
from paretosearch.search import Search
from paretosearch.store import AttemptRecord, Store, is_given_up

#: Share of a study's device time that replays may take, but for those that the sampler waits for and those of trials
#: that may be on a front.
SHARE = 0.05


class Replays:
    """Times finished trials again.

    First for the sampler, which waits for those that were trained on another class than the reference, or disturbed;
    then, where a Device would wait, on each class that lacks a trial's seconds, beginning near its front.

    Args:
        study: Name of the study.
        store: Where it is kept.
        classes: Which classes are there.
        search: Who waits for the seconds of the reference class; None times for the fronts alone.
        share: Share of the study's device time that replays may take beyond what must be.
        again: Whether to time also what a class has trained, where it may be on its front, to see how that agrees, and
            once more what was disturbed each time.

    Attributes:
        done: How many trials were timed in this launch, each once a class.
    """

    purpose: Purpose = "replay"

    def __init__(
        self,
        study: str,
        store: Store,
        classes: Classes,
        search: Search | None = None,
        share: float = SHARE,
        again: bool = False,
    ) -> None:
        self._study, self._store, self._classes = study, store, classes
        self._search, self._share, self._again = search, share, again
        self._trained: dict[int, Trained] = {}
        self._seconds = Seconds()
        self._untold: dict[int, None] = {}  # trials that the sampler waits for, the oldest first
        self._begun: set[tuple[int, str]] = set()
        self._hopeless: set[tuple[int, str]] = set()
        self._timed: set[tuple[int, str]] = set()  # whatever became of the seconds
        self._done: set[tuple[int, str]] = set()  # the same of this launch
        self._disturbed: set[tuple[int, str]] = set()  # to be timed once more

    @property
    def done(self) -> int:
        return len(self._done)

    def believes(self, outcome: Outcome) -> bool:
        """A replay that was disturbed says no more than the training did."""
        return not outcome.noisy

    def believes_training(self, outcome: Outcome) -> bool:
        """Whether a training is not to be timed again: it was quiet, or so many were not that there is no time left."""
        return not outcome.noisy or not outcome.phases or not self._has_time()

    def takes(self, device: Device, assignment: Assignment, outcome: Outcome) -> bool:
        """Take in a training that is complete; says whether the sampler is told of it from here, some time.

        That is if it has no seconds of the reference class that can be believed.
        """
        what = assignment.attempt, assignment.trial, device.device_class, assignment.recipe
        trained = Trained(*what, *outcome.objectives)
        self._learn(trained, self._store.attempt(trained.attempt).counts)
        if self._seconds.has(trained.trial, self._classes.reference):
            return False
        self._untold[trained.trial] = None
        if not outcome.phases:
            self._tell(trained.trial)
        return True

    def expect(self, trial: int) -> None:
        """Note that the sampler waits for a trial that was trained in another launch."""
        self._untold[trial] = None

    def _learn(self, trained: Trained, believed: bool) -> None:
        self._trained.setdefault(trained.trial, trained)
        if believed:
            self._seconds.note(trained, trained.device_class, trained.train_seconds)

    def recover(self) -> Sequence[Ticket]:
        """Learn what was trained and timed before; nothing is to be done first, as `next` finds it."""
        self._begun.clear()
        tries: dict[tuple[int, str], list[FailureClass | None]] = defaultdict(list)
        for attempt in self._store.attempts(self._study):
            if attempt.outcome == "complete" and attempt.purpose != "confirm":
                self._recall(attempt)
                if attempt.purpose == "replay":
                    self._timed.add((attempt.trial, attempt.device_class))
            elif attempt.outcome == "failed" and attempt.purpose == "replay":
                tries[attempt.trial, attempt.device_class].append(attempt.failure)
        self._hopeless |= {key for key, failures in tries.items() if is_given_up(failures)}
        for trial, name in sorted(self._timed | self._hopeless):
            if not self._is_in_doubt(trial, name):
                self._accept(trial, name, (trial, name) in self._hopeless)
        return ()

    def _recall(self, attempt: AttemptRecord) -> None:
        assert attempt.train_seconds is not None
        assert attempt.accuracy is not None
        if attempt.purpose == "search":
            what = attempt.id, attempt.trial, attempt.device_class, attempt.recipe
            self._learn(Trained(*what, attempt.train_seconds, attempt.accuracy), attempt.counts)
        elif attempt.counts and not (self._again and attempt.noisy):
            self._seconds.note(self._trained[attempt.trial], attempt.device_class, attempt.train_seconds)

    def _is_in_doubt(self, trial: int, device_class: str) -> bool:
        """Whether whoever asks for times again may get better ones: all replays on another class were disturbed."""
        elsewhere = self._trained[trial].device_class != device_class
        made = self._made(trial, device_class)
        return self._again and elsewhere and bool(made) and all(replay.noisy for replay in made)

    def put_off(self, ticket: Ticket) -> None:
        """Forget that it was asked for."""
        self._begun -= {(ticket.trial, name) for name in ticket.classes or ()}

    def orphan(self, ticket: Ticket) -> None:
        """Forget it as well: what the sampler waits for is told by what other trials take, as `next` finds it."""
        self.put_off(ticket)

    def leave(self) -> None:
        """Let the trials wait of which the sampler was not told."""
        if self._search is not None:
            for trial in self._untold:
                self._search.put_off(trial)

    def next(self, device: Device | None) -> Ticket | None:
        """Give what the sampler waits for; what nobody can time any more, it is told by what other trials take."""
        reference = self._classes.reference
        for trial in list(self._untold):
            if (trial, reference) in self._begun:
                continue
            if self._cannot_time(trial, reference):
                self._tell(trial)
            elif (device is None or device.device_class == reference) and (ticket := self._ticket(trial, reference)):
                return ticket
        return None

    def _cannot_time(self, trial: int, device_class: str) -> bool:
        is_there = device_class in self._classes.present
        admitted = self._classes.admits(device_class, self._trained[trial].recipe)
        return not (is_there and admitted) or (trial, device_class) in self._hopeless

    def spare(self, device: Device | None) -> Ticket | None:
        """Give what a class lacks: all that may be on its front, and the rest within its share of the time."""
        names = sorted(self._classes.present) if device is None else [device.device_class]
        for name in names:
            for trial, may_be_on_front in self._candidates(name):
                if not may_be_on_front and not self._has_time():
                    break
                if (ticket := self._ticket(trial, name)) is not None:
                    return ticket
        return None

    def _candidates(self, device_class: str) -> Iterable[tuple[int, bool]]:
        admitted = {
            trial: trained
            for trial, trained in self._trained.items()
            if self._classes.admits(device_class, trained.recipe)
        }
        if not self._again and all(self._seconds.has(trial, device_class) for trial in admitted):
            return
        taken = self._begun | self._hopeless
        once_more = [(trial, True) for trial in admitted if (trial, device_class) in self._disturbed]
        for trial, may_be_on_front in chain(once_more, self._seconds.candidates(admitted, device_class)):
            is_new = not self._seconds.has(trial, device_class)
            is_again = self._again and may_be_on_front and (trial, device_class) not in self._timed
            if (is_new or is_again) and (trial, device_class) not in taken:
                yield trial, may_be_on_front

    def _has_time(self) -> bool:
        spent = self._store.device_seconds(self._study, "replay")
        return self._share > 0 and spent <= self._share * self._store.device_seconds(self._study)

    def _ticket(self, trial: int, device_class: str) -> Ticket | None:
        """Make the ticket of a replay; a trial without phases was trained by a version that kept none."""
        trained = self._trained[trial]
        outcome = self._store.outcome(self._store.attempt(trained.attempt))
        if not outcome.phases:
            self._hopeless.add((trial, device_class))
            return None
        self._begun.add((trial, device_class))
        return Ticket(trial, trained.recipe, self.purpose, frozenset({device_class}), outcome)

    def progressed(self, assignment: Assignment, result: EpochResult) -> str | None:
        """A replay has no epochs."""
        return None

    def settle(self, device: Device, assignment: Assignment, outcome: Outcome) -> Settled:
        """Keep the seconds of a class, and tell the sampler if it waits for them."""
        trial, name = assignment.trial, device.device_class
        if outcome.status == "stopped" or worth_another_try(self._store, self._study, assignment, outcome):
            return Settled(again=True)
        if outcome.status == "complete":
            self._timed.add((trial, name))
            self._done.add((trial, name))
        else:
            self._hopeless.add((trial, name))
        self._accept(trial, name, outcome.status != "complete")
        self._begun.discard((trial, name))
        if trial in self._untold and name == self._classes.reference and (trial, name) not in self._disturbed:
            self._tell(trial)
        change = self._store.record_front(self._study, trial, name)
        is_known = self._seconds.has(trial, name)
        seconds = self._seconds.expected(self._trained[trial], name) if is_known else None
        return Settled(on_front=change.entered, seconds=seconds, in_doubt=(trial, name) in self._disturbed)

    def _accept(self, trial: int, device_class: str, is_last: bool) -> None:
        """Give a trial seconds on a class: those of a replay, or of its training if all replays there were disturbed.

        One that was disturbed on another class than the training is made once more, unless it is the last. If that was
        disturbed as well, the quicker one is nearer to the truth.
        """
        if self._seconds.has(trial, device_class):
            return
        key, trained = (trial, device_class), self._trained[trial]
        made, is_elsewhere = self._made(*key), trained.device_class != device_class
        if is_elsewhere and [replay.noisy for replay in made] == [True] and not is_last:
            self._disturbed.add(key)
            return
        self._disturbed.discard(key)
        best = min(made, key=lambda replay: (replay.noisy, replay.train_seconds), default=None)
        if not is_elsewhere and (best is None or best.noisy):
            best = self._store.attempt(trained.attempt)
        if best is not None:
            self._believe(best)

    def _made(self, trial: int, device_class: str) -> Sequence[AttemptRecord]:
        """List the replays of a trial on a class."""
        done = [attempt for attempt in self._store.attempts(self._study, trial) if attempt.outcome == "complete"]
        return [a for a in done if a.purpose == "replay" and a.device_class == device_class]

    def _believe(self, attempt: AttemptRecord) -> None:
        assert attempt.train_seconds is not None
        self._store.believe(attempt.id)
        self._seconds.note(self._trained[attempt.trial], attempt.device_class, attempt.train_seconds)

    def _tell(self, trial: int) -> None:
        """Tell the sampler what a trial takes on the reference class, by what others take if it was not timed there."""
        trained, reference = self._trained[trial], self._classes.reference
        self._accept(trial, reference, is_last=True)
        note = {"digest": trained.recipe.digest}
        if not self._seconds.has(trial, reference):
            note["seconds"] = f"estimated from those of {trained.device_class}"
        if self._search is not None:
            self._search.tell(trial, (self._seconds.expected(trained, reference), trained.accuracy), note)
        self._untold.pop(trial, None)
