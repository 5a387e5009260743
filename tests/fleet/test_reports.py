"""What a Station says arrives as it was, and what none of ours says is refused."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from paretosearch.errors import ParetosearchError
from paretosearch.fleet.base import Assignment, Done, Lost, Progress, Retired
from paretosearch.fleet.reports import Report, Told
from paretosearch.recipe import Recipe
from paretosearch.testing.fleet import complete, cpu_device

DEVICE = cpu_device()
ASSIGNMENT = Assignment(3, 1, Recipe("fashion-mnist", "convnet"))
OUTCOME = complete(2.0, 0.5)
EPOCH = asdict(OUTCOME.epochs[0])


@pytest.mark.parametrize(
    "told",
    [
        Told(Progress(DEVICE, ASSIGNMENT, OUTCOME.epochs[0])),
        Told(Done(DEVICE, ASSIGNMENT), OUTCOME),
        Told(Done(DEVICE, ASSIGNMENT)),
        Told(Lost(DEVICE, ASSIGNMENT, "the Worker was killed by SIGKILL", "a\nlog")),
        Told(Lost(DEVICE, ASSIGNMENT, "the Worker was killed by SIGKILL", "", has_begun=False), OUTCOME),
        Told(Retired(DEVICE, "it does not start")),
    ],
)
def test_a_report_arrives_as_it_was(told: Told) -> None:
    report = Report([told], is_idle=True, is_busy=False, checkpoint=b"\x00file")
    assert Report.from_wire(report.to_wire(), DEVICE, ASSIGNMENT) == report


@pytest.mark.parametrize(
    "item",
    [
        {"epoch": {**EPOCH, "accuracy": 2.0}},
        {"epoch": {**EPOCH, "train_seconds": float("nan")}},
        {"epoch": {**EPOCH, "epoch": "1"}},
        {"epoch": {**EPOCH, "command": "rm"}},
        {"epoch": 7},
        {"done": True},
        {"done": True, "outcome": "{}"},
        {"done": True, "outcome": 7},
        {"done": True, "outcome": OUTCOME.to_json().replace("0.5", "NaN")},
        {"lost": 7, "detail": "", "begun": True, "outcome": None},
        {"lost": "", "detail": 7, "begun": True, "outcome": None},
        {"lost": "", "detail": ["x"], "begun": True, "outcome": None},
        {"retired": ["x"]},
        ["epoch"],
    ],
)
def test_what_no_station_says_is_refused(item: Mapping[str, Any]) -> None:
    wire = json.dumps({"told": [item], "is_idle": True, "is_busy": False}), None
    with pytest.raises(ParetosearchError):
        Report.from_wire(wire, DEVICE, ASSIGNMENT)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ParetosearchError, match="this is no report"):
        Report.from_wire((text, None), DEVICE, ASSIGNMENT)


def test_news_of_an_attempt_that_nobody_gave_is_refused() -> None:
    wire = Report([Told(Done(DEVICE, ASSIGNMENT), OUTCOME)], is_idle=True, is_busy=False).to_wire()
    with pytest.raises(ParetosearchError, match="nobody gave"):
        Report.from_wire(wire, DEVICE, None)


def test_a_message_cannot_move_the_cursor_of_a_terminal() -> None:
    lost = Lost(DEVICE, ASSIGNMENT, "\x1b[2Jdead", "")
    wire = Report([Told(lost)], is_idle=True, is_busy=False).to_wire()
    (told,) = Report.from_wire(wire, DEVICE, ASSIGNMENT).told
    assert isinstance(told.event, Lost)
    assert told.event.message == "?[2Jdead"
