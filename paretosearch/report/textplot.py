"""A front drawn with the characters of a terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from paretosearch.report.reading import accuracy_floor, spans_decades
from paretosearch.report.words import seconds_text
from paretosearch.store import Front, Point

_UNICODE = {
    "": " ",
    "across": "─",
    "up": "│",
    "turn": "┘",
    "front": "●",
    "dominated": "·",
    "left": "┤",
    "edge": "│",
    "foot": "└",
}
_ASCII = {
    "": " ",
    "across": "-",
    "up": "|",
    "turn": "+",
    "front": "@",
    "dominated": ".",
    "left": "|",
    "edge": "|",
    "foot": "+",
}
_STYLES = {"front": "bold cyan", "dominated": "dim", "across": "cyan", "up": "cyan", "turn": "cyan"}
_MARGIN = 6  # of the accuracies left of the drawing


@dataclass(frozen=True)
class _Frame:
    """Turns objectives into cells."""

    columns: int
    rows: int
    seconds: tuple[float, float]
    accuracies: tuple[float, float]
    log: bool

    def cell(self, point: Point) -> tuple[int, int]:
        scale = math.log if self.log else float
        low, high = map(scale, self.seconds)
        x = (scale(point.train_seconds) - low) / ((high - low) or 1)
        bottom, top = self.accuracies
        y = (max(point.accuracy, bottom) - bottom) / ((top - bottom) or 1)
        return round(x * (self.columns - 1)), self.rows - 1 - round(y * (self.rows - 1))


def scatter(front: Front, width: int, height: int, ascii_only: bool = False) -> Text:
    """Draw a front as a staircase over the dominated points.

    Args:
        front: What to draw; at least one point.
        width: Columns of the whole drawing, at least 20.
        height: Lines of the whole drawing, at least 5.
        ascii_only: Whether the terminal shows nothing else.

    Returns:
        The lines, of ``width`` columns at most.
    """
    glyphs = _ASCII if ascii_only else _UNICODE
    frame = _frame(front, width - _MARGIN - 1, height - 2)
    cells = _cells(front, frame)
    text = Text(no_wrap=True)
    for row in range(frame.rows):
        text.append(_accuracy_tick(frame, row), "dim").append(
            glyphs["left" if row in (0, frame.rows - 1) else "edge"], "dim"
        )
        line = [cells.get((column, row), "") for column in range(frame.columns)]
        for kind, run in groupby(line):  # a piece of text costs more than its length
            text.append(glyphs[kind] * len(list(run)), _STYLES.get(kind, ""))
        text.append("\n")
    text.append(" " * _MARGIN + glyphs["foot"] + glyphs["across"] * frame.columns + "\n", "dim")
    return text.append(_seconds_ticks(frame), "dim")


def _frame(front: Front, columns: int, rows: int) -> _Frame:
    seconds = [point.train_seconds for point in (*front.points, *front.dominated)]
    accuracies = accuracy_floor(front), front.points[-1].accuracy
    return _Frame(columns, rows, (min(seconds), max(seconds)), accuracies, spans_decades(seconds))


def _cells(front: Front, frame: _Frame) -> dict[tuple[int, int], str]:
    """Name what each cell shows; what is set later lies on top."""
    cells = {frame.cell(point): "dominated" for point in front.dominated}
    corners = [frame.cell(point) for point in front.points]
    for (x, y), (end, above) in zip(corners, [*corners[1:], (frame.columns, corners[-1][1])], strict=True):
        cells.update({(column, y): "across" for column in range(x, end)})
        cells.update({(end, row): "up" for row in range(above, y)})
        if above < y:
            cells[end, y] = "turn"
    return {**cells, **dict.fromkeys(corners, "front")}


def _accuracy_tick(frame: _Frame, row: int) -> str:
    bottom, top = frame.accuracies
    shown = {0: top, frame.rows - 1: bottom}.get(row)
    return " " * _MARGIN if shown is None else f"{100 * shown:5.1f}%"


def _seconds_ticks(frame: _Frame) -> str:
    low, high = (f"{seconds_text(seconds)} s" for seconds in frame.seconds)
    return " " * (_MARGIN + 1) + low + high.rjust(frame.columns - len(low))
