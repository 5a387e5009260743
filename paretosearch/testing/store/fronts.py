"""A store's fronts are the true ones, now and in its history."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from paretosearch.device import Device
from paretosearch.outcome import Outcome, failed
from paretosearch.store import FrontEvent, Store, front_of, open_store
from paretosearch.testing.store.builders import CPU, GPU, complete, connected, new_study, recipe, train


@dataclass(frozen=True)
class Result:
    """A training as a test generates it; without seconds it failed."""

    device: Device
    train_seconds: float | None
    accuracy: float

    @property
    def outcome(self) -> Outcome:
        """What the training gave."""
        return failed("diverged", "nan") if self.train_seconds is None else complete(self.train_seconds, self.accuracy)


#: Few values, so that ties and duplicates are common; some of them apart by the last bit only.
_SECONDS = st.sampled_from([None, 0.0, 1.0, math.nextafter(1.0, 2.0), 1.5, 2.0, 1e6])
_ACCURACY = st.sampled_from([0.0, 0.1, 0.3, math.nextafter(0.3, 1.0), 0.5, 1.0])
_RESULTS = st.lists(st.builds(Result, st.sampled_from([CPU, CPU, GPU]), _SECONDS, _ACCURACY), max_size=9)


def brute_front(results: Sequence[Result], device: Device) -> set[int]:
    """Find the front by its definition: compare each trial with every other one."""
    mine = {i: (r.train_seconds, r.accuracy) for i, r in enumerate(results) if r.device == device}
    done = {i: (s, a) for i, (s, a) in mine.items() if s is not None}
    return {i for i in done if not any(_beats(done[j], done[i], j < i) for j in done if j != i)}


def _beats(one: tuple[float, float], other: tuple[float, float], earlier: bool) -> bool:
    at_least_as_good = one[0] <= other[0] and one[1] >= other[1]
    return at_least_as_good and (one != other or earlier)


def brute_hypervolume(results: Sequence[Result], members: set[int], reference_seconds: float) -> float:
    """Add up the strips under the staircase, from the fastest point to the reference."""
    corners = sorted((results[i].train_seconds or 0.0, results[i].accuracy) for i in members)
    ends = [seconds for seconds, _ in corners[1:]] + [reference_seconds]
    return math.fsum((end - start) * height for (start, height), end in zip(corners, ends, strict=False))


def replayed(events: Sequence[FrontEvent], device: Device, last_cause: int) -> set[int]:
    """Give the members of a front after the trial ``last_cause``, as its events tell."""
    members: set[int] = set()
    for event in events:
        if event.device_class == device.device_class and event.cause <= last_cause:
            (members.add if event.kind == "entered" else members.remove)(event.trial)
    return members


class FrontSuite:
    """The front of each study and class of device, its hypervolume and its events."""

    @settings(max_examples=40, deadline=None)
    @given(first=_RESULTS, second=_RESULTS)
    def test_the_front_is_the_non_dominated_trials(
        self, store: Store, first: list[Result], second: list[Result]
    ) -> None:
        studies = {new_study(store): results for results in (first, second)}
        for i in range(max(len(first), len(second))):
            for study, results in studies.items():
                if i < len(results):
                    train(store, study, i, results[i].outcome, results[i].device)
        for study, results in studies.items():
            for device in (CPU, GPU):
                front = store.front(study, device.device_class)
                assert {p.trial for p in front.points} == brute_front(results, device)
                assert front == front_of(store.completed(study, device.device_class))

    def test_the_front_of_a_study_is_that_of_its_own_class(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete(10.0, 0.5), CPU)
        train(store, study, 1, complete(1.0, 0.9), GPU)
        assert [p.trial for p in store.front(study).points] == [0]
        assert [p.trial for p in store.completed(study)] == [0]

    def test_no_order_of_rows_decides_a_tie(self, new_database: Callable[[], str]) -> None:
        with closing(open_store(new_database())) as store, connected(store.url) as engine:
            with engine.begin() as connection:  # which would hand out the rows by trial
                connection.execute(text("DROP INDEX ix_ps_attempt_counts"))
            study = new_study(store)
            attempts = [store.start_attempt(study, trial, CPU, recipe()) for trial in (2, 0, 1)]
            for attempt in attempts:
                store.finish_attempt(attempt, complete(10.0, 0.5))
            assert [p.trial for p in store.front(study).points] == [0]
            with engine.connect() as connection:  # of no study, so that no other index hands them out by trial either
                assert connection.execute(text("SELECT trial FROM ps_pareto_front")).scalars().all() == [0]

    @settings(max_examples=40, deadline=None)
    @given(results=_RESULTS)
    def test_events_replayed_give_the_front_at_every_moment(self, store: Store, results: list[Result]) -> None:
        study = new_study(store)
        for trial, result in enumerate(results):
            train(store, study, trial, result.outcome, result.device)
            before = brute_front(results[:trial], result.device)
            after = brute_front(results[: trial + 1], result.device)
            slowest = max(
                (r.train_seconds or 0.0 for r in results[: trial + 1] if r.device == result.device), default=0.0
            )
            change = store.record_front(study, trial, result.device.device_class)
            assert change == store.record_front(study, trial, result.device.device_class)
            assert change.entered == (trial in after)
            assert change.left == tuple(sorted(before - after))
            assert change.size == len(after)
            expected = brute_hypervolume(results, after, 1.1 * slowest)
            assert change.hypervolume == pytest.approx(expected, rel=1e-12)
            assert change.hypervolume == store.front(study, result.device.device_class).hypervolume
        events = store.front_events(study)
        for trial in range(len(results)):
            for device in (CPU, GPU):
                assert replayed(events, device, trial) == brute_front(results[: trial + 1], device)

    def test_an_event_says_what_the_front_was_worth_and_had_cost(self, store: Store) -> None:
        study, seconds = new_study(store), [0.0]
        with connected(store.url) as engine:
            timed = Store(engine, clock=lambda: seconds[0])
            for trial, (taken, outcome) in enumerate([(20.0, complete(10.0, 0.5)), (9.0, complete(5.0, 0.75))]):
                attempt = timed.start_attempt(study, trial, CPU, recipe())
                seconds[0] += taken
                timed.finish_attempt(attempt, outcome)
                timed.record_front(study, trial, CPU.device_class)
        first, left, entered = store.front_events(study)
        assert (first.trial, first.kind, first.cause) == (0, "entered", 0)
        assert (left.trial, left.kind, left.cause) == (0, "left", 1)
        assert (entered.trial, entered.kind, entered.cause) == (1, "entered", 1)
        assert (first.hypervolume, entered.hypervolume) == pytest.approx((0.5, 0.75 * 6))
        assert (first.reference_seconds, entered.reference_seconds) == pytest.approx((11.0, 11.0))
        assert (first.device_seconds, entered.device_seconds) == (20.0, 29.0)

    def test_a_front_that_was_not_noted_in_time_is_noted_with_the_next_trial(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete(10.0, 0.5))
        train(store, study, 1, complete(20.0, 0.7))
        change = store.record_front(study, 1, CPU.device_class)
        assert (change.entered, change.left, change.size) == (True, (), 2)
        assert store.record_front(study, 0, CPU.device_class).entered is False
        assert replayed(store.front_events(study), CPU, 1) == {0, 1}

    def test_a_study_without_results_has_an_empty_front(self, store: Store) -> None:
        study = new_study(store)
        front = store.front(study)
        assert (front.points, front.dominated, front.hypervolume) == ((), (), 0.0)
        assert store.front_events(study) == ()
