"""Keeps a person informed while a launch runs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from paretosearch.device import Device
from paretosearch.outcome import Outcome
from paretosearch.report.events import EventStream
from paretosearch.report.logged import LogView
from paretosearch.report.progress import NOTE, Follower
from paretosearch.report.screen import Screen
from paretosearch.report.spoken import say, verdict
from paretosearch.report.words import counted

#: Pictures a second: drawing costs processor time that CPU Workers would rather have.
_RATE = 1


class LiveView(Follower):
    """A picture that follows the launch on a terminal.

    Args:
        console: The terminal.
        followed: See `Follower`.
        facts: The same, by name.
    """

    def __init__(self, console: Console, *followed: Any, **facts: Any) -> None:
        super().__init__(*followed, **facts)
        self._console = console
        self._live = Live(console=console, refresh_per_second=_RATE, transient=True, get_renderable=self._draw)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()
        super().__exit__(kind, error, at)

    def starting(self, workers: int) -> None:
        """Say that Workers start, which takes seconds."""
        self._say(Text(f"starting {counted(workers, 'Worker')}", "dim"))

    def joined(self, device: Device) -> None:
        """Show a device that has come while the launch runs."""
        super().joined(device)
        self.message(f"{device.label} on {device.host} has joined")

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool, in_doubt: bool = False) -> None:
        """Say which trials are on the front when they end, and which have failed."""
        row = self._progress.rows[device.uuid]
        super().finished(device, trial, outcome, on_front, in_doubt)
        if on_front or outcome.status == "failed":
            self._say(verdict(self._progress, row, device.device_class, trial, outcome, on_front))

    def message(self, text: str) -> None:
        """Say something above the picture."""
        self._say(Text(text))

    def _say(self, line: Text) -> None:
        say(self._console, line, wraps=True)

    def _draw(self) -> Screen:
        self._progress.elapsed = self._clock() - self._began
        return Screen(self._progress)


def view_of(
    console: Console, events: TextIO | None, folder: Path, *followed: Any, reference: str | None = None
) -> Follower:
    """Choose who is told what happens in a launch, and keep a file of it in the study's folder.

    Args:
        console: Where to show it to a person.
        events: Where to tell a program; None tells the person.
        folder: The folder.
        followed: See `Follower`.
        reference: See `Progress`.
    """
    facts: dict[str, Any] = {"note": folder / NOTE, "reference": reference}
    if events is not None:
        return EventStream(events, *followed, **facts)
    moves = console.is_terminal and not console.is_dumb_terminal
    return (LiveView if moves else LogView)(console, *followed, **facts)
