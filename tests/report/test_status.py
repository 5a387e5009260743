"""How a study stands."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import pytest
from rich.console import Console

from paretosearch.errors import StoreError
from paretosearch.outcome import EpochResult, Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.report.status import status_json, status_table
from paretosearch.store import StopDecision, Store

EPOCHS = tuple(EpochResult(e, 3.0 * e, 0.5, 1.0, 0.1, 256, 1, 1, 0.01, 0.001) for e in (1, 2))


def test_status_counts_what_the_store_holds(store: Store, study: str) -> None:
    status = json.loads(json.dumps(status_json(store, study), allow_nan=False))
    front = store.front(study)
    assert status["trials"] == {"complete": 56, "running": 0, "dominated": 0, "failed": 4, "stopped": 0, "lost": 0}
    assert status["front"]["size"] == len(front.points)
    assert status["front"]["hypervolume"] == front.hypervolume
    assert status["device_seconds"] == store.device_seconds(study)


def test_failures_come_by_class_with_the_newest_message(store: Store, study: str) -> None:
    [failure] = status_json(store, study)["failures"]
    message = "=loss is nan in epoch 59"
    assert failure == {"class": "diverged", "tried_again": False, "attempts": 4, "trial": 59, "message": message}


def test_what_is_tried_again_is_told_from_what_has_failed(new_store: Callable[[int], Store], study: str) -> None:
    store = new_store(3)
    device, killed = store.devices(study)[0], failed("infrastructure", "the Worker was killed by SIGKILL")
    for trial in (3, 4, 4, 4, 5):
        store.finish_attempt(store.start_attempt(study, trial, device, Recipe("mnist", "resnet8")), killed)
    status = status_json(store, study)
    assert (status["trials"]["failed"], status["trials"]["lost"]) == (1, 2)
    ends = [(failure["attempts"], failure["trial"], failure["tried_again"]) for failure in status["failures"]]
    assert ends == [(1, 4, False), (4, 5, True)]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(status_table(store, study))
    text = console.export_text()
    assert "3 complete, 1 failed, 2 to be tried again" in text
    assert "tried again" in text.partition("failures")[2]


def test_devices_say_what_they_did(store: Store, study: str) -> None:
    devices = status_json(store, study)["devices"]
    assert [device["device"] for device in devices] == ["cpu 0", "cpu 1"]
    assert [device["attempts"] for device in devices] == [
        {"complete": 28, "running": 0, "dominated": 0, "failed": 2, "stopped": 0},
        {"complete": 28, "running": 0, "dominated": 0, "failed": 2, "stopped": 0},
    ]
    assert sum(device["device_seconds"] for device in devices) == pytest.approx(store.device_seconds(study))


def test_a_running_attempt_shows_on_its_device(new_store: Callable[[int], Store], study: str) -> None:
    store = new_store(3)
    store.start_attempt(study, 3, store.devices(study)[1], Recipe("mnist", "resnet8"))
    status = status_json(store, study)
    assert status["trials"]["running"] == 1
    assert [device["training"] for device in status["devices"]] == [[], [3]]


@pytest.mark.parametrize(("launched", "said"), [(True, False), (None, False), (False, True)])
def test_what_a_dead_launcher_has_left_is_no_running_trial(
    new_store: Callable[[int], Store], study: str, launched: bool | None, said: bool
) -> None:
    store = new_store(3)
    store.start_attempt(study, 3, store.devices(study)[1], Recipe("mnist", "resnet8"))
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(status_table(store, study, launched))
    assert ("no launch is running" in console.export_text()) == said
    assert status_json(store, study, launched)["launched"] == launched


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_says_the_same_in_a_terminal(store: Store, study: str, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(status_table(store, study))
    text = console.export_text()
    for part in ("56 complete, 4 failed", "cpu 1", "device time", "diverged", "in epoch 59"):
        assert part in text
    assert max(map(len, text.splitlines())) <= width


def test_markup_in_a_message_is_shown_as_it_is(new_store: Callable[[int], Store], study: str) -> None:
    other = new_store(1)
    device = other.devices(study)[0]
    attempt = other.start_attempt(study, 1, device, Recipe("mnist", "resnet8"))
    other.finish_attempt(attempt, failed("bug", "[red]no[/blue] list[0]"))
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(status_table(other, study))
    assert "[red]no[/blue] list[0]" in console.export_text()


def test_an_unknown_study_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError, match="fashion-mnits"):
        status_json(store, "fashion-mnits")


def test_an_audited_stop_is_told_with_whether_it_was_right(new_store: Callable[[int], Store], study: str) -> None:
    store = new_store(3)
    attempt = store.attempts(study)[-1]
    moment = datetime(2026, 11, 24, 10, tzinfo=UTC)
    store.record_stop(attempt.id, StopDecision(attempt.id, attempt.trial, 1, 2.0, 9.0, 0.7, 0, 6, True, moment))
    on_front = any(event.trial == attempt.trial for event in store.front_events(study))
    stops = status_json(store, study)["early_stops"]
    assert stops == {"stopped": 0, "seconds_saved": 0, "audited": 1, "wrong": int(on_front)}
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(status_table(store, study))
    assert f"0 trials; of 1 audited stop {int(on_front)} would have been on the front" in console.export_text()


def test_an_early_end_saves_what_its_other_epochs_would_have_taken(
    new_store: Callable[[int], Store], study: str
) -> None:
    store = new_store(3)
    _stopped(store, study, 3, Outcome("dominated", message="trial 0 is better", train_seconds=6.0, epochs=EPOCHS))
    stops = status_json(store, study)["early_stops"]
    assert stops == {"stopped": 1, "seconds_saved": 6.0 / 2 * 10, "audited": 0, "wrong": 0}


def test_what_a_launcher_stops_while_status_looks_is_no_error(
    new_store: Callable[[int], Store], study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trials, attempts = new_store(3), count(3), Store.attempts

    def meanwhile(self: Store, name: str) -> object:
        found = attempts(self, name)
        _stopped(store, study, next(trials), Outcome("dominated", message="trial 0 is better", train_seconds=6.0))
        return found

    monkeypatch.setattr(Store, "attempts", meanwhile)
    assert [status_json(store, study)["early_stops"]["stopped"] for _ in range(2)] == [0, 1]


def _stopped(store: Store, study: str, trial: int, outcome: Outcome) -> None:
    attempt = store.start_attempt(study, trial, store.devices(study)[0], Recipe("mnist", "resnet8", epochs=12))
    moment = datetime(2026, 11, 24, 10, tzinfo=UTC)
    store.record_stop(attempt, StopDecision(attempt, trial, 1, 2.0, 9.0, 0.7, 0, 6, False, moment))
    store.finish_attempt(attempt, outcome)
