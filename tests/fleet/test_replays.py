"""One search over several classes of device: a true front for each, and nothing trained twice for it."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import optuna
import pytest

from paretosearch.axis import Choice
from paretosearch.fleet.base import Assignment, Retired
from paretosearch.fleet.replays import Replays
from paretosearch.outcome import Outcome, PhaseResult, failed
from paretosearch.recipe import Recipe
from paretosearch.search import Search
from paretosearch.space import Space
from paretosearch.store import Store
from paretosearch.testing.fleet import ScriptedFleet, complete, cpu_device
from tests.fleet.conftest import SPACE, wide_device

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, DyingAt

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

    def __call__(self, assignment: Assignment) -> Outcome:
        uuid = self.bench.fleet.device_of(assignment)
        where = next(device.device_class for device in self.bench.fleet.devices if device.uuid == uuid)
        true = complete(seconds(assignment.recipe, where), accuracy(assignment.recipe))
        if assignment.replay is not None:
            return replace(true, noisy=assignment.trial in self.noisy_replays, phases=(PHASE,))
        noisy = assignment.trial in self.noisy_trainings
        wrong = replace(true, train_seconds=3 * true.objectives[0]) if noisy else true
        return replace(wrong, noisy=noisy, phases=(PHASE,))


@pytest.fixture
def world(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(
        "tests.fleet.conftest.SHARE", 1.0
    )  # a scripted Attempt takes no time, so that shares mean nothing
    return World(bench)


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


def test_one_search_gives_the_true_front_of_each_class(bench: Bench, world: World) -> None:
    assert bench.launch(world, trials=24, devices=1, wide=1) is None
    assert bench.states() == {"COMPLETE": 24}
    assert set(trained(bench).values()) == {1}
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    assert len(recipes) == 24
    for name in (NARROW, WIDE):
        done = bench.store.completed("s", name)
        assert {p.trial: p.train_seconds for p in done} == {t: seconds(r, name) for t, r in recipes.items()}
        front = {p.trial for p in bench.store.front("s", name).points}
        assert front == best(name, recipes)
        entered = {e.trial for e in bench.store.front_events("s") if e.device_class == name and e.kind == "entered"}
        assert entered >= front
    by_class = Counter(a.device_class for a in bench.store.attempts("s") if a.purpose == "search")
    assert min(by_class[NARROW], by_class[WIDE]) >= 1  # both have trained


def test_the_sampler_is_told_the_seconds_of_the_reference_class_alone(bench: Bench, world: World) -> None:
    bench.launch(world, trials=12, devices=1, wide=2)
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    assert told(bench) == {trial: (seconds(recipe, NARROW), None) for trial, recipe in recipes.items()}


def test_replays_of_what_is_far_from_a_front_end_with_their_share_of_the_time(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fleet.conftest.SHARE", 0.0)
    monkeypatch.setattr("tests.fleet.test_replays.gain", lambda _: 0.5)  # known after some pairs, and to be relied on
    bench.launch(world, trials=30)
    bench.launch(world, trials=30, devices=1, wide=1)  # another class comes to a study that is done
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    on_wide = {point.trial for point in bench.store.completed("s", WIDE)}
    assert best(WIDE, recipes) <= on_wide  # whatever the share
    assert on_wide < recipes.keys()


def test_a_disturbed_training_is_timed_again_before_it_is_told(bench: Bench, world: World) -> None:
    world.noisy_trainings = {2, 5}
    bench.launch(world, trials=8)
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    assert told(bench) == {trial: (seconds(recipe, NARROW), None) for trial, recipe in recipes.items()}
    assert sorted(a.trial for a in bench.store.attempts("s") if a.purpose == "replay") == [2, 5]
    assert not any(point.noisy for point in bench.store.completed("s"))


def test_the_user_hears_once_that_most_trainings_are_disturbed(bench: Bench, world: World) -> None:
    world.noisy_trainings = {0, 1, 2}
    bench.launch(world, trials=8)
    assert not any("were disturbed" in line for line in bench.notes.messages)
    world.noisy_trainings = set(range(8, 20))
    bench.launch(world, trials=20)
    [said] = [line for line in bench.notes.messages if "were disturbed" in line]
    assert said.startswith("4 of 4 trainings were disturbed (~): another program uses")


def test_where_the_replay_is_disturbed_as_well_the_training_stands(bench: Bench, world: World) -> None:
    world.noisy_trainings = world.noisy_replays = {2}
    bench.launch(world, trials=4)
    points = {point.trial: point for point in bench.store.completed("s")}
    assert (len(points), points[2].noisy) == (4, True)
    assert told(bench)[2] == (3 * seconds(points[2].recipe, NARROW), None)
    assert sum(a.purpose == "replay" for a in bench.store.attempts("s")) == 1


def test_a_trial_that_cannot_be_timed_on_the_reference_class_is_told_an_estimate_and_on_no_front_there(
    bench: Bench, world: World
) -> None:
    def script(assignment: Assignment) -> Outcome:
        is_replay = assignment.replay is not None
        return failed("out_of_memory", "it does not fit") if is_replay and assignment.trial == 1 else world(assignment)

    bench.launch(script, trials=10, devices=1, wide=1)
    (attempt,) = [a for a in bench.store.attempts("s", 1) if a.purpose == "search"]
    elsewhere = WIDE if attempt.device_class == NARROW else NARROW
    assert 1 not in {point.trial for point in bench.store.completed("s", elsewhere)}
    estimated = {trial for trial, (_, how) in told(bench).items() if how is not None}
    assert estimated == ({1} if elsewhere == NARROW else set())
    assert bench.states() == {"COMPLETE": 10}


def test_where_the_replay_fails_a_disturbed_training_stands(bench: Bench, world: World) -> None:
    world.noisy_trainings = {2}
    bench.launch(lambda a: failed("bug", "no") if a.replay is not None else world(a), trials=4)
    points = {point.trial: point for point in bench.store.completed("s")}
    assert told(bench)[2] == (3 * seconds(points[2].recipe, NARROW), None)
    assert points[2].noisy


class TestFormats:
    """A class gets what it admits."""

    @pytest.fixture
    def space(self) -> Space:
        return replace(SPACE, axes={**SPACE.axes, "number_format": Choice(("fp32", "bf16"))})

    @pytest.mark.parametrize("poor", [NARROW, WIDE])
    def test_a_format_that_a_class_cannot_do_is_never_trained_or_timed_there(
        self, bench: Bench, world: World, poor: str
    ) -> None:
        bench.launch(
            world,
            trials=16,
            devices=1,
            wide=1,
            formats={poor: ["fp32"], NARROW: ["fp32"]} if poor == NARROW else {poor: ["fp32"]},
        )
        done = [a for a in bench.store.attempts("s") if a.outcome == "complete"]
        formats = {name: {a.recipe.number_format for a in done if a.device_class == name} for name in (NARROW, WIDE)}
        assert formats.pop(poor) == {"fp32"}
        assert list(formats.values()) == [{"fp32", "bf16"}]
        assert bench.states() == {"COMPLETE": 16}
        recipes = {a.trial: a.recipe for a in done}
        estimated = {trial for trial, (_, how) in told(bench).items() if how is not None}
        bf16 = {trial for trial, recipe in recipes.items() if recipe.number_format == "bf16"}
        assert estimated == (bf16 if poor == NARROW else set())

    def test_what_no_device_can_do_waits_and_the_launch_ends(self, bench: Bench, world: World) -> None:
        bench.launch(world, trials=10, devices=1, formats={NARROW: ["fp32"]})
        states = bench.states()
        assert states["COMPLETE"] + states["WAITING"] == 10
        assert any("no device here can do the number format bf16" in said for said in bench.notes.messages)


class _Fading(ScriptedFleet):
    """Loses a Device after some Attempts, without anything that was running."""

    after, fading = 0, ""

    def poll(self, seconds: float) -> list[object]:  # type: ignore[override]
        events = list(super().poll(seconds))
        if len(self.trained) >= self.after and self.fading:
            gone = next(d for d in self._devices if d.device_class == self.fading)
            if all(device != gone for device, _ in self._busy):
                self._devices = [d for d in self._devices if d != gone]
                _Fading.fading = ""
                events.append(Retired(gone, "it is gone"))
        return events


@pytest.mark.parametrize("gone", [NARROW, WIDE])
def test_a_class_that_disappears_costs_the_search_nothing(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.setattr("tests.fleet.conftest.ScriptedFleet", _Fading)
    monkeypatch.setattr(_Fading, "after", 9)
    monkeypatch.setattr(_Fading, "fading", gone)
    bench.launch(world, trials=16, devices=1, wide=1)
    assert bench.states() == {"COMPLETE": 16}
    assert set(trained(bench).values()) == {1}
    estimated = [how for _, how in told(bench).values() if how is not None]
    assert bool(estimated) == (gone == NARROW)


@pytest.mark.parametrize(
    ("owner", "point"), [(Search, "tell"), (Store, "believe"), (Replays, "takes"), (Replays, "settle")]
)
def test_a_launcher_that_dies_between_training_and_timing_loses_and_repeats_nothing(
    bench: Bench, world: World, dying_at: DyingAt, owner: object, point: str
) -> None:
    world.noisy_trainings = {0, 1, 2, 3}
    with dying_at(owner, point):
        bench.launch(world, trials=8, devices=1, wide=1)
    bench.launch(world, trials=8, devices=1, wide=1)
    assert bench.states() == {"COMPLETE": 8}
    assert set(trained(bench).values()) == {1}
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    assert told(bench) == {trial: (seconds(recipe, NARROW), None) for trial, recipe in recipes.items()}


def test_a_signal_leaves_untold_trials_to_the_next_launch(bench: Bench, world: World) -> None:
    def interrupted(assignment: Assignment) -> Outcome:
        if assignment.replay is not None:
            os.kill(os.getpid(), signal.SIGINT)
            return Outcome("stopped", message="stopped by the user")
        return world(assignment)

    assert bench.launch(interrupted, trials=8, devices=1, wide=1) == signal.SIGINT
    assert bench.states()["WAITING"] >= 1
    assert "RUNNING" not in bench.states()
    bench.launch(world, trials=8, devices=1, wide=1)
    assert bench.states() == {"COMPLETE": 8}
    assert set(trained(bench).values()) == {1}
