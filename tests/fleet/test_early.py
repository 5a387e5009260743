"""A training that cannot reach the front any more is cut short, on record, and never taken for a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
import pytest

from paretosearch.axis import Real
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import EpochResult, Outcome
from paretosearch.search import Search, Stopper, stopping
from paretosearch.search.stopping import LEAST_CURVES
from paretosearch.space import Space
from paretosearch.store import Store, open_store

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench, DyingAt

#: The first trial of which something is known before it ends.
DOOMED = LEAST_CURVES


@pytest.fixture
def space() -> Space:
    fixed = {"dataset": "stripes", "network": "convnet", "seed": 0, "pooling": "native", "epochs": 4}
    return Space(fixed={**fixed, "schedule": "one_cycle"}, axes={"learning_rate": Real(0.01, 1.0, log=True)})


def trained(seconds: float = 1.0, error: float = 1.0) -> Outcome:
    """Make the Outcome of four epochs of so many seconds, with an error that halves every other epoch."""
    curve = [(seconds * n, 1 - 0.4 * error * 2 ** (-n / 2)) for n in range(1, 5)]
    epochs = [EpochResult(n, s, a, 0.5, 0.1, 32, 1000, 2000, 0.01, 0.001) for n, (s, a) in enumerate(curve, start=1)]
    last = epochs[-1]
    return Outcome(
        "complete", None, "", "", last.train_seconds, last.train_seconds, last.accuracy, epochs=tuple(epochs)
    )


def hopeless_at_last(assignment: Assignment) -> Outcome:
    """All trainings are alike until enough are known; from then on they are slower and worse by far."""
    return trained(10.0, 2.0) if assignment.trial >= DOOMED or assignment.with_test else trained()


def stopper(settled: int = 0) -> Stopper:
    return Stopper(7, lambda _: settled)


@pytest.fixture(autouse=True)
def _nobody_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AUDIT_SHARE", 0.0)


def trial_of(bench: Bench, number: int) -> optuna.trial.FrozenTrial:
    return optuna.load_study(study_name="s", storage=bench.url).trials[number]


def test_a_doomed_trial_is_cut_and_told_as_pruned(bench: Bench) -> None:
    bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1, stopper=stopper())
    assert bench.states() == {"COMPLETE": DOOMED, "PRUNED": 1}
    (attempt,) = bench.store.attempts("s", DOOMED)
    assert (attempt.outcome, attempt.train_seconds, attempt.counts) == ("dominated", 20.0, False)
    assert attempt.message == "its best ending, 80.0 % in 40 s, is dominated by trial 0"
    assert [result.epoch for result in bench.store.epochs(attempt.id)] == [1, 2]  # the second was begun by then
    assert trial_of(bench, DOOMED).user_attrs == {"digest": attempt.digest, "message": attempt.message}
    assert bench.notes.finished_trials[-1] == (DOOMED, "dominated", False)
    assert len(bench.store.completed("s")) == DOOMED
    assert list(spool.waiting(bench.folder)) == []


def test_why_a_trial_was_cut_is_kept(bench: Bench) -> None:
    bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1, stopper=stopper())
    (attempt,) = bench.store.attempts("s", DOOMED)
    (decision,) = bench.store.stop_decisions("s")
    assert (decision.attempt, decision.trial, decision.epoch) == (attempt.id, DOOMED, 1)
    assert (decision.train_seconds, decision.least_seconds) == pytest.approx((10.0, 40.0))
    assert decision.most_accuracy == pytest.approx(0.8)
    assert (decision.dominated_by, decision.curves, decision.audited) == (0, DOOMED, False)
    assert attempt.started <= decision.moment <= (attempt.ended or attempt.started)


def test_an_audited_trial_runs_on_and_its_decision_is_kept_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AUDIT_SHARE", 1.0)
    bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1, stopper=stopper())
    assert bench.states() == {"COMPLETE": DOOMED + 1}
    (attempt,) = bench.store.attempts("s", DOOMED)
    assert len(bench.store.epochs(attempt.id)) == 4
    (decision,) = bench.store.stop_decisions("s")
    assert (decision.attempt, decision.epoch, decision.audited) == (attempt.id, 1, True)


def test_a_trial_of_which_no_epoch_can_be_saved_is_let_be(bench: Bench) -> None:
    bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1, stopper=stopper(settled=3))
    assert bench.states() == {"COMPLETE": DOOMED + 1}
    assert bench.store.stop_decisions("s") == ()


def test_without_a_stopper_every_trial_runs_to_its_end(bench: Bench) -> None:
    bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1)
    assert bench.states() == {"COMPLETE": DOOMED + 1}
    assert bench.store.stop_decisions("s") == ()


def test_a_doomed_trial_whose_worker_was_lost_is_judged_again(bench: Bench) -> None:
    lost = iter([True])
    bench.launch(
        lambda a: None if a.trial == DOOMED and next(lost, False) else hopeless_at_last(a),
        trials=DOOMED + 1,
        devices=1,
        stopper=stopper(),
    )
    assert [a.outcome for a in bench.store.attempts("s", DOOMED)] == ["failed", "dominated"]
    assert bench.states() == {"COMPLETE": DOOMED, "PRUNED": 1}


def test_a_repeat_is_never_cut(bench: Bench) -> None:
    bench.launch(hopeless_at_last, trials=DOOMED, devices=1, stopper=stopper(), repeats=1)
    repeats = [a for a in bench.store.attempts("s") if a.purpose == "confirm"]
    assert repeats
    assert {(a.outcome, len(bench.store.epochs(a.id))) for a in repeats} == {("complete", 4)}
    assert bench.store.stop_decisions("s") == ()


POINTS = {"finish_attempt": Store, "tell_dominated": Search, "delete": spool}


@pytest.mark.parametrize("point", POINTS)
def test_a_cut_trial_whose_launcher_died_is_pruned_by_the_next_launch_and_not_trained_again(
    bench: Bench, dying_at: DyingAt, point: str
) -> None:
    bench.launch(hopeless_at_last, trials=DOOMED, devices=1)
    with dying_at(POINTS[point], point):
        bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1, stopper=stopper())
    assert list(spool.waiting(bench.folder))
    bench.store = open_store(bench.url)
    bench.launch(hopeless_at_last, trials=DOOMED + 1, devices=1)
    assert bench.fleet.trained == []
    assert bench.states() == {"COMPLETE": DOOMED, "PRUNED": 1}
    (attempt,) = bench.store.attempts("s", DOOMED)
    assert attempt.outcome == "dominated"
    assert trial_of(bench, DOOMED).user_attrs == {"digest": attempt.digest, "message": attempt.message}
    assert [decision.attempt for decision in bench.store.stop_decisions("s")] == [attempt.id]
    assert list(spool.waiting(bench.folder)) == []
