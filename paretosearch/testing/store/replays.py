"""A store keeps the seconds of replays as those of their trials, each on its class of device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paretosearch.device import Device
from paretosearch.errors import StoreError
from paretosearch.outcome import Outcome, failed
from paretosearch.store import Store
from paretosearch.testing.store.builders import CPU, GPU, complete, full_outcome, new_study, recipe, train


def replay(store: Store, study: str, trial: int, outcome: Outcome, device: Device = GPU, believed: bool = True) -> int:
    """Start an attempt that times a trial again, and finish it."""
    attempt = store.start_attempt(study, trial, device, recipe(seed=trial), "replay")
    assert store.finish_attempt(attempt, outcome, believed)
    return attempt


class ReplaySuite:
    """Replays, and what is believed of them."""

    def test_a_replay_gives_its_trials_result_on_its_class(self, store: Store) -> None:
        study = new_study(store)
        trained = [train(store, study, trial, complete(10.0 + trial, 0.5 + 0.1 * trial)) for trial in range(3)]
        timed = [replay(store, study, trial, complete(3.0 - trial, 0.5 + 0.1 * trial)) for trial in range(3)]
        for trial in range(3):
            store.record_front(study, trial, GPU.device_class)
        assert [p.attempt for p in store.completed(study)] == trained
        assert [p.attempt for p in store.completed(study, GPU.device_class)] == timed
        assert [p.trial for p in store.front(study).points] == [0, 1, 2]
        assert [p.trial for p in store.front(study, GPU.device_class).points] == [2]
        assert store.device_classes(study) == (CPU.device_class, GPU.device_class)
        assert {e.device_class for e in store.front_events(study)} == {GPU.device_class}

    def test_a_trial_has_one_result_on_a_class_however_often_it_is_timed(self, store: Store) -> None:
        study = new_study(store)
        trained = train(store, study, 0, complete(10.0))
        again = replay(store, study, 0, complete(9.0), CPU)
        store.believe(again)
        assert [p.attempt for p in store.completed(study)] == [trained]
        first, _ = (replay(store, study, 0, complete(seconds)) for seconds in (3.0, 2.0))
        assert [p.attempt for p in store.completed(study, GPU.device_class)] == [first]

    def test_what_is_not_believed_is_no_result_until_it_is(self, store: Store) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, CPU, recipe())
        store.finish_attempt(attempt, replace(complete(30.0), noisy=True), believed=False)
        assert store.completed(study) == ()
        timed = replay(store, study, 0, complete(10.0), CPU)
        assert [p.train_seconds for p in store.completed(study)] == [10.0]
        store.believe(attempt)  # too late
        assert [p.attempt for p in store.completed(study)] == [timed]
        other = store.start_attempt(study, 1, CPU, recipe())
        store.finish_attempt(other, complete(20.0), believed=False)
        store.believe(other)
        assert [p.attempt for p in store.completed(study)] == [timed, other]

    def test_what_is_believed_is_noted_on_its_front_at_once(self, store: Store) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, CPU, recipe())
        store.finish_attempt(attempt, complete(20.0), believed=False)
        for _ in range(2):
            store.believe(attempt)
        assert [(e.trial, e.kind, e.device_class) for e in store.front_events(study)] == [
            (0, "entered", CPU.device_class)
        ]

    def test_only_an_attempt_with_a_result_can_be_believed(self, store: Store) -> None:
        study = new_study(store)
        with pytest.raises(StoreError, match="no attempt 12345"):
            store.believe(12345)
        attempt = train(store, study, 0, failed("bug", "no"))
        with pytest.raises(StoreError):
            store.believe(attempt)
        assert store.completed(study) == ()

    def test_replays_change_nothing_about_how_trials_are_counted(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete())
        before = store.counts(study)
        replay(store, study, 0, complete())
        replay(store, study, 0, failed("infrastructure", "killed"), CPU)
        assert store.counts(study) == before
        assert store.repeats(study, GPU.device_class) == ()

    def test_the_time_of_replays_is_known_beside_that_of_all(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete())
        assert store.device_seconds(study, "replay") == 0
        replay(store, study, 0, complete())
        of_replays, of_all = store.device_seconds(study, "replay"), store.device_seconds(study)
        assert 0 < of_replays < of_all
        assert of_all == pytest.approx(of_replays + store.device_seconds(study, "search"))

    def test_a_replay_of_a_launcher_that_died_has_cost_nothing_that_is_known(self, store: Store) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, GPU, recipe(), "replay")
        store._begun.clear()  # another process
        store.finish_attempt(attempt, complete(1000.0))
        assert store.device_seconds(study) == 0  # the training's seconds are not what the replay took

    def test_an_outcome_is_given_back_as_it_was_stored(self, store: Store) -> None:
        study = new_study(store)
        attempt = train(store, study, 0, full_outcome())
        assert store.outcome(store.attempt(attempt)) == full_outcome()
        with pytest.raises(StoreError, match="no attempt 12345"):
            store.attempt(12345)
