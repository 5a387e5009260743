"""A store gives back what it was given."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from paretosearch.errors import StoreError
from paretosearch.outcome import SEQUENCES, Outcome, failed
from paretosearch.store import Counts, Store
from paretosearch.testing.store.builders import (
    CPU,
    GPU,
    complete,
    connected,
    epoch,
    full_outcome,
    new_study,
    recipe,
    study_record,
    train,
)

_HOSTILE = ("x'; DROP TABLE ps_attempt; --", 'a"b', "a;b", "%s :x ?", "naïve 🦉", "-- ", "a" * 10_000)


class RecordSuite:
    """Studies, devices and attempts."""

    def test_a_study_comes_back_as_it_was_added(self, store: Store) -> None:
        east = timezone(timedelta(hours=5, minutes=30))
        record = study_record("there and back", created=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=east))
        store.add_study(record)
        assert store.study("there and back") == record
        assert record in store.studies()

    def test_what_data_sets_hold_is_noted_once(self, store: Store) -> None:
        store.add_study(study_record("older", data_sets=None))
        record = store.study("older")
        assert record is not None
        assert record.data_sets is None
        one, other = ({"digest": digest, "images": {"train": 9}, "classes": ["a"]} for digest in ("1", "2"))
        for later, known in ({"x": one}, {"x": one}), ({"x": other, "y": other}, {"x": one, "y": other}):
            store.keep_data_sets("older", later)
            record = store.study("older")
            assert record is not None
            assert record.data_sets == known

    def test_the_time_zone_here_changes_no_moment(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        record = study_record("zones", created=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
        try:
            for zone in ("Asia/Kolkata", "America/New_York"):
                monkeypatch.setenv("TZ", zone)
                time.tzset()
                if zone == "Asia/Kolkata":
                    store.add_study(record)
                assert store.study("zones") == record
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_a_study_that_was_never_added_is_none(self, store: Store) -> None:
        assert store.study("never") is None

    def test_a_second_study_of_a_name_is_refused(self, store: Store) -> None:
        study = new_study(store)
        before = store.study(study)
        with pytest.raises(StoreError, match="already"):
            store.add_study(study_record(study, seed=99))
        assert store.study(study) == before

    def test_the_nearest_study_is_named_when_there_is_none_of_a_name(self, store: Store) -> None:
        study = new_study(store)
        with pytest.raises(StoreError, match=f"has no study '{study}x'.*did you mean"):
            store.completed(f"{study}x")

    def test_hostile_names_are_kept_as_they_are(self, store: Store) -> None:
        for name in _HOSTILE:
            store.add_study(study_record(name, text=name, versions={name: name}))
            record = store.study(name)
            assert record is not None
            assert (record.name, record.text, record.versions) == (name, name, {name: name})
            assert store.attempts(name) == ()

    def test_a_device_that_is_added_again_is_one_device(self, store: Store) -> None:
        study = new_study(store)
        moved = replace(GPU, index=3, host="there")
        store.add_device(moved)
        train(store, study, 0, complete(), moved)
        train(store, study, 1, complete(), CPU)
        assert store.devices(study) == (CPU, moved)

    def test_an_attempt_comes_back_as_it_ended(self, store: Store) -> None:
        study, outcome = new_study(store), full_outcome()
        start = datetime.now(UTC)
        attempt = train(store, study, 4, outcome, GPU)
        (record,) = store.attempts(study)
        assert (record.id, record.study, record.trial, record.number) == (attempt, study, 4, 1)
        assert (record.device, record.device_class) == (GPU.uuid, GPU.device_class)
        assert (record.recipe, record.digest, record.seed) == (recipe(seed=4), recipe().digest, 4)
        assert record.ended is not None
        assert start <= record.started <= record.ended <= datetime.now(UTC)
        assert record.outcome == outcome.status
        for field in fields(Outcome):
            if field.name not in ("status", *SEQUENCES):
                assert getattr(record, field.name) == getattr(outcome, field.name), field.name
        assert store.epochs(attempt) == outcome.epochs
        assert store.surgeries(attempt) == outcome.surgeries
        assert store.phases(attempt) == outcome.phases

    def test_changes_of_shape_are_listed_by_trial_for_results_alone(self, store: Store) -> None:
        study, outcome = new_study(store), full_outcome()
        train(store, study, 4, outcome, GPU)
        train(store, study, 5, replace(outcome, surgeries=()), GPU)
        train(store, study, 6, replace(failed("bug", "no"), surgeries=outcome.surgeries), GPU)
        assert store.surgeries_of(study, GPU.device_class) == {4: list(outcome.surgeries)}
        assert store.surgeries_of(study, "cuda:none") == {}

    def test_a_completed_trial_comes_back_as_a_point(self, store: Store) -> None:
        study, outcome = new_study(store), full_outcome()
        attempt = train(store, study, 4, outcome)
        (point,) = store.completed(study)
        assert (point.trial, point.attempt, point.device_class) == (4, attempt, CPU.device_class)
        assert (point.recipe, point.digest) == (recipe(seed=4), recipe().digest)
        for field in fields(point):
            if field.name not in ("trial", "attempt", "device_class", "recipe"):
                assert getattr(point, field.name) == getattr(outcome, field.name), field.name

    def test_an_attempt_runs_until_it_is_finished(self, store: Store) -> None:
        study = new_study(store)
        first = store.start_attempt(study, 0, CPU, recipe())
        second = store.start_attempt(study, 1, GPU, recipe())
        assert [a.id for a in store.running_attempts(study)] == [first, second]
        assert [(a.outcome, a.ended, a.device_seconds, a.counts) for a in store.attempts(study, 0)] == [
            (None, None, None, False)
        ]
        store.finish_attempt(first, failed("bug", "no", "Traceback"))
        assert [a.id for a in store.running_attempts(study)] == [second]

    def test_finishing_an_attempt_twice_changes_nothing(self, store: Store) -> None:
        study = new_study(store)
        attempt = train(store, study, 0, complete(10.0, 0.5, epochs=(epoch(1),)))
        before = store.attempts(study)
        assert not store.finish_attempt(attempt, complete(1.0, 0.9, epochs=(epoch(1), epoch(2))))
        assert not store.finish_attempt(attempt, failed("bug", "late"))
        assert store.attempts(study) == before
        assert store.epochs(attempt) == (epoch(1),)

    def test_an_attempt_that_was_never_started_cannot_be_finished(self, store: Store) -> None:
        with pytest.raises(StoreError, match="no attempt 2000000000"):
            store.finish_attempt(2_000_000_000, complete())

    def test_attempts_are_numbered_within_their_trial(self, store: Store) -> None:
        study = new_study(store)
        for trial in (0, 1, 0, 0, 1):
            train(store, study, trial, failed("infrastructure", "killed"))
        assert [(a.trial, a.number) for a in store.attempts(study)] == [(0, 1), (1, 1), (0, 2), (0, 3), (1, 2)]
        assert [a.number for a in store.attempts(study, 1)] == [1, 2]

    def test_the_first_complete_attempt_of_a_trial_is_its_result(self, store: Store) -> None:
        study = new_study(store)
        slow = store.start_attempt(study, 0, CPU, recipe())
        train(store, study, 0, failed("infrastructure", "killed"))
        first = train(store, study, 0, complete(10.0, 0.5))
        store.finish_attempt(slow, complete(1.0, 0.9))
        train(store, study, 0, complete(2.0, 0.8))
        elsewhere = train(store, study, 0, complete(3.0, 0.7), GPU)
        assert [p.attempt for p in store.completed(study)] == [first]
        assert [p.attempt for p in store.front(study).points] == [first]
        assert [p.attempt for p in store.completed(study, GPU.device_class)] == [elsewhere]
        assert [a.id for a in store.attempts(study) if a.counts] == [first, elsewhere]

    def test_text_that_no_database_can_hold_is_kept_as_far_as_it_can_be(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, Outcome("failed", "bug", "a\0b", "c\udc80d 🦉"))
        (record,) = store.attempts(study)
        assert (record.message, record.detail) == ("a?b", "c?d 🦉")

    @pytest.mark.parametrize(
        ("train_seconds", "accuracy"),
        [
            (float("nan"), 0.5),
            (float("inf"), 0.5),
            (-1.0, 0.5),
            (None, 0.5),
            (1.0, float("nan")),
            (1.0, 1.5),
            (1.0, -0.5),
            (1.0, None),
        ],
    )
    def test_impossible_objectives_are_refused_by_the_database_itself(
        self, store: Store, train_seconds: float, accuracy: float
    ) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, CPU, recipe())
        with pytest.raises(StoreError):
            store.finish_attempt(attempt, complete(train_seconds, accuracy, wall_seconds=1.0))
        assert [a.id for a in store.running_attempts(study)] == [attempt]

    @pytest.mark.parametrize(
        "outcome", [complete(parameters=2**63), complete(epochs=(epoch(1), epoch(1))), complete(noisy=None)]
    )
    def test_an_outcome_that_no_table_can_hold_is_refused_in_one_line(self, store: Store, outcome: Outcome) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, CPU, recipe())
        with pytest.raises(StoreError) as caught:
            store.finish_attempt(attempt, outcome)
        assert "\n" not in str(caught.value)
        assert [a.id for a in store.running_attempts(study)] == [attempt]

    def test_an_attempt_on_an_unknown_device_is_refused(self, store: Store) -> None:
        study = new_study(store)
        unknown = replace(CPU, uuid="unknown")
        with pytest.raises(StoreError, match=r"(?i)foreign key"):
            store.start_attempt(study, 0, unknown, recipe())

    def test_trials_are_counted_by_their_end(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, failed("infrastructure", "killed"))
        train(store, study, 0, complete())
        train(store, study, 0, failed("infrastructure", "confirmed in vain"))
        train(store, study, 1, failed("infrastructure", "killed"))
        train(store, study, 1, failed("diverged", "nan"))
        train(store, study, 2, failed("infrastructure", "killed"))
        store.start_attempt(study, 2, CPU, recipe())
        train(store, study, 3, Outcome("stopped"))
        train(store, study, 4, complete(), GPU)
        assert store.counts(study) == Counts(2, 1, 1, 1, 0, 0, {"infrastructure": 4, "diverged": 1})

    def test_a_trial_that_is_to_be_tried_again_is_not_counted_as_failed(self, store: Store) -> None:
        study = new_study(store)
        for trial, attempts in ((0, 1), (1, 2), (2, 3)):
            for _ in range(attempts):
                train(store, study, trial, failed("infrastructure", "killed"))
        assert store.counts(study) == Counts(0, 1, 0, 0, 0, 2, {"infrastructure": 6})

    def test_device_seconds_are_those_between_start_and_end(self, store: Store) -> None:
        study, seconds = new_study(store), [100.0]
        with connected(store.url) as engine:
            timed = Store(engine, clock=lambda: seconds[0])
            first = timed.start_attempt(study, 0, CPU, recipe())
            seconds[0] = 103.0
            second = timed.start_attempt(study, 1, GPU, recipe())
            seconds[0] = 110.0
            timed.finish_attempt(first, complete(5.0))
            assert timed.device_seconds(study) == 10.0
            timed.finish_attempt(second, failed("bug", "no"))
        assert store.device_seconds(study) == 17.0

    def test_an_attempt_of_an_earlier_process_kept_its_device_for_what_is_known(self, store: Store) -> None:
        study = new_study(store)
        with connected(store.url) as engine:
            earlier = Store(engine)
            attempts = [earlier.start_attempt(study, trial, CPU, recipe()) for trial in (0, 1)]
        store.finish_attempt(attempts[0], complete(5.0, wall_seconds=6.0))
        store.finish_attempt(attempts[1], failed("infrastructure", "the Launcher died"))
        assert store.device_seconds(study) == 6.0
