"""How far a launch is, and the file that tells other programs of this user."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paretosearch.device import Device
from paretosearch.errors import ParetosearchError
from paretosearch.files import replacing
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.report.classes import labels
from paretosearch.store import Front

#: Share of the way that an estimate of the end goes towards what the latest trial says; trials differ much in length.
_TRUST = 0.3

#: Name of the file in the folder of a study, and how often it is written for epochs at most, in seconds.
NOTE, NOTE_SECONDS = "progress.json", 1.0

#: What is said behind a trial, by the purpose of its attempt.
_AGAIN: Mapping[Purpose, str] = {"search": "", "confirm": " again", "replay": " timed again"}


@dataclass(frozen=True)
class Row:
    """What one device does.

    Args:
        device: The device.
        trial: The trial in training; None between trials.
        recipe: Its Recipe.
        epoch: Its last epoch; None before the end of the first.
        purpose: Why it is trained, or timed.
    """

    device: Device
    trial: int | None = None
    recipe: Recipe | None = None
    epoch: EpochResult | None = None
    purpose: Purpose = "search"

    @property
    def name(self) -> str:
        """What is trained, or timed without training; both may be of a trial that has a result already."""
        return f"trial {self.trial}{_AGAIN[self.purpose]}"

    def to_plain(self) -> dict[str, Any]:
        """Give the fields as JSON can hold them."""
        recipe = self.recipe.to_json() if self.recipe else None
        return {**self.__dict__, "device": self.device.to_plain(), "recipe": recipe, "epoch": _plain(self.epoch)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Row:
        """Rebuild a row from `to_plain`."""
        recipe = Recipe.from_json(plain["recipe"]) if plain["recipe"] else None
        epoch = EpochResult(**plain["epoch"]) if plain["epoch"] else None
        return cls(**{**plain, "device": Device.from_plain(plain["device"]), "recipe": recipe, "epoch": epoch})


def _plain(epoch: EpochResult | None) -> dict[str, Any] | None:
    return asdict(epoch) if epoch else None


@dataclass
class Progress:
    """How far a launch is; whole values are replaced, never changed, since another thread reads them to draw.

    Args:
        study: Name of the study.
        axes: The searched fields and ``method.parameter`` names.
        budget_trials: Trials at the end; None if something else ends the search.
        rows: A row a device, by its uuid.
        budget_hours: Hours of devices at the end; None if something else ends the search.
        hours: Hours of devices that earlier launches have taken.
        done: Trials that have ended, those of earlier launches among them.
        done_here: Those of this launch.
        failed: Those without a result, in this launch.
        elapsed: Seconds since the launch.
        fronts: The front so far on each class of device that has one, by class.
        ends: Seconds from the launch to its end, estimated when a trial ended; None before that.
        reference: The class of device whose front is the first to show, if it has one.
    """

    study: str
    axes: tuple[str, ...]
    budget_trials: int | None
    rows: dict[str, Row]
    budget_hours: float | None = None
    hours: float = 0.0
    done: int = 0
    done_here: int = 0
    failed: int = 0
    elapsed: float = 0.0
    fronts: dict[str, Front] = field(default_factory=dict)
    ends: float | None = None
    reference: str | None = None

    @property
    def front(self) -> Front | None:
        """The front to show most of: that on the reference class, else that of the first device that has one."""
        classes = [self.reference, *(row.device.device_class for row in self.rows.values()), *self.fronts]
        return next((self.fronts[name] for name in classes if name and name in self.fronts), None)

    @property
    def classes(self) -> Mapping[str, str]:
        """What to call the classes of device, by class; one alone needs no name."""
        classes = dict.fromkeys([*(row.device.device_class for row in self.rows.values()), *self.fronts])
        return labels(classes) if len(classes) > 1 else {}

    def count(self, outcome: Outcome, purpose: Purpose) -> None:
        """Count a trial that has ended; a stopped one has not, and what is done again was counted."""
        ended = outcome.status != "stopped" and purpose == "search"
        self.done += ended
        self.done_here += ended
        self.failed += outcome.status == "failed" and purpose != "replay"

    @property
    def share(self) -> float | None:
        """Share of the budget that is spent, in [0, 1], of what ends first; None without one that can be told."""
        shares = [self.done / self.budget_trials] if self.budget_trials else []
        shares += [self._hours / self.budget_hours] if self.budget_hours else []
        return min(max(shares), 1.0) if shares else None

    @property
    def _hours(self) -> float:
        """Hours of devices, about: they are busy, but for moments."""
        return self.hours + self.elapsed / 3600 * len(self.rows)

    def seconds_left(self) -> float | None:
        """Estimate the rest, by the pace of trials so far and by the hours; None before there is either."""
        rests = [rest for rest in (self._by_trials(),) if rest is not None]
        if self.budget_hours and self.rows:
            rests.append(max(self.budget_hours - self._hours, 0.0) * 3600 / len(self.rows))
        return min(rests, default=None)

    @property
    def is_bound(self) -> bool:
        """Whether the rest may be much less than `seconds_left`: the hours are known, and the pace of trials is not."""
        return self.budget_trials is not None and self._by_trials() is None

    def _by_trials(self) -> float | None:
        """Give the rest by the pace of trials; None before it is known, and once it has turned out to be longer."""
        if self.ends is None:
            return self._paced()
        return self.ends - self.elapsed if self.ends > self.elapsed else None

    def _paced(self) -> float | None:
        """Give the rest by the pace of trials so far, which is right at the moment when one ends."""
        if not self.budget_trials or self.done_here < 2:
            return None
        return self.elapsed / self.done_here * max(self.budget_trials - self.done, 0)

    def pace(self) -> None:
        """Estimate the end anew, as a trial has ended."""
        if (paced := self._paced()) is not None:
            end = self.elapsed + paced
            self.ends = end if self.ends is None else self.ends + _TRUST * (end - self.ends)


class Follower:
    """Keeps the `Progress` of a launch, and a file of it for whoever looks from elsewhere.

    Args:
        study: Name of the study.
        axes: The searched fields and ``method.parameter`` names.
        budget_trials: Trials at the end; None if something else ends the search.
        devices: The devices, in the order to show them.
        done: Trials that earlier launches ended.
        budget_hours: Hours of devices at the end; None if something else ends the search.
        hours: Those that earlier launches have taken.
        clock: Monotonic seconds.
        note: The file; None writes none. One that cannot be written is not missed by the launch.
        reference: See `Progress`.
    """

    def __init__(
        self,
        study: str,
        axes: Collection[str],
        budget_trials: int | None,
        devices: Sequence[Device],
        done: int = 0,
        budget_hours: float | None = None,
        hours: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        note: Path | None = None,
        reference: str | None = None,
    ) -> None:
        self._clock, self._began = clock, clock()
        rows = {device.uuid: Row(device) for device in devices}
        of_hours = budget_hours, hours
        self._progress = Progress(study, tuple(axes), budget_trials, rows, *of_hours, done, reference=reference)
        self._note, self._noted = note, -NOTE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._note is not None:  # nothing goes on any more
            self._note.unlink(missing_ok=True)

    def starting(self, workers: int) -> None:
        """Workers start, which takes seconds."""

    def message(self, text: str) -> None:
        """There is something to say."""

    def joined(self, device: Device) -> None:
        """Take in a device that has come while the launch runs."""
        self._set(Row(device))

    def started(self, device: Device, trial: int, recipe: Recipe, purpose: Purpose = "search") -> None:
        """A device begins a trial, or a repeat of one, or to time one again."""
        self._set(Row(device, trial, recipe, purpose=purpose))

    def epoch(self, device: Device, result: EpochResult) -> None:
        """The device's trial is an epoch further."""
        self._set(replace(self._progress.rows[device.uuid], epoch=result), may_wait=True)

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool, in_doubt: bool = False) -> None:
        """The device's trial has ended, or the user has stopped it; not for an attempt that is tried again.

        Args:
            device: Who has trained or timed it.
            trial: Its number.
            outcome: How it ended.
            on_front: Whether it is on the front of the device's class since then.
            in_doubt: Whether its seconds were disturbed, and are to be measured once more.
        """
        self._progress.elapsed = self._clock() - self._began
        before = self._progress.done_here
        self._progress.count(outcome, self._progress.rows[device.uuid].purpose)
        if self._progress.done_here > before:
            self._progress.pace()
        self._set(Row(device))

    def front(self, front: Front) -> None:
        """There is a new front of the class of device that its points are of."""
        if front.points:
            self._progress.fronts = {**self._progress.fronts, front.points[0].device_class: front}

    def _set(self, row: Row, may_wait: bool = False) -> None:
        """Take in a row; an epoch may wait for the next one, while a new trial would look like none until then."""
        self._progress.rows[row.device.uuid] = row
        self._progress.elapsed = self._clock() - self._began
        if self._note is not None and not (may_wait and self._progress.elapsed - self._noted < NOTE_SECONDS):
            self._noted = self._progress.elapsed
            with suppress(OSError):
                write(self._progress, self._note)


def write(progress: Progress, note: Path) -> None:
    """Write a file that `read` reads, without the fronts, which are in the store.

    Raises:
        OSError: If the disk does not take it.
    """
    rows = [row.to_plain() for row in progress.rows.values()]
    with replacing(note, private=True) as file:
        file.write(json.dumps({**progress.__dict__, "rows": rows, "fronts": {}}).encode())


def read(note: Path) -> Progress | None:
    """Read how far a launch is; None where nothing, or nothing whole, is written."""
    try:
        plain = json.loads(note.read_text(encoding="utf-8"))
        rows = [Row.from_plain(row) for row in plain["rows"]]
        by_uuid = {row.device.uuid: row for row in rows}
        return Progress(**{**plain, "rows": by_uuid, "axes": tuple(plain["axes"])})
    except (OSError, ValueError, TypeError, KeyError, ParetosearchError):
        return None
