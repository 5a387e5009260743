"""What Devices of two classes do with Recipes, and what is to be known of it afterwards."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import optuna

from paretosearch.device import Device
from paretosearch.fleet.base import Assignment, Retired
from paretosearch.outcome import Outcome, PhaseResult
from paretosearch.recipe import Recipe
from paretosearch.store import Store
from paretosearch.testing.fleet import ScriptedFleet, complete, cpu_device

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench


def wide_device(index: int) -> Device:
    """Name a CPU slot of another class."""
    return replace(cpu_device(index), cores=(0, 1))


NARROW, WIDE = cpu_device().device_class, wide_device(0).device_class
PHASE = PhaseResult(0, 100, 32, "eager", "", 1.0, 0.01, 0.001)


def seconds(recipe: Recipe, device_class: str) -> float:
    """Say what a Recipe takes; a large batch gains more on the wide class, so that the fronts differ."""
    narrow = 10.0 * recipe.epochs + 100 / recipe.batch_size
    return narrow if device_class == NARROW else narrow * gain(recipe)


def gain(recipe: Recipe) -> float:
    return 0.4 + 6 / recipe.batch_size


def accuracy(recipe: Recipe) -> float:
    return 0.3 + 0.2 * recipe.epochs - recipe.batch_size / 10_000 - abs(math.log10(10 * recipe.learning_rate)) / 10


class World:
    """What Devices do: trainings and replays take the true seconds of their class."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.noisy_trainings: set[int] = set()
        self.noisy_replays: set[int] = set()
        self.replayed: Counter[tuple[int, str]] = Counter()

    def __call__(self, assignment: Assignment) -> Outcome:
        uuid = self.bench.fleet.device_of(assignment)
        where = next(device.device_class for device in self.bench.fleet.devices if device.uuid == uuid)
        true = complete(seconds(assignment.recipe, where), accuracy(assignment.recipe))
        if assignment.replay is not None:
            return self._replayed(assignment.trial, where, true)
        noisy = assignment.trial in self.noisy_trainings
        wrong = replace(true, train_seconds=3 * true.objectives[0]) if noisy else true
        return replace(wrong, noisy=noisy, phases=(PHASE,))

    def _replayed(self, trial: int, where: str, true: Outcome) -> Outcome:
        """Time a trial; who disturbs the first replay of a class takes more than who disturbs the next one."""
        self.replayed[trial, where] += 1
        noisy = trial in self.noisy_replays
        wrong = (1 + 1 / self.replayed[trial, where]) if noisy else 1.0
        return replace(true, train_seconds=wrong * true.objectives[0], noisy=noisy, phases=(PHASE,))


def told(bench: Bench) -> dict[int, tuple[float, str | None]]:
    """Give the seconds that the sampler was told, and what they are if they were not measured."""
    trials = optuna.load_study(study_name="s", storage=bench.url).get_trials(deepcopy=False)
    return {t.number: (t.values[0], t.user_attrs.get("seconds")) for t in trials if t.values}


def best(device_class: str, recipes: dict[int, Recipe]) -> set[int]:
    points = {trial: (seconds(recipe, device_class), -accuracy(recipe)) for trial, recipe in recipes.items()}
    beaten = {
        t
        for t, (s, a) in points.items()
        for o, (s2, a2) in points.items()
        if s2 <= s and a2 <= a and ((s2, a2) != (s, a) or o < t)
    }
    return recipes.keys() - beaten


def trained(bench: Bench) -> Counter[int]:
    attempts = bench.store.attempts("s")
    return Counter(a.trial for a in attempts if a.purpose == "search" and a.outcome == "complete")


def recorded(store: Store, device_class: str) -> set[int]:
    """Give the trials that are on the front of a class by what was noted of who entered and who left."""
    last = {event.trial: event.kind for event in store.front_events("s") if event.device_class == device_class}
    return {trial for trial, kind in last.items() if kind == "entered"}


def shown(store: Store, device_class: str) -> set[int]:
    """Give the same by the view."""
    return {point.trial for point in store.front("s", device_class).points}


class Fading(ScriptedFleet):
    """Loses a Device after some Attempts, without anything that was running."""

    after, fading = 0, ""

    def poll(self, seconds: float) -> list[object]:  # type: ignore[override]
        events = list(super().poll(seconds))
        if len(self.trained) >= self.after and self.fading:
            gone = next(d for d in self._devices if d.device_class == self.fading)
            if all(device != gone for device, _ in self._busy):
                self._devices = [d for d in self._devices if d != gone]
                Fading.fading = ""
                events.append(Retired(gone, "it is gone"))
        return events
