"""What a Station tells the Launcher about its Worker, as JSON.

What a Worker says comes from another machine, and from a training: it is read as a spool file is, value by value, and
never unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from paretosearch.device import Device
from paretosearch.errors import ParetosearchError
from paretosearch.fleet.base import Assignment, Done, Event, Lost, Progress, Retired, Waiting
from paretosearch.outcome import MOST_DETAIL, EpochResult, Outcome, one_line
from paretosearch.possible import check_fields, shown

#: A Report on its way: JSON, and a checkpoint beside it.
Wire = tuple[str, bytes | None]


@dataclass(frozen=True)
class Told:
    """One thing that happened.

    Args:
        event: What a `LocalFleet` says.
        outcome: Of a `Done` or `Lost`, what the Worker wrote; None if it wrote nothing.
    """

    event: Event
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Report:
    """What a Station has seen since it was asked last.

    Args:
        told: What happened, in order.
        is_idle: Whether the Device can take an Attempt now.
        is_busy: Whether an Attempt is running, or a Worker is about to be replaced.
        checkpoint: The file of the Attempt's newest checkpoint, where the Launcher has not got that yet.
    """

    told: Sequence[Told]
    is_idle: bool
    is_busy: bool
    checkpoint: bytes | None = None

    def to_wire(self) -> Wire:
        """Give the Report as it travels."""
        plain = {"told": list(map(_plain, self.told)), "is_idle": self.is_idle, "is_busy": self.is_busy}
        return json.dumps(plain), self.checkpoint

    @classmethod
    def from_wire(cls, wire: Wire, device: Device, assignment: Assignment | None) -> Report:
        """Read what has come.

        Args:
            wire: What `to_wire` gave elsewhere.
            device: The Station's Device, and
            assignment: what it has to train, as the Launcher knows them.

        Raises:
            ParetosearchError: If no Station of ours says that.
        """
        text, checkpoint = wire
        try:
            plain = json.loads(text)
            told = [_told(item, device, assignment) for item in plain["told"]]
            return cls(told, bool(plain["is_idle"]), bool(plain["is_busy"]), checkpoint)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ParetosearchError(f"this is no report: {error}") from None


def _plain(told: Told) -> Mapping[str, Any]:
    event, outcome = told.event, None if told.outcome is None else told.outcome.to_json()
    if isinstance(event, Progress):
        return {"epoch": asdict(event.result)}
    if isinstance(event, Retired):
        return {"retired": event.message}
    if isinstance(event, Waiting):
        return {"waiting": event.message}
    if isinstance(event, Lost):
        return {"lost": event.message, "detail": event.detail, "begun": event.has_begun, "outcome": outcome}
    return {"done": True, "outcome": outcome}


def _told(plain: Mapping[str, Any], device: Device, assignment: Assignment | None) -> Told:
    if "retired" in plain:
        return Told(Retired(device, one_line(_text(plain["retired"]))))
    if assignment is None:
        raise ParetosearchError("it is about an attempt that nobody gave")
    if "epoch" in plain:
        result = EpochResult(**plain["epoch"])
        check_fields(result)
        return Told(Progress(device, assignment, result))
    if "waiting" in plain:
        return Told(Waiting(device, assignment, one_line(_text(plain["waiting"]))))
    outcome = None if plain["outcome"] is None else Outcome.from_json(plain["outcome"])
    if "lost" in plain:
        how = one_line(_text(plain["lost"]))
        detail, has_begun = _text(plain["detail"])[-MOST_DETAIL:], bool(plain["begun"])
        return Told(Lost(device, assignment, how, detail, has_begun), outcome)
    return Told(Done(device, assignment), outcome)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ParetosearchError(f"{shown(value)} is no text")
    return value
