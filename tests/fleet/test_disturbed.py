"""What was disturbed while it was trained or timed is timed again, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paretosearch.fleet.base import Assignment
from paretosearch.fleet.replays import Replays
from paretosearch.outcome import Outcome, failed
from paretosearch.store import Store
from tests.fleet.conftest import Crash
from tests.fleet.worlds import NARROW, WIDE, World, recorded, seconds, shown, told, wide_device

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench


def test_a_disturbed_training_is_timed_again_before_it_is_told(bench: Bench, world: World) -> None:
    world.noisy_trainings = {2, 5}
    bench.launch(world, trials=8)
    recipes = {point.trial: point.recipe for point in bench.store.completed("s")}
    assert told(bench) == {trial: (seconds(recipe, NARROW), None) for trial, recipe in recipes.items()}
    assert sorted(a.trial for a in bench.store.attempts("s") if a.purpose == "replay") == [2, 5]
    assert not any(point.noisy for point in bench.store.completed("s"))
    assert bench.notes.in_doubt == [2, 5]


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


def test_where_the_replay_fails_a_disturbed_training_stands(bench: Bench, world: World) -> None:
    world.noisy_trainings = {2}
    bench.launch(lambda a: failed("bug", "no") if a.replay is not None else world(a), trials=4)
    points = {point.trial: point for point in bench.store.completed("s")}
    assert told(bench)[2] == (3 * seconds(points[2].recipe, NARROW), None)
    assert points[2].noisy


def test_a_replay_hears_that_its_training_was_disturbed(bench: Bench, world: World) -> None:
    world.noisy_trainings = {2}
    bench.launch(world, trials=4)
    [replayed] = [a for a in bench.fleet.trained if a.replay is not None]
    assert replayed.replay is not None
    assert (replayed.trial, replayed.replay.noisy) == (2, True)


@pytest.mark.parametrize("both", [False, True])
def test_a_replay_that_was_disturbed_on_another_class_is_made_once_more(bench: Bench, world: World, both: bool) -> None:
    def script(assignment: Assignment) -> Outcome | None:
        outcome = world(assignment)
        if assignment.replay is not None and not both:
            world.noisy_replays.discard(assignment.trial)
        return outcome

    world.noisy_replays = set(range(6))
    bench.launch(script, trials=6, devices=1, wide=1)
    assert set(world.replayed.values()) == {2}
    assert sorted(bench.notes.in_doubt) == sorted(trial for trial, _ in world.replayed)
    for name in (NARROW, WIDE):
        for point in bench.store.completed("s", name):
            wrong = 1.5 if both and world.replayed[point.trial, name] else 1.0
            assert (point.train_seconds, point.noisy) == (wrong * seconds(point.recipe, name), wrong > 1)
    by_trial = {point.trial: point.train_seconds for point in bench.store.completed("s", NARROW)}
    assert told(bench) == {trial: (known, None) for trial, known in by_trial.items()}


def test_a_disturbed_replay_is_taken_where_the_next_one_fails(bench: Bench, world: World) -> None:
    def script(assignment: Assignment) -> Outcome | None:
        again = assignment.replay is not None and any(trial == assignment.trial for trial, _ in world.replayed)
        return failed("bug", "no") if again else world(assignment)

    world.noisy_replays = set(range(6))
    bench.launch(script, trials=6, devices=1, wide=1)
    assert [len(bench.store.completed("s", name)) for name in (NARROW, WIDE)] == [6, 6]
    assert all(how is None for _, how in told(bench).values())


def test_a_launch_goes_on_with_a_replay_that_was_disturbed_once(bench: Bench, world: World) -> None:
    def script(assignment: Assignment) -> Outcome:
        if world.replayed:
            raise Crash
        return world(assignment)

    world.noisy_replays = set(range(4))
    with pytest.raises(Crash):
        bench.launch(script, trials=4, devices=1, wide=1)
    world.noisy_replays.clear()
    [disturbed] = world.replayed
    bench.launch(world, trials=4, devices=1, wide=1)
    assert world.replayed[disturbed] == 2
    assert not any(point.noisy for name in (NARROW, WIDE) for point in bench.store.completed("s", name))


def test_a_crash_behind_a_disturbed_replay_leaves_no_gap_in_what_is_noted_of_the_front(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(store: Store, study: str, trial: int, device_class: str) -> object:
        if any(a.purpose == "replay" and a.outcome for a in store.attempts(study, 0)):
            raise Crash
        return original(store, study, trial, device_class)

    original = Store.record_front
    world.noisy_trainings = world.noisy_replays = {0}
    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(Store, "record_front", dying)
        bench.launch(world, trials=1)
    bench.launch(world, trials=1)
    assert recorded(bench.store, NARROW) == shown(bench.store, NARROW) == {0}


def test_whoever_asks_for_times_again_gets_those_that_were_disturbed_each_time(bench: Bench, world: World) -> None:
    world.noisy_replays = set(range(4))
    bench.launch(world, trials=4, devices=1, wide=1)
    wrong = {point.trial for point in bench.store.front("s", WIDE).points if point.noisy}
    assert wrong
    for again in (False, True):
        replays = Replays("s", bench.store, bench.classes, share=0.0, again=again)
        replays.recover()
        tickets = []
        while (ticket := replays.spare(wide_device(0))) is not None:
            tickets.append(ticket.trial)
        assert wrong <= set(tickets) if again else not tickets
