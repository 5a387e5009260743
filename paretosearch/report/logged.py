"""Tells a log file of a launch."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.text import Text

from paretosearch.device import Device
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.report.progress import Follower
from paretosearch.report.spoken import begun_line, say, standing_line, verdict
from paretosearch.report.stages import show_stage
from paretosearch.report.words import counted

#: Seconds between two lines on how a launch stands: soon enough to see that it lives, then ever fewer, so that there
#: are ten in the first five minutes, and in a night not many more than a hundred.
LEAST_PAUSE, MOST_PAUSE = 30.0, 600.0

#: The pause as a share of the time so far, between these.
_PAUSE_SHARE = 0.1


class LogView(Follower):
    """A line for each trial that has its result, for what each device begins with, and now and then on all of it.

    What was disturbed, and is timed again, has its line when that is done, or the launch ends without.

    Args:
        console: Where to write.
        followed: See `Follower`.
        facts: The same, by name.
    """

    def __init__(self, console: Console, *followed: Any, **facts: Any) -> None:
        super().__init__(*followed, **facts)
        self._console = console
        self._begun: set[str] = set()  # devices that have begun something
        self._held: dict[tuple[int, str], Text] = {}  # lines on trainings that are in doubt, by class of device
        self._said = 0.0  # when it was said last how the launch stands

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for line in self._held.values():
            say(self._console, line)
        super().__exit__(kind, error, at)

    def starting(self, workers: int) -> None:
        """Say that Workers start, which takes seconds."""
        show_stage(f"starting {counted(workers, 'Worker')}", self._console.quiet)

    def joined(self, device: Device) -> None:
        """Say that a device has come while the launch runs."""
        super().joined(device)
        self.message(f"{device.label} on {device.host} has joined")

    def started(self, device: Device, trial: int, recipe: Recipe, purpose: Purpose = "search") -> None:
        """Say what a device begins with; later trials are said when they end."""
        super().started(device, trial, recipe, purpose)
        if device.uuid not in self._begun and purpose != "replay":  # which takes no time
            self._begun.add(device.uuid)
            say(self._console, begun_line(self._progress.rows[device.uuid], self._progress.axes))
        self._remind()

    def epoch(self, device: Device, result: EpochResult) -> None:
        """Take in that the device's trial is an epoch further."""
        super().epoch(device, result)
        self._remind()

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool, in_doubt: bool = False) -> None:
        """Say how the device's trial ended, or that the user stopped it; not for an attempt that is tried again."""
        row, key = self._progress.rows[device.uuid], (trial, device.device_class)
        super().finished(device, trial, outcome, on_front, in_doubt)
        line = verdict(self._progress, row, device.device_class, trial, outcome, on_front)
        held = self._held.pop(key, None)
        if in_doubt:
            self._held[key] = line
        else:
            for said in (held, line) if held and outcome.status != "complete" else (line,):
                say(self._console, said)
        self._remind()

    def message(self, text: str) -> None:
        """Say something."""
        say(self._console, Text(text))

    def _remind(self) -> None:
        """Say how the launch stands, if nobody has for a while."""
        elapsed = self._progress.elapsed
        if elapsed - self._said >= min(max(LEAST_PAUSE, _PAUSE_SHARE * elapsed), MOST_PAUSE):
            self._said = elapsed
            say(self._console, standing_line(self._progress))
