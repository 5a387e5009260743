"""The search as work for the Launcher: what is asked of the sampler, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from paretosearch.device import Device
from paretosearch.errors import RecipeError
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.early import EarlyStops
from paretosearch.fleet.replays import Replays
from paretosearch.fleet.work import Settled, Ticket, worth_another_try
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.search import Search
from paretosearch.space import Genome, Space
from paretosearch.store import AttemptRecord, Store, is_given_up
from paretosearch.studyfile import Budget

#: So many trials that no Device can train end the asking: those that could are gone.
MOST_ORPHANS = 20

#: After so many disturbed trainings the user should know, if fewer were quiet.
TOO_MANY = 4


class Searching:
    """Asks for trials as long as the budget lasts.

    Args:
        study: Name of the study.
        space: What is searched.
        budget: When to end.
        search: Where to ask.
        store: Where Outcomes are kept.
        classes: Which classes of device are there.
        replays: Who finds the seconds of trials that have none of the reference class, or none to be believed; None
            believes what was measured.
        stops: Who ends Attempts early; None lets all of them run to their end.
        say: Called with what the user should know.
    """

    purpose: Purpose = "search"

    def __init__(
        self,
        study: str,
        space: Space,
        budget: Budget,
        search: Search,
        store: Store,
        classes: Classes,
        replays: Replays | None = None,
        stops: EarlyStops | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._study, self._space, self._budget = study, space, budget
        self._search, self._store, self._stops, self._say = search, store, stops, say
        self._classes, self._replays = classes, replays
        self._orphans: list[Ticket] = []  # what no Device that is there can train
        self._quiet, self._disturbed = 0, 0  # trainings of this launch

    def put_off(self, ticket: Ticket) -> None:
        """Let a trial wait, since nobody is training it."""
        self._search.put_off(ticket.trial)

    def leave(self) -> None:
        """Let trials wait that no Device could train; others that were not trained are put off by ticket."""
        for ticket in self._orphans:
            self.put_off(ticket)

    def orphan(self, ticket: Ticket) -> None:
        """Keep a trial that no Device can train for one that comes, or for another launch."""
        self._orphans.append(ticket)
        if self._classes.able(ticket.recipe):
            return  # somebody has come since it was asked for
        self._say(f"trial {ticket.trial} waits for another launch: no device here can do {_what(ticket)}")
        if len(self._orphans) == MOST_ORPHANS:
            self._say(
                f"nothing more is asked for, as {MOST_ORPHANS} trials wait for devices that are gone; the same command "
                "goes on with all of them when these are back"
            )

    def _adopted(self) -> Ticket | None:
        """Take an orphan that a Device can train which has come since."""
        able = ((ticket, self._classes.able(ticket.recipe)) for ticket in self._orphans)
        ticket, classes = next(((ticket, classes) for ticket, classes in able if classes), (None, None))
        if ticket is None:
            return None
        self._orphans.remove(ticket)
        return replace(ticket, classes=classes)

    def believes(self, outcome: Outcome) -> bool:
        """A training that was disturbed is timed again, where somebody can do that."""
        return self._replays is None or self._replays.believes_training(outcome)

    def next(self, device: Device | None) -> Ticket | None:
        """Ask for the next trial that has a Recipe that a class which is there can do."""
        if (adopted := self._adopted()) is not None:
            return adopted
        while len(self._orphans) < MOST_ORPHANS and self._may_ask():
            asked = self._search.ask()
            ticket = self._ticket(asked.trial, asked.genome)
            if ticket is None:
                continue
            if ticket.classes:
                return ticket
            self.orphan(ticket)
        return None

    def spare(self, device: Device | None) -> Ticket | None:
        """Nothing: a search has a budget, and no work beside it."""
        return None

    def _may_ask(self) -> bool:
        spent = self._store.device_seconds(self._study) / 3600
        enough_hours = self._budget.device_hours is not None and spent >= self._budget.device_hours
        enough_trials = self._budget.trials is not None and self._search.trials() >= self._budget.trials
        return not (enough_hours or enough_trials or self._search.is_done())

    def _ticket(self, trial: int, genome: Genome | None) -> Ticket | None:
        """Make a Trial's Recipe; a genome without one ends FAIL here."""
        if genome is None:
            self._search.tell(trial, None, {"failure": "infrastructure", "message": "the question was interrupted"})
            return None
        try:
            recipe = self._space.recipe(genome)
            return Ticket(trial, recipe, classes=self._classes.able(recipe))
        except RecipeError as error:
            self._search.tell(trial, None, {"failure": "invalid", "message": str(error)})
            self._say(f"trial {trial} cannot be trained: {error}")
            return None

    def progressed(self, assignment: Assignment, result: EpochResult) -> str | None:
        """Say why a training is to end early, if it is."""
        return self._stops.progressed(assignment, result) if self._stops else None

    def settle(self, device: Device, assignment: Assignment, outcome: Outcome) -> Settled:
        """Tell the sampler of an Outcome, or let its Trial be tried again."""
        if self._stops:
            self._stops.ended(assignment, outcome)
        trial, digest = assignment.trial, assignment.recipe.digest
        if outcome.status == "complete":
            self._count(outcome)
            if self._replays is None or not self._replays.takes(device, assignment, outcome):
                self._search.tell(trial, outcome.objectives, {"digest": digest})
            change = self._store.record_front(self._study, trial, device.device_class)
            return Settled(on_front=change.entered, in_doubt=not self._store.attempt(assignment.attempt).counts)
        if outcome.status == "dominated":
            self._search.tell_dominated(trial, {"digest": digest, "message": outcome.message})
            return Settled()
        if outcome.status == "stopped" or worth_another_try(self._store, self._study, assignment, outcome):
            return Settled(again=True)
        self._search.tell(trial, None, {"failure": str(outcome.failure), "message": outcome.message})
        return Settled()

    def _count(self, outcome: Outcome) -> None:
        """Say once that the seconds are no good, if most trainings so far were disturbed."""
        self._disturbed, self._quiet = self._disturbed + outcome.noisy, self._quiet + (not outcome.noisy)
        if self._disturbed == TOO_MANY > self._quiet and outcome.noisy:
            self._say(
                f"{self._disturbed} of {self._disturbed + self._quiet} trainings were disturbed (~): another program "
                "uses their cores or their GPU, so the seconds are uncertain; end it, or take fewer slots"
            )

    def recover(self) -> Sequence[Ticket]:
        """Tell the sampler what it was not told, and give the trials that are to be trained again."""
        self._orphans.clear()
        if self._stops:
            self._stops.begin(self._study)
        found = [self._recovered(asked.trial, asked.genome) for asked in self._search.resume()]
        tickets = [ticket for ticket in found if ticket and ticket.classes]
        for ticket in found:
            if ticket and not ticket.classes:
                self.orphan(ticket)
        done = self._search.trials() - self._search.counts()["running"]
        if tickets or (done and self._may_ask()):
            self._say(self._continuing(done, len(tickets)))
        return tickets

    def _continuing(self, done: int, again: int) -> str:
        """Say what there is of the study by now."""
        of = f" of {self._budget.trials}" if self._budget.trials is not None else ""
        trials = f"{done}{of} {'trial is' if done == 1 and not of else 'trials are'} done"
        more = f", {again} {'is' if again == 1 else 'are'} tried again" if again else ""
        return f"continuing study {self._study!r}: {trials}{more}"

    def _recovered(self, trial: int, genome: Genome | None) -> Ticket | None:
        everything = self._store.attempts(self._study, trial)
        attempts = [a for a in everything if a.purpose == "search"]
        done = next((a for a in attempts if a.outcome in ("complete", "dominated")), None)
        tries = [a for a in attempts if a.outcome == "failed"]
        if done is not None and done.outcome == "complete":
            self._tell_recovered(trial, done, [a for a in everything if a.counts])
        elif done is not None:
            self._search.tell_dominated(trial, {"digest": done.digest, "message": done.message})
        elif is_given_up([a.failure for a in tries]):
            self._search.tell(trial, None, {"failure": str(tries[-1].failure), "message": tries[-1].message})
        else:
            return self._ticket(trial, genome)
        return None

    def _tell_recovered(self, trial: int, done: AttemptRecord, results: Sequence[AttemptRecord]) -> None:
        """Tell of a trial that was trained, or let its seconds be found, by its result on each class."""
        result = next((a for a in results if a.device_class == self._classes.reference), None)
        if result is None and self._replays is not None:
            self._replays.expect(trial)
            return
        found = result or done
        assert found.train_seconds is not None
        assert found.accuracy is not None
        self._search.tell(trial, (found.train_seconds, found.accuracy), {"digest": found.digest})


def _what(ticket: Ticket) -> str:
    return f"the number format {ticket.recipe.number_format}"
