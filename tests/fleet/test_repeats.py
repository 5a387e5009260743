"""What may be on the front is trained again with other seeds, when the search is done and inside its hours."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from paretosearch.errors import DataError
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.checkpoints import files_of
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.launcher import Launcher
from paretosearch.fleet.repeats import Repeats
from paretosearch.outcome import Outcome, failed
from paretosearch.store import MOST_ATTEMPTS, AttemptRecord, Store, open_store, unsettled
from paretosearch.store.engine import open_engine
from paretosearch.testing.fleet import ScriptedFleet, complete, cpu_device

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, DyingAt

#: Enough for a front of more than one.
TRIALS = 6


def honest(assignment: Assignment) -> Outcome:
    """Longer trainings are better by far, and among equally long ones those of larger batches are faster and better."""
    recipe = assignment.recipe
    return complete(100.0 * recipe.epochs - recipe.batch_size / 100, 0.2 * recipe.epochs + recipe.batch_size / 10_000)


def repeats_of(bench: Bench) -> list[AttemptRecord]:
    return [attempt for attempt in bench.store.attempts("s") if attempt.purpose == "confirm"]


def test_repeats_come_after_the_search_with_other_seeds_and_a_look_at_the_test_split(bench: Bench) -> None:
    bench.launch(honest, trials=TRIALS, devices=1, repeats=2)
    searched, repeated = bench.fleet.trained[:TRIALS], bench.fleet.trained[TRIALS:]
    assert [(a.trial, a.purpose, a.with_test) for a in searched] == [(n, "search", False) for n in range(TRIALS)]
    assert {(a.purpose, a.with_test) for a in repeated} == {("confirm", True)}
    members = {point.trial for point in bench.store.front("s").points}
    assert len(members) > 1
    repeats = Counter(a.trial for a in repeated)
    assert members <= repeats.keys()
    assert len(repeats) < TRIALS  # some have no chance
    assert set(repeats.values()) == {2}
    assert all(a.recipe.digest == searched[a.trial].recipe.digest for a in repeated)
    seeds = [(a.trial, a.recipe.seed) for a in bench.fleet.trained]
    assert len(set(seeds)) == len(seeds)


def test_repeats_change_neither_results_nor_the_front(bench: Bench) -> None:
    bench.launch(honest, trials=TRIALS)
    before = bench.store.completed("s"), bench.store.front("s"), bench.store.front_events("s"), bench.store.counts("s")
    bench.launch(lambda _: complete(0.1, 0.99), trials=TRIALS, repeats=2)
    after = bench.store.completed("s"), bench.store.front("s"), bench.store.front_events("s"), bench.store.counts("s")
    assert before == after
    assert bench.states() == {"COMPLETE": TRIALS}
    assert {(r.train_seconds, r.accuracy) for r in bench.store.repeats("s")} == {(0.1, 0.99)}
    assert not any(on_front for _, _, on_front in bench.notes.finished_trials[TRIALS:])


def test_a_study_that_has_its_repeats_ends_at_once(bench: Bench) -> None:
    bench.launch(honest, trials=TRIALS, repeats=2)
    bench.launch(honest, trials=TRIALS, repeats=2)
    assert bench.fleet.trained == []


def test_repeats_end_with_the_hours_of_the_study_and_use_those_that_the_search_has_left(bench: Bench) -> None:
    seconds = [0.0]
    bench.store = Store(open_engine(bench.url), clock=lambda: seconds[0])

    def an_hour_long(assignment: Assignment) -> Outcome:
        seconds[0] += 3600
        return honest(assignment)

    bench.launch(an_hour_long, trials=None, devices=1, hours=4, repeats=9, all_hours=6)
    assert [a.purpose for a in bench.fleet.trained] == ["search"] * 4 + ["confirm"] * 2
    assert bench.store.device_seconds("s") == 6 * 3600
    bench.launch(an_hour_long, trials=None, devices=1, hours=4, repeats=9, all_hours=6)
    assert bench.fleet.trained == []


def test_a_lost_repeat_is_tried_again_with_its_seed(bench: Bench) -> None:
    lost = iter([True])
    bench.launch(
        lambda a: None if a.purpose == "confirm" and next(lost, False) else honest(a), trials=1, devices=1, repeats=2
    )
    first, other, again = repeats_of(bench)  # what was lost is tried a little later
    assert [a.outcome for a in (first, other, again)] == ["failed", "complete", "complete"]
    assert first.seed == again.seed != other.seed
    assert any("trial 0 is tried again" in message for message in bench.notes.messages)


def test_a_repeat_without_its_images_is_trained_with_its_seed_when_they_are_back(bench: Bench) -> None:
    bench.launch(honest, trials=1)
    with pytest.raises(DataError, match="has lost stripes since the launch began"):
        bench.launch(lambda _: Outcome("stopped", "data", "it is gone"), trials=1, devices=1, repeats=1)
    bench.launch(honest, trials=1, repeats=1)
    assert [(a.outcome, a.failure) for a in repeats_of(bench)] == [("stopped", "data"), ("complete", None)]
    assert len({a.seed for a in repeats_of(bench)}) == 1


def test_repeats_whose_workers_keep_dying_are_given_up_after_three_attempts(bench: Bench) -> None:
    bench.launch(lambda a: None if a.purpose == "confirm" else honest(a), trials=1, repeats=2)
    tries = Counter(attempt.seed for attempt in repeats_of(bench))
    assert list(tries.values()) == [MOST_ATTEMPTS, MOST_ATTEMPTS]
    assert bench.states() == {"COMPLETE": 1}
    bench.launch(honest, trials=1, repeats=2)
    assert bench.fleet.trained == []


def test_a_repeat_that_fails_is_not_asked_for_again(bench: Bench) -> None:
    bench.launch(lambda a: failed("bug", "no") if a.purpose == "confirm" else honest(a), trials=1, repeats=2)
    assert [a.outcome for a in repeats_of(bench)] == ["failed", "failed"]
    assert len({a.seed for a in repeats_of(bench)}) == 2
    assert bench.states() == {"COMPLETE": 1}
    bench.launch(honest, trials=1, repeats=2)
    assert bench.fleet.trained == []


@pytest.mark.parametrize("point", ["finish_attempt", "delete"])
def test_a_repeat_that_was_trained_when_the_launcher_died_is_kept(bench: Bench, dying_at: DyingAt, point: str) -> None:
    bench.launch(honest, trials=1)
    with dying_at(Store if point == "finish_attempt" else spool, point):
        bench.launch(honest, trials=1, devices=1, repeats=1)
    bench.store = open_store(bench.url)
    bench.launch(honest, trials=1, repeats=1)
    assert bench.fleet.trained == []
    assert [(a.outcome, a.counts) for a in repeats_of(bench)] == [("complete", False)]
    assert list(spool.waiting(bench.folder)) == []


def test_a_repeat_that_ran_when_the_launcher_died_is_asked_for_again(bench: Bench, dying_at: DyingAt) -> None:
    bench.launch(honest, trials=1)
    with dying_at(spool, "write"):
        bench.launch(honest, trials=1, devices=1, repeats=1)
    bench.store = open_store(bench.url)
    bench.launch(honest, trials=1, repeats=1)
    assert [a.outcome for a in repeats_of(bench)] == ["stopped", "complete"]


def test_no_seed_is_repeated_twice_after_a_stop_between_two_repeats(bench: Bench, dying_at: DyingAt) -> None:
    def first_is_longer(assignment: Assignment) -> Outcome:
        outcome = honest(assignment)
        (epoch,) = outcome.epochs
        is_first = assignment is bench.fleet.trained[0]
        return replace(outcome, epochs=(epoch, replace(epoch, epoch=2))) if is_first else outcome

    bench.launch(honest, trials=1)
    with dying_at(spool, "delete"):  # at the end of the second
        bench.launch(first_is_longer, trials=1, devices=2, repeats=2)
    bench.store = open_store(bench.url)
    bench.launch(honest, trials=1, repeats=2)
    assert [a.outcome for a in repeats_of(bench)] == ["stopped", "complete", "complete"]
    assert len({a.seed for a in repeats_of(bench) if a.outcome == "complete"}) == 2


def test_a_search_that_was_stopped_keeps_its_checkpoints_while_its_results_are_confirmed(bench: Bench) -> None:
    def interrupted(assignment: Assignment) -> Outcome:
        if assignment.trial == 4:
            os.kill(os.getpid(), signal.SIGINT)
            return Outcome("stopped", message="stopped by the user")
        return honest(assignment)

    bench.launch(interrupted, trials=TRIALS, devices=1)
    stopped = bench.store.attempts("s", 4)[-1]
    for trial in (1, 4):  # of which the first has ended
        for path in files_of(bench.folder, trial, stopped.seed):
            path.touch()
    fleet = ScriptedFleet([cpu_device()], bench.folder, honest)
    classes = Classes(cpu_device().device_class, fleet.devices)
    repeats = Repeats("s", bench.store, 1, classes)
    Launcher("s", [repeats], bench.store, fleet, bench.folder, bench.notes, classes).run()
    assert fleet.trained
    assert {path.name for path in bench.folder.glob("checkpoint-*")} == {
        path.name for path in files_of(bench.folder, 4, stopped.seed)
    }


def attempt_of(outcome: str | None, failure: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(trial=0, seed=1, purpose="search", outcome=outcome, failure=failure)


LOST = attempt_of("failed", "infrastructure")


@pytest.mark.parametrize(
    ("tries", "is_open"),
    [
        ([attempt_of("stopped")], True),
        ([attempt_of(None)], True),
        ([LOST, attempt_of("stopped")], True),
        ([LOST] * MOST_ATTEMPTS, False),
        ([attempt_of("stopped"), attempt_of("failed", "diverged")], False),
        ([attempt_of("stopped"), attempt_of("complete")], False),
        ([attempt_of("dominated")], False),
    ],
)
def test_a_training_is_open_until_it_ends_or_is_given_up(tries: list[AttemptRecord], is_open: bool) -> None:
    assert (unsettled(tries) == {(0, 1): tries[-1]}) == is_open
