"""Keeps a person informed while a launch runs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from paretosearch.device import Device
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.report.events import EventStream
from paretosearch.report.progress import NOTE, Follower
from paretosearch.report.screen import Screen
from paretosearch.report.stages import keeping_on, show_stage
from paretosearch.report.words import counted, seconds_text, words

#: Pictures a second: drawing costs processor time that CPU Workers would rather have.
_RATE = 1


class LiveView(Follower):
    """A picture that follows the launch on a terminal, and a line for each finished trial anywhere else.

    Args:
        console: Where to show it.
        followed: See `Follower`.
        facts: The same, by name.
    """

    def __init__(self, console: Console, *followed: Any, **facts: Any) -> None:
        super().__init__(*followed, **facts)
        self._console = console
        moving = console.is_terminal and not console.is_dumb_terminal
        self._live = (
            Live(console=console, refresh_per_second=_RATE, transient=True, get_renderable=self._draw)
            if moving
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
        super().__exit__(kind, error, at)

    def starting(self, workers: int) -> None:
        """Say that Workers start, which takes seconds."""
        text = f"starting {counted(workers, 'Worker')}"
        if self._live:
            self._say(Text(text, "dim"))
        else:
            show_stage(text, self._console.quiet)

    def joined(self, device: Device) -> None:
        """Show a device that has come while the launch runs."""
        super().joined(device)
        self._say(Text(f"{device.label} on {device.host} has joined"))

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool) -> None:
        """Show how the device's trial ended, or that the user stopped it; not for an attempt that is tried again."""
        row = self._progress.rows[device.uuid]
        super().finished(device, trial, outcome, on_front)
        if not self._live or on_front or outcome.status == "failed":
            name = row.name if row.trial == trial else f"trial {trial}"
            where = self._progress.classes.get(device.device_class, "")
            self._say(_verdict(name, row.recipe, self._progress.axes, outcome, on_front, where))

    def message(self, text: str) -> None:
        """Say something, above the picture where there is one."""
        self._say(Text(text))

    def _say(self, line: Text) -> None:
        alphabet = self._console.encoding
        line.plain = line.plain.encode(alphabet, "replace").decode(alphabet)  # or rich would hold it, and all after it
        with keeping_on():
            self._console.print(line, soft_wrap=not self._live)  # a line stays a line in a log file, however long

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
    return LiveView(console, *followed, **facts) if events is None else EventStream(events, *followed, **facts)


def _verdict(
    name: str, recipe: Recipe | None, axes: Collection[str], outcome: Outcome, on_front: bool, where: str
) -> Text:
    line = Text(f"{name}  ").append(f"{words(recipe, axes)}  " if recipe else "")
    if outcome.status == "failed":
        return line.append(f"failed, {outcome.failure}: {outcome.message}", "red")
    if outcome.status == "stopped":
        return line.append("stopped; the next launch goes on with it")
    if outcome.status == "dominated":
        return line.append(f"ended early: {outcome.message}", "dim")
    seconds, accuracy = outcome.objectives
    taken = f"{'~' * outcome.noisy}{seconds_text(seconds)} s{f' on {where}' if where else ''}"
    line.append(f"{taken}  {100 * accuracy:.2f} %")
    return line.append("  on the front", "cyan") if on_front else line
