"""The Launcher loses nothing, trains nothing twice, and ends."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import optuna
import pytest

from paretosearch.errors import DataError, ParetosearchError, StoreAwayError
from paretosearch.fleet import patience, spool
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.space import Space
from paretosearch.store import Store, open_store
from paretosearch.testing.fleet import complete, cpu_device

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, DyingAt


def honest(assignment: Assignment) -> Outcome:
    """Longer trainings are better, more or less."""
    recipe = assignment.recipe
    return complete(
        10.0 * recipe.epochs + 100 / recipe.batch_size, 0.5 + 0.1 * recipe.epochs - recipe.batch_size / 10_000
    )


def test_a_study_ends_with_its_budget_and_every_trial_complete(bench: Bench) -> None:
    assert bench.launch(honest) is None
    assert bench.states() == {"COMPLETE": 8}
    assert len(bench.store.completed("s")) == 8
    assert list(spool.waiting(bench.folder)) == []


def test_a_finished_study_ends_at_once_and_trains_nothing(bench: Bench) -> None:
    bench.launch(honest)
    bench.launch(honest)
    assert bench.fleet.trained == []


def test_a_larger_budget_goes_on_from_there(bench: Bench) -> None:
    bench.launch(honest, trials=3)
    bench.launch(honest, trials=8)
    assert [a.trial for a in bench.fleet.trained] == [3, 4, 5, 6, 7]


def test_the_front_of_the_store_is_the_front_of_optuna(bench: Bench) -> None:
    bench.launch(honest, trials=20)
    study = optuna.load_study(study_name="s", storage=bench.url)
    done = [(t.number, *t.values) for t in study.get_trials(deepcopy=False)]
    best = {
        n
        for n, s, a in done
        if not any(s2 <= s and a2 >= a and ((s2, a2) != (s, a) or m < n) for m, s2, a2 in done if m != n)
    }
    assert {point.trial for point in bench.store.front("s").points} == best
    assert {trial for trial, _, on_front in bench.notes.finished_trials if on_front} >= best


@pytest.mark.parametrize("failure", ["out_of_memory", "diverged", "invalid", "bug"])
def test_a_recipes_own_failure_costs_its_trial_one_attempt(bench: Bench, failure: str) -> None:
    bench.launch(lambda a: failed(failure, "it did not work") if a.trial == 2 else honest(a))  # type: ignore[arg-type]
    assert bench.states() == {"COMPLETE": 7, "FAIL": 1}
    (attempt,) = bench.store.attempts("s", 2)
    assert (attempt.failure, attempt.message) == (failure, "it did not work")
    trial = optuna.load_study(study_name="s", storage=bench.url).trials[2]
    assert trial.user_attrs["failure"] == failure


def test_a_device_that_joins_gets_its_share(bench: Bench) -> None:
    def script(assignment: Assignment) -> Outcome:
        if assignment.trial == 1:
            bench.fleet.newcomers.append(cpu_device(5))
        return honest(assignment)

    bench.launch(script, devices=1)
    assert bench.states() == {"COMPLETE": 8}
    used = [attempt.device for attempt in bench.store.attempts("s")]
    assert used[:2] == ["cpu-test-0", "cpu-test-0"]
    assert used.count("cpu-test-5") >= 2
    assert [device.uuid for device in bench.store.devices("s")] == ["cpu-test-0", "cpu-test-5"]


def test_a_lost_worker_is_another_attempt_of_the_same_trial(bench: Bench) -> None:
    lost = iter([True, True])
    bench.launch(lambda a: None if a.trial == 1 and next(lost, False) else honest(a))
    assert bench.states() == {"COMPLETE": 8}
    assert [a.outcome for a in bench.store.attempts("s", 1)] == ["failed", "failed", "complete"]


def test_a_trial_whose_workers_die_before_they_begin_is_not_to_blame(bench: Bench) -> None:
    def script(assignment: Assignment) -> Outcome:
        if assignment.trial == 0:
            bench.fleet.starting = 5  # deaths of Workers of the next trials
        return honest(assignment)

    bench.launch(script, devices=1)
    assert bench.states() == {"COMPLETE": 8}
    assert [a.outcome for a in bench.store.attempts("s", 1)] == ["stopped"] * 5 + ["complete"]
    assert "trial 1 is tried again: before it had begun, the Worker was killed by SIGKILL" in bench.notes.messages


def test_a_trial_whose_workers_keep_dying_is_given_up_after_three_attempts(bench: Bench) -> None:
    bench.launch(lambda a: None if a.trial == 1 else honest(a))
    assert bench.states() == {"COMPLETE": 7, "FAIL": 1}
    assert len(bench.store.attempts("s", 1)) == 3


#: What a Worker says whose data set is gone.
GONE = Outcome("stopped", "data", "'folder:x': there is no such folder")


def test_a_machine_without_its_images_begins_nothing_more_and_every_trial_waits(bench: Bench) -> None:
    with pytest.raises(DataError) as error:
        bench.launch(lambda a: GONE if a.trial == 2 else honest(a))
    lost = "test has lost stripes since the launch began ('folder:x': there is no such folder)"
    assert str(error.value) == f"{lost}; bring the images back, and the same command goes on with every trial"
    assert bench.notes.messages == [f"{lost}; what is being trained goes on, and nothing more begins there"]
    assert bench.states() == {"COMPLETE": 3, "WAITING": 1}  # the other device was at one
    assert bench.store.counts("s").failures == {}
    assert bench.launch(honest) is None
    assert bench.states() == {"COMPLETE": 8}
    assert [(a.outcome, a.failure) for a in bench.store.attempts("s", 2)] == [("stopped", "data"), ("complete", None)]


def test_another_machine_goes_on_with_what_one_without_its_images_had(bench: Bench) -> None:
    def script(assignment: Assignment) -> Outcome:
        return GONE if bench.fleet.device_of(assignment) == "cpu-test-1" else honest(assignment)

    assert bench.launch(script, hosts=["here", "there"]) is None
    assert bench.states() == {"COMPLETE": 8}
    assert [a.device for a in bench.store.attempts("s") if a.failure == "data"] == ["cpu-test-1"]
    (first, again) = bench.notes.messages
    assert first.startswith("there has lost stripes since the launch began")
    assert again == f"trial 1 is tried again: {GONE.message}"


def test_what_a_device_has_lost_is_its_own_again_when_no_other_has_the_images(bench: Bench) -> None:
    lost = iter([True])

    def script(assignment: Assignment) -> Outcome | None:
        if bench.fleet.device_of(assignment) == "cpu-test-1":
            return GONE
        return None if assignment.trial == 0 and next(lost, False) else honest(assignment)

    assert bench.launch(script, trials=2, hosts=["here", "there"]) is None
    assert bench.states() == {"COMPLETE": 2}


def test_a_machine_that_comes_back_with_its_images_trains_again(bench: Bench) -> None:
    lost = iter([True])

    def script(assignment: Assignment) -> Outcome:
        if bench.fleet.device_of(assignment) == "cpu-test-1" and next(lost, False):
            bench.fleet.newcomers.append(replace(cpu_device(5), host="there"))
            return GONE
        return honest(assignment)

    assert bench.launch(script, hosts=["here", "there"]) is None
    assert bench.states() == {"COMPLETE": 8}
    used = [attempt.device for attempt in bench.store.attempts("s")]
    assert {"cpu-test-1", "cpu-test-5"} <= set(used[2:])


@pytest.mark.parametrize("point", ["finish_attempt", "delete"])
def test_a_launcher_that_dies_when_images_are_gone_counts_nothing_against_the_trial(
    bench: Bench, dying_at: DyingAt, point: str
) -> None:
    with dying_at(Store if point == "finish_attempt" else spool, point):
        bench.launch(lambda _: GONE, devices=1)
    bench.store = open_store(bench.url)
    assert bench.launch(honest) is None
    assert bench.states() == {"COMPLETE": 8}
    assert [(a.outcome, a.failure) for a in bench.store.attempts("s", 0)] == [("stopped", "data"), ("complete", None)]


def test_workers_are_told_what_the_images_were_when_the_study_was_launched(bench: Bench) -> None:
    bench.launch(honest, trials=1)
    bench.store.keep_data_sets("s", {"stripes": {"digest": "1", "images": {}, "classes": []}})
    bench.launch(honest, trials=2)
    assert [a.data_digest for a in bench.fleet.trained] == ["1"]


def test_a_signal_stops_asking_and_the_next_launch_finishes(bench: Bench) -> None:
    def interrupted(assignment: Assignment) -> Outcome:
        if assignment.trial == 3:
            os.kill(os.getpid(), signal.SIGINT)
            return Outcome("stopped", message="stopped by the user")
        return honest(assignment)

    assert bench.launch(interrupted) == signal.SIGINT
    assert bench.states().keys() == {"COMPLETE", "WAITING"}
    assert bench.launch(honest) is None
    assert bench.states() == {"COMPLETE": 8}
    assert [a.outcome for a in bench.store.attempts("s", 3)] == ["stopped", "complete"]


def test_a_launch_that_continues_a_study_says_what_there_is_of_it(bench: Bench) -> None:
    def interrupted(assignment: Assignment) -> Outcome:
        if assignment.trial == 3:
            os.kill(os.getpid(), signal.SIGINT)
            return Outcome("stopped", message="stopped by the user")
        return honest(assignment)

    bench.launch(honest, trials=1)
    assert bench.notes.messages == []
    bench.launch(interrupted, devices=1)
    bench.launch(honest)
    bench.launch(honest, trials=9)
    bench.launch(honest, trials=9)  # with nothing left to do
    said = [line for line in bench.notes.messages if line.startswith("continuing")]
    assert said == [
        "continuing study 's': 1 of 8 trials are done",
        "continuing study 's': 3 of 8 trials are done, 1 is tried again",
        "continuing study 's': 8 of 9 trials are done",
    ]


class Crash(BaseException):
    """The Launcher dies here."""


@pytest.mark.parametrize("point", ["ask", "start_attempt", "finish_attempt", "tell", "record_front", "delete"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_launcher_that_dies_anywhere_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, point: str, after: bool
) -> None:
    from paretosearch.search import Search

    owner = spool if point == "delete" else Search if point in ("ask", "tell") else Store
    original, calls = getattr(owner, point), []

    def dying(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 3 and not after:
            raise Crash
        result = original(*arguments, **options)
        if len(calls) == 3:
            raise Crash
        return result

    monkeypatch.setattr(owner, point, dying)
    with pytest.raises(Crash):
        bench.launch(honest)
    monkeypatch.undo()
    bench.store = open_store(bench.url)
    bench.launch(honest)
    assert bench.states() == {"COMPLETE": 8}
    complete_ones = [a for a in bench.store.attempts("s") if a.outcome == "complete"]
    assert len({a.trial for a in complete_ones}) == len(complete_ones) == bench.states()["COMPLETE"]
    assert not bench.store.running_attempts("s")
    members = {p.trial for p in bench.store.front("s").points}
    inside: set[int] = set()
    for event in bench.store.front_events("s"):
        (inside.add if event.kind == "entered" else inside.discard)(event.trial)
    assert inside == members


def test_wishes_are_heard_while_the_database_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def away(*_: object) -> bool:
        calls.append(1)
        if len(calls) in (2, 3):
            os.kill(os.getpid(), signal.SIGTERM)
        raise StoreAwayError("the server restarts")

    monkeypatch.setattr(Store, "finish_attempt", away)
    monkeypatch.setattr(patience, "AGAIN_SECONDS", 0.01)
    assert bench.launch(honest) == signal.SIGTERM
    said = bench.notes.messages
    assert "stopping after the running epochs; Ctrl-C again stops now" in said
    assert said[-1] == "left while the database was away: the server restarts"
    monkeypatch.undo()
    assert bench.launch(honest) is None
    assert bench.states() == {"COMPLETE": 8}


def test_a_database_that_stays_away_is_given_up_with_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> bool:
        raise StoreAwayError("the server restarts")

    monkeypatch.setattr(Store, "finish_attempt", away)
    monkeypatch.setattr(patience, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(patience, "WAIT_SECONDS", 0.05)
    with pytest.raises(StoreAwayError) as caught:
        bench.launch(honest)
    assert str(caught.value) == "gave up after 0 minutes; the same command continues: the server restarts"
    assert caught.value.exit_code == 69
    waits = [line for line in bench.notes.messages if "for the database" in line]
    assert waits == ["waiting up to 0 minutes for the database: the server restarts"]
    monkeypatch.undo()
    assert bench.launch(honest) is None
    assert bench.states() == {"COMPLETE": 8}


def test_trials_that_fail_by_no_fault_of_their_own_end_the_launch(bench: Bench) -> None:
    with pytest.raises(
        ParetosearchError, match=r"8 trials in a row failed by an error .*, \d+, by 'DataError: it is gone'"
    ):
        bench.launch(
            lambda a: honest(a) if a.trial < 2 else failed("infrastructure", "DataError: it is gone"), trials=20
        )
    lost = bench.states()["FAIL"]
    assert lost in (8, 9)  # the other device may be at one as well
    assert "RUNNING" not in bench.states()
    bench.launch(honest, trials=20)
    assert bench.states() == {"COMPLETE": 20 - lost, "FAIL": lost}


def test_what_failed_on_one_device_is_tried_on_another(bench: Bench) -> None:
    def script(assignment: Assignment) -> Outcome | None:
        sick = failed("infrastructure", "RuntimeError: CUDA error: uncorrectable ECC error encountered")
        return sick if bench.fleet.device_of(assignment) == "cpu-test-0" else honest(assignment)

    bench.launch(script)
    assert bench.states() == {"COMPLETE": 8}


def test_device_hours_end_a_study(bench: Bench) -> None:
    bench.launch(honest, trials=None, hours=1e-9)
    assert bench.states()["COMPLETE"] <= 3


def test_a_genome_without_a_recipe_fails_its_trial_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from paretosearch.errors import RecipeError

    original = Space.recipe

    def picky(self: Space, genome: dict[str, object]) -> Recipe:
        recipe = original(self, genome)  # type: ignore[arg-type]
        if recipe.epochs == 2:
            raise RecipeError("two epochs are not wanted here")
        return recipe

    monkeypatch.setattr(Space, "recipe", picky)
    bench.launch(honest, trials=12)
    states = bench.states()
    assert states["FAIL"] >= 1
    assert states["FAIL"] + states["COMPLETE"] == 12
    assert "two epochs are not wanted here" in " ".join(bench.notes.messages)
