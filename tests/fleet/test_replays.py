"""One search over several classes of device: a true front for each, and nothing trained twice for it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from paretosearch.axis import Choice
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.replays import Replays
from paretosearch.outcome import Outcome, failed
from paretosearch.search import Search
from paretosearch.space import Space
from paretosearch.store import Store
from paretosearch.testing.fleet import complete
from tests.fleet.conftest import SPACE
from tests.fleet.worlds import NARROW, PHASE, WIDE, World, best, recorded, seconds, shown, told, trained

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, DyingAt


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
    monkeypatch.setattr("tests.fleet.worlds.gain", lambda _: 0.5)  # known after some pairs, and to be relied on
    bench.launch(world, trials=30)
    bench.launch(world, trials=30, devices=1, wide=1)  # another class comes to a study that is done
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    on_wide = {point.trial for point in bench.store.completed("s", WIDE)}
    assert best(WIDE, recipes) <= on_wide  # whatever the share
    assert on_wide < recipes.keys()


@pytest.mark.parametrize(("share", "spent", "has_time"), [(0.05, 4.9, True), (0.05, 5.1, False), (0.0, 0.0, False)])
def test_replays_have_time_within_their_share_of_all_that_was_spent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, share: float, spent: float, has_time: bool
) -> None:
    def device_seconds(_store: Store, _study: str, purpose: str | None = None) -> float:
        return spent if purpose == "replay" else 100.0

    bench.launch(lambda _: complete(1.0, 0.5), trials=1)
    monkeypatch.setattr(Store, "device_seconds", device_seconds)
    replays = Replays("s", bench.store, bench.classes, share=share)
    disturbed = replace(complete(1.0, 0.5), noisy=True, phases=(PHASE,))
    assert replays.believes_training(disturbed) == (not has_time)
    assert replays.believes_training(replace(disturbed, noisy=False))


def test_a_replay_that_is_taken_in_twice_is_counted_once(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Replays.settle

    def twice(*arguments: object) -> object:
        once(*arguments)  # type: ignore[arg-type]
        return once(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Replays, "settle", twice)
    bench.launch(world, trials=6, devices=1, wide=1)
    assert bench.replays.done == 6


def test_a_launch_that_continues_a_study_shows_the_front_of_each_class_at_once(bench: Bench, world: World) -> None:
    bench.launch(world, trials=6, devices=1, wide=1)
    bench.notes.fronts.clear()
    bench.launch(world, trials=7, devices=1, wide=1)
    assert [front.points[0].device_class for front in bench.notes.fronts[:2]] == [NARROW, WIDE]


def test_nothing_is_kept_of_what_was_timed(bench: Bench, world: World) -> None:
    bench.launch(world, trials=6, devices=1, wide=1)
    assert not bench.launcher._given


def test_a_replay_that_failed_on_another_class_costs_no_try_on_this_one(bench: Bench, world: World) -> None:
    lost = iter([True, True])

    def script(assignment: Assignment) -> Outcome | None:
        if assignment.replay is None or assignment.trial != 0:
            return world(assignment)
        if bench.fleet.device_of(assignment) == "cpu-test-1":
            return failed("bug", "no")
        return None if next(lost, False) else world(assignment)

    world.noisy_trainings = {0}
    bench.launch(script, trials=6, devices=1, wide=1)
    [trained_on] = [a.device_class for a in bench.store.attempts("s", 0) if a.purpose == "search"]
    assert trained_on == NARROW
    tried = [(a.device_class, a.outcome) for a in bench.store.attempts("s", 0) if a.purpose == "replay"]
    assert (WIDE, "failed") in tried[:-1]
    assert [outcome for name, outcome in tried if name == NARROW] == ["failed", "failed", "complete"]


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
            formats={NARROW: ["fp32", "bf16"], WIDE: ["fp32", "bf16"]} | {poor: ["fp32"]},
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


@pytest.mark.parametrize(
    ("owner", "point"),
    [
        (Search, "tell"),
        (Store, "finish_attempt"),
        (Store, "believe"),
        (Store, "record_front"),
        (Replays, "believes_training"),
        (Replays, "takes"),
        (Replays, "settle"),
    ],
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
    assert all(recorded(bench.store, name) == shown(bench.store, name) for name in (NARROW, WIDE))


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
