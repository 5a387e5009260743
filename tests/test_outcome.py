"""Only an Outcome whose every number is possible gets through."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from paretosearch.errors import ParetosearchError
from paretosearch.outcome import (
    FAILURE_CLASSES,
    SEQUENCES,
    EpochResult,
    FailureClass,
    Outcome,
    PhaseResult,
    SurgeryResult,
    checked,
    failed,
)

EPOCH = EpochResult(
    epoch=1,
    train_seconds=2.5,
    accuracy=0.5,
    loss=1.25,
    learning_rate=0.1,
    batch_size=128,
    parameters=1000,
    flops_per_image=10_000,
    step_seconds=0.01,
    step_seconds_iqr=0.001,
)
OUTCOME = Outcome(
    "complete",
    train_seconds=5.0,
    wall_seconds=5.1,
    accuracy=0.75,
    parameters=1000,
    training_flops=10**15,
    epochs=(EPOCH, replace(EPOCH, epoch=2, train_seconds=5.0, accuracy=0.75)),
    surgeries=(SurgeryResult(1, "prune", 64, 48, 0.02),),
    phases=(PhaseResult(0, 100, 128, "eager", "", 5.0, 0.05, 0.001, ({"do": "resize", "sizes": {"stem": 48}},)),),
)
NUMBERS = [f.name for f in fields(Outcome) if f.name not in {"status", "failure", "message", "detail", "noisy"}]


def with_value(name: str, value: object) -> str:
    return json.dumps({**json.loads(OUTCOME.to_json()), name: value})


def test_an_outcome_survives_json() -> None:
    assert Outcome.from_json(OUTCOME.to_json()) == OUTCOME
    assert "\n" not in OUTCOME.to_json()


def test_the_objectives_are_seconds_then_accuracy() -> None:
    assert OUTCOME.objectives == (5.0, 0.75)


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in SEQUENCES])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1, "3", [], 10**400])
def test_no_number_that_is_impossible_gets_through(name: str, value: object) -> None:
    with pytest.raises(ParetosearchError, match=name):
        Outcome.from_json(with_value(name, value))


@pytest.mark.parametrize("name", ["accuracy", "test_accuracy"])
def test_an_accuracy_is_a_share(name: str) -> None:
    assert getattr(Outcome.from_json(with_value(name, 1)), name) == 1
    with pytest.raises(ParetosearchError, match=f"{name} = 1.001 is above 1"):
        Outcome.from_json(with_value(name, 1.001))


@pytest.mark.parametrize("record", SEQUENCES)
def test_the_numbers_of_epochs_and_surgeries_are_looked_at_too(record: str) -> None:
    plain = json.loads(OUTCOME.to_json())
    name = {"epochs": "train_seconds", "surgeries": "seconds", "phases": "step_seconds"}[record]
    plain[record][-1][name] = float("nan")
    with pytest.raises(ParetosearchError, match=f"{name} = nan"):
        Outcome.from_json(json.dumps(plain))


@pytest.mark.parametrize(("value", "allowed"), [(0.0, True), (1.0, True), (None, True), (1.01, False), (-0.1, False)])
def test_the_steps_that_overflowed_are_a_share(value: float | None, allowed: bool) -> None:
    plain = json.loads(OUTCOME.to_json())
    plain["epochs"][0]["overflow_share"] = value
    if allowed:
        assert Outcome.from_json(json.dumps(plain)).epochs[0].overflow_share == value
    else:
        with pytest.raises(ParetosearchError, match="overflow_share = "):
            Outcome.from_json(json.dumps(plain))


def test_a_loss_and_a_drift_alone_may_be_negative() -> None:
    outcome = replace(OUTCOME, epochs=(replace(EPOCH, loss=-1.5),), drift=-0.02)
    assert checked(outcome) is outcome
    assert Outcome.from_json(outcome.to_json()) == outcome


@pytest.mark.parametrize("name", ["train_seconds", "wall_seconds", "accuracy"])
def test_a_complete_outcome_has_its_objectives(name: str) -> None:
    with pytest.raises(ParetosearchError, match=f"a complete Outcome needs {name}"):
        Outcome.from_json(with_value(name, None))


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '{"status": "complete", "speed": 3}', "{}"])
def test_a_text_that_is_no_outcome_is_refused(text: str) -> None:
    with pytest.raises(ParetosearchError, match="this is no Outcome"):
        Outcome.from_json(text)


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ParetosearchError, match="'done'"):
        Outcome.from_json(with_value("status", "done"))


def test_a_failure_has_one_of_the_known_classes() -> None:
    plain: dict[str, Any] = json.loads(failed("bug", "no").to_json())
    with pytest.raises(ParetosearchError, match="'bad luck' is no class of failure"):
        Outcome.from_json(json.dumps({**plain, "failure": "bad luck"}))


@pytest.mark.parametrize("failure", FAILURE_CLASSES)
def test_a_failure_needs_no_numbers(failure: FailureClass) -> None:
    outcome = failed(failure, "it broke", "Traceback")
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert (outcome.status, outcome.failure, outcome.detail) == ("failed", failure, "Traceback")


@pytest.mark.parametrize(
    ("message", "kept"), [("one\ntwo", "one"), ("\n one \ntwo", "one"), ("", "bug"), (" \n", "bug")]
)
def test_the_message_of_a_failure_is_one_line(message: str, kept: str) -> None:
    assert failed("bug", message).message == kept
