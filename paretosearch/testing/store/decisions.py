"""A store keeps apart what was searched, what was repeated and what was stopped early."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from paretosearch.device import Device
from paretosearch.errors import StoreError
from paretosearch.outcome import Outcome, failed
from paretosearch.store import Counts, Repeat, StopDecision, Store
from paretosearch.testing.store.builders import CPU, GPU, complete, epoch, new_study, recipe, train

DOMINATED = Outcome("dominated", None, "trial 0 is better", "", 3.0, epochs=(epoch(1), epoch(2)))


def repeat(store: Store, study: str, trial: int, seed: int, outcome: Outcome, device: Device = CPU) -> int:
    """Start an attempt that repeats a result, and finish it."""
    attempt = store.start_attempt(study, trial, device, recipe(seed=seed), "confirm")
    assert store.finish_attempt(attempt, outcome)
    return attempt


def decision(attempt: int, trial: int) -> StopDecision:
    """Make a decision in which every value is another."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    return StopDecision(attempt, trial, 2, 3.0, 12.5, 0.625, 71, 9, True, moment)


class DecisionSuite:
    """Repeats of results, and early stops."""

    def test_an_attempt_is_made_for_the_search_unless_it_is_said_to_repeat(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete())
        store.start_attempt(study, 0, CPU, recipe(), "confirm")
        assert [(a.number, a.purpose) for a in store.attempts(study)] == [(1, "search"), (2, "confirm")]

    @pytest.mark.parametrize("device", [CPU, GPU], ids=["same class", "other class"])
    def test_a_repeat_is_never_the_result_of_its_trial(self, store: Store, device: Device) -> None:
        study = new_study(store)
        train(store, study, 0, failed("infrastructure", "killed"))
        repeat(store, study, 0, 11, complete(1.0, 0.9), device)
        result = train(store, study, 0, complete(10.0, 0.5))
        repeat(store, study, 0, 12, complete(1.0, 0.9), device)
        assert [a.id for a in store.attempts(study) if a.counts] == [result]
        assert [p.attempt for p in store.completed(study)] == [result]
        assert [p.attempt for p in store.front(study).points] == [result]
        assert store.completed(study, GPU.device_class) == ()
        assert store.front(study, GPU.device_class).points == ()
        assert [r.seed for r in store.repeats(study, device.device_class)] == [11, 12]

    def test_repeats_change_nothing_about_how_trials_are_counted(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete())
        train(store, study, 1, failed("diverged", "nan"))
        repeat(store, study, 0, 11, failed("bug", "no"))
        repeat(store, study, 1, 12, complete())
        store.start_attempt(study, 2, CPU, recipe(), "confirm")
        assert store.counts(study) == Counts(1, 1, 0, 0, 0, 0, {"diverged": 1})

    def test_a_dominated_trial_is_counted_as_such_and_has_no_result(self, store: Store) -> None:
        study = new_study(store)
        attempt = train(store, study, 0, DOMINATED)
        train(store, study, 1, failed("infrastructure", "killed"))
        train(store, study, 1, DOMINATED)
        assert store.counts(study) == Counts(0, 0, 0, 0, 2, 0, {"infrastructure": 1})
        assert store.completed(study) == ()
        record, *_ = store.attempts(study, 0)
        assert (record.outcome, record.message, record.failure) == ("dominated", DOMINATED.message, None)
        assert (record.train_seconds, record.counts) == (3.0, False)
        assert store.epochs(attempt) == DOMINATED.epochs

    def test_epochs_of_early_ends_are_counted_for_a_whole_study(self, store: Store) -> None:
        study, other = new_study(store), new_study(store)
        early = [train(store, study, trial, DOMINATED) for trial in (0, 1)]
        train(store, study, 2, complete(epochs=DOMINATED.epochs))
        train(store, other, 0, DOMINATED)
        assert store.early_epochs(study) == dict.fromkeys(early, len(DOMINATED.epochs))
        with pytest.raises(StoreError, match="no study"):
            store.early_epochs(f"{study}?")

    def test_repeats_come_back_in_order_for_their_class_of_device(self, store: Store) -> None:
        study, other = new_study(store), new_study(store)
        for trial in (0, 1):
            train(store, study, trial, complete())
        repeat(store, study, 1, 21, complete(2.0, 0.75, test_accuracy=0.5))
        repeat(store, study, 0, 11, complete(3.0, 0.625))
        repeat(store, study, 0, 12, failed("infrastructure", "killed"))
        repeat(store, study, 0, 13, complete(4.0, 0.25), GPU)
        repeat(store, other, 0, 14, complete())
        store.start_attempt(study, 0, CPU, recipe(seed=15), "confirm")
        assert store.repeats(study) == (Repeat(1, 21, 2.0, 0.75, 0.5), Repeat(0, 11, 3.0, 0.625, None))
        assert store.repeats(study, GPU.device_class) == (Repeat(0, 13, 4.0, 0.25, None),)

    def test_estimates_are_the_means_of_the_repeats_where_there_are_any(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete(10.0, 0.9))
        train(store, study, 1, complete(1.0, 0.1))
        train(store, study, 0, complete(5.0, 0.75), GPU)
        for seed, accuracy in ((11, 0.5), (12, 0.75)):
            repeat(store, study, 0, seed, complete(8.0, accuracy, test_accuracy=0.25))
        fast, slow = store.estimates(study)
        assert (fast.point.trial, fast.repeats, fast.train_seconds, fast.accuracy) == (1, 0, 1.0, 0.1)
        assert (slow.point.trial, slow.repeats, slow.train_seconds, slow.accuracy) == (0, 2, 8.0, 0.625)
        assert (slow.point.accuracy, slow.test_accuracy) == (0.9, 0.25)
        (elsewhere,) = store.estimates(study, GPU.device_class)
        assert (elsewhere.repeats, elsewhere.train_seconds) == (0, 5.0)

    def test_seconds_of_repeats_are_spent_by_their_study(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete())
        before = store.device_seconds(study)
        repeat(store, study, 0, 11, complete())
        assert store.device_seconds(study) > before

    def test_curves_are_those_of_the_results_of_the_studys_class_of_device(self, store: Store) -> None:
        study = new_study(store)
        short, long = (epoch(1),), (epoch(1), epoch(2), epoch(3))
        train(store, study, 1, complete(epochs=long))
        train(store, study, 0, failed("infrastructure", "killed"))
        train(store, study, 0, complete(epochs=short))
        repeat(store, study, 0, 11, complete(epochs=long))
        train(store, study, 2, complete(epochs=long), GPU)
        train(store, study, 3, DOMINATED)
        expected = {0: short, 1: long}
        assert store.curves(study) == {
            trial: [(result.train_seconds, result.accuracy) for result in epochs] for trial, epochs in expected.items()
        }

    def test_decisions_come_back_as_they_were_noted_in_the_order_of_their_attempts(self, store: Store) -> None:
        study, other = new_study(store), new_study(store)
        attempts = [store.start_attempt(study, trial, CPU, recipe()) for trial in (4, 2)]
        elsewhere = store.start_attempt(other, 5, CPU, recipe())
        first, second = decision(attempts[0], 4), replace(decision(attempts[1], 2), audited=False)
        for noted in (second, first, decision(elsewhere, 5)):
            store.record_stop(noted.attempt, noted)
        assert store.stop_decisions(study) == (first, second)

    def test_an_attempt_keeps_its_first_decision(self, store: Store) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, CPU, recipe())
        store.record_stop(attempt, decision(attempt, 0))
        store.record_stop(attempt, replace(decision(attempt, 0), epoch=3))
        assert store.stop_decisions(study) == (decision(attempt, 0),)

    def test_a_decision_about_an_attempt_that_was_never_started_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match=r"(?i)foreign key"):
            store.record_stop(2_000_000_000, decision(2_000_000_000, 0))
