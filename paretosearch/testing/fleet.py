"""What every Fleet must do, as a suite, and a Fleet without processes for tests of the Launcher."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from paretosearch.device import Device
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Done, Event, Fleet, Joined, Lost, Progress
from paretosearch.outcome import EpochResult, Outcome
from paretosearch.recipe import Recipe


def cpu_device(index: int = 0) -> Device:
    """Name a CPU slot that pins nothing."""
    return Device("cpu", f"cpu-test-{index}", "Test CPU", 1 << 30, "test", index, (0,))


class ScriptedFleet:
    """A Fleet whose Attempts go an epoch a poll, as a function of their Recipe says.

    Args:
        devices: Its Devices.
        folder: Spool folder.
        script: Gives the Outcome of an Assignment; None is a Worker that dies without one.

    Attributes:
        newcomers: Devices that join with the next polls.
        starting: How many Workers die before they begin.
        trained: What it was given.
    """

    def __init__(self, devices: Sequence[Device], folder: Path, script: Callable[[Assignment], Outcome | None]) -> None:
        self._devices, self._folder, self._script = devices, folder, script
        self._busy: deque[tuple[Device, Iterator[Event]]] = deque()
        self._cuts: dict[Device, str] = {}
        self.newcomers: list[Device] = []
        self.starting = 0
        self._devices_of: dict[int, str] = {}
        self.trained: list[Assignment] = []

    @property
    def devices(self) -> Sequence[Device]:
        return self._devices

    def start(self) -> None:
        """Nothing to start."""

    def idle(self) -> Sequence[Device]:
        busy = [device for device, _ in self._busy]
        return [device for device in self._devices if device not in busy]

    def is_busy(self) -> bool:
        return bool(self._busy)

    def assign(self, device: Device, assignment: Assignment) -> None:
        self._cuts.pop(device, None)  # one that came too late for the Attempt before
        self._devices_of[assignment.attempt] = device.uuid
        self._busy.append((device, self._events(device, assignment)))
        self.trained.append(assignment)

    def device_of(self, assignment: Assignment) -> str:
        """Give the UUID of the Device that trains something."""
        return self._devices_of[assignment.attempt]

    def poll(self, seconds: float) -> Sequence[Event]:
        if self.newcomers:
            self._devices = [*self._devices, self.newcomers.pop()]
            return [Joined(self._devices[-1])]
        device, events = self._busy.popleft()
        event = next(events)
        if isinstance(event, Progress):
            self._busy.append((device, events))
        return [event]

    def _events(self, device: Device, assignment: Assignment) -> Iterator[Event]:
        if self.starting:
            self.starting -= 1
            yield Lost(device, assignment, "the Worker was killed by SIGKILL", "", has_begun=False)
            return
        outcome = self._script(assignment)
        if outcome is None:
            yield Lost(device, assignment, "the Worker was killed by SIGKILL", "")
            return
        planned = outcome.epochs
        for number, result in enumerate(planned, start=1):
            why = self._cuts.get(device)  # in this epoch, since the one before was seen
            yield Progress(device, assignment, result)
            if why is not None and number < len(planned):
                outcome = Outcome("dominated", None, why, "", result.train_seconds, epochs=planned[:number])
                break
        spool.write(self._folder, assignment.attempt, outcome)
        yield Done(device, assignment)

    def cut(self, device: Device, why: str) -> None:
        self._cuts[device] = why

    def stop(self, now: bool) -> None:
        self._script = lambda _: Outcome("stopped", message="stopped by the user")

    def close(self) -> None:
        """Nothing to close."""


def complete(train_seconds: float, accuracy: float) -> Outcome:
    """Make the Outcome of a one-epoch Attempt."""
    epoch = EpochResult(1, train_seconds, accuracy, 0.5, 0.1, 32, 1000, 2000, 0.01, 0.001)
    return Outcome("complete", None, "", "", train_seconds, train_seconds, accuracy, epochs=(epoch,))


class FleetSuite:
    """Behaviour of every Fleet of real Workers; a test class inherits it and gives the fixtures.

    Fixtures:
        fleet: A started Fleet of one Device, with its spool at ``folder``.
        folder: The spool folder.
        recipe: A Recipe that trains for a few seconds on data that is there.
        kill: A function that kills the Fleet's Worker without warning.
    """

    def test_an_attempt_is_trained_and_reported_epoch_by_epoch(
        self, fleet: Fleet, folder: Path, recipe: Recipe
    ) -> None:
        events = run(fleet, Assignment(1, 0, recipe))
        epochs = [event.result.epoch for event in events if isinstance(event, Progress)]
        assert epochs == list(range(1, recipe.total_epochs + 1))
        outcome = _outcome(folder, 1)
        assert (outcome.status, len(outcome.epochs)) == ("complete", recipe.total_epochs)

    def test_a_recipe_that_raises_costs_only_itself(self, fleet: Fleet, folder: Path, recipe: Recipe) -> None:
        run(fleet, Assignment(1, 0, replace(recipe, batch_size=60_000)))
        wrong = _outcome(folder, 1)
        assert (wrong.status, wrong.failure) == ("failed", "invalid")
        assert "batch_size" in wrong.message
        run(fleet, Assignment(2, 1, recipe))
        right = _outcome(folder, 2)
        assert right.status == "complete"

    def test_a_training_without_its_images_is_stopped_by_no_fault_of_its_own(
        self, fleet: Fleet, folder: Path, recipe: Recipe
    ) -> None:
        run(fleet, Assignment(1, 0, replace(recipe, dataset="folder:/no/such")))
        run(fleet, Assignment(2, 0, recipe, data_digest="of other images"))
        gone, other = _outcome(folder, 1), _outcome(folder, 2)
        assert [(outcome.status, outcome.failure) for outcome in (gone, other)] == [("stopped", "data")] * 2
        assert gone.message.startswith("'folder:/no/such': there is no such folder")
        assert other.message == f"{recipe.dataset} holds other images than those that the launch began with"
        run(fleet, Assignment(3, 0, recipe))
        assert _outcome(folder, 3).status == "complete"

    def test_a_killed_worker_is_lost_and_replaced(
        self, fleet: Fleet, folder: Path, recipe: Recipe, kill: Callable[[], None]
    ) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
        wait_for(fleet, Progress)
        kill()
        lost = wait_for(fleet, Lost)
        assert isinstance(lost, Lost)
        assert "SIGKILL" in lost.message
        assert spool.read(folder, 1) is None
        run(fleet, Assignment(2, 0, recipe))
        again = _outcome(folder, 2)
        assert again.status == "complete"

    def test_a_killed_training_goes_on_from_its_checkpoint(
        self, fleet: Fleet, folder: Path, recipe: Recipe, kill: Callable[[], None]
    ) -> None:
        recipe = replace(recipe, epochs=100)  # some of them last 10 ms: a kill must find it at work
        whole = run(fleet, Assignment(1, 0, recipe))
        fleet.assign(fleet.devices[0], Assignment(2, 0, recipe, checkpoint_seconds=0.0))
        before = [wait_for(fleet, Progress), wait_for(fleet, Progress)]
        kill()
        wait_for(fleet, Lost)
        after = run(fleet, Assignment(3, 0, recipe, checkpoint_seconds=0.0))
        results = [_results(events) for events in (whole, before, after)]
        assert results[2][0] == results[1][0]  # with its seconds: it was not trained again
        assert [(r.epoch, r.accuracy, r.loss) for r in results[2]] == [
            (r.epoch, r.accuracy, r.loss) for r in results[0]
        ]
        outcome = _outcome(folder, 3)
        assert (outcome.status, list(outcome.epochs)) == ("complete", results[2])
        assert not list(folder.glob("checkpoint-*"))

    def test_a_stopped_training_goes_on_after_its_last_epoch(self, fleet: Fleet, folder: Path, recipe: Recipe) -> None:
        recipe = replace(recipe, epochs=30)
        fleet.assign(fleet.devices[0], Assignment(1, 0, recipe, checkpoint_seconds=3600.0))
        seen = [wait_for(fleet, Progress)]
        fleet.stop(now=False)
        seen += _until(fleet, Done, 60)
        again = run(fleet, Assignment(2, 0, recipe, checkpoint_seconds=3600.0))
        before, after = _results(seen), _results(again)
        assert len(before) < 30
        assert all(result in after for result in before)  # with their seconds: nothing was trained twice
        assert [result.epoch for result in after] == list(range(1, 31))

    def test_a_stop_ends_the_attempt_after_its_epoch(self, fleet: Fleet, folder: Path, recipe: Recipe) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
        wait_for(fleet, Progress)
        fleet.stop(now=False)
        wait_for(fleet, Done)
        outcome = _outcome(folder, 1)
        assert outcome.status == "stopped"

    def test_a_stop_reaches_a_worker_that_is_still_starting(self, fleet: Fleet, folder: Path, recipe: Recipe) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
        fleet.stop(now=False)
        wait_for(fleet, Done)
        outcome = _outcome(folder, 1)
        assert outcome.status == "stopped"

    def test_a_stop_in_the_last_epoch_lets_the_attempt_be_complete(
        self, fleet: Fleet, folder: Path, recipe: Recipe
    ) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=1)))
        fleet.stop(now=False)
        wait_for(fleet, Done)
        outcome = _outcome(folder, 1)
        assert outcome.status == "complete"

    def test_a_cut_ends_the_attempt_after_its_epoch_as_dominated(
        self, fleet: Fleet, folder: Path, recipe: Recipe
    ) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
        seen = [wait_for(fleet, Progress)]
        fleet.cut(fleet.devices[0], "trial 7 is better")
        seen += _until(fleet, Done, 60)
        outcome = _outcome(folder, 1)
        assert (outcome.status, outcome.message) == ("dominated", "trial 7 is better")
        assert list(outcome.epochs) == [event.result for event in seen if isinstance(event, Progress)]
        assert len(outcome.epochs) < 500
        assert outcome.train_seconds == outcome.epochs[-1].train_seconds

    def test_a_cut_in_the_last_epoch_lets_the_attempt_be_complete_and_is_not_for_the_next_one(
        self, fleet: Fleet, folder: Path, recipe: Recipe
    ) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=1)))
        fleet.cut(fleet.devices[0], "trial 7 is better")
        wait_for(fleet, Done)
        late = _outcome(folder, 1)
        assert (late.status, len(late.epochs)) == ("complete", 1)
        run(fleet, Assignment(2, 1, recipe))
        next_one = _outcome(folder, 2)
        assert (next_one.status, len(next_one.epochs)) == ("complete", recipe.total_epochs)

    def test_a_stop_now_kills_and_replaces_nobody(self, fleet: Fleet, folder: Path, recipe: Recipe) -> None:
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
        wait_for(fleet, Progress)
        fleet.stop(now=True)
        fleet.stop(now=True)
        wait_for(fleet, Lost)
        assert not fleet.is_busy()
        assert not fleet.idle()


def _results(events: Sequence[Event]) -> list[EpochResult]:
    return [event.result for event in events if isinstance(event, Progress)]


def _outcome(folder: Path, attempt: int) -> Outcome:
    found = spool.read(folder, attempt)
    assert found is not None
    return found


def wait_for(fleet: Fleet, kind: type[Event], seconds: float = 60) -> Event:
    """Poll until an event of a kind comes."""
    return _until(fleet, kind, seconds)[-1]


def run(fleet: Fleet, assignment: Assignment) -> list[Event]:
    """Train one Attempt as soon as the Device is idle; gives its events."""
    before: list[Event] = []
    while not fleet.idle():
        before.extend(fleet.poll(1.0))
    fleet.assign(fleet.devices[0], assignment)
    return [*before, *_until(fleet, Done, 60)]


def _until(fleet: Fleet, kind: type[Event], seconds: float) -> list[Event]:
    events: list[Event] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in fleet.poll(1.0):
            events.append(event)
            if isinstance(event, kind):
                return events
    raise AssertionError(f"no {kind.__name__} within {seconds} s; seen: {events}")


__all__ = ["FleetSuite", "ScriptedFleet", "complete", "cpu_device", "run", "wait_for"]
