"""The front as a table, to read or to process."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from paretosearch.report.cells import flat_recipe, write_csv
from paretosearch.report.phrases import Phrases
from paretosearch.report.reading import evenly
from paretosearch.report.simulated import NOTHING, Noticed, mark, projected_saving, simulated, simulated_lines
from paretosearch.report.words import PLAIN, axis_value, titles, value_text, words
from paretosearch.store import Front, Point


def front_table(front: Front, axes: Collection[str], most: int = 10_000, noticed: Noticed = NOTHING) -> FrontTable:
    """Make the table of a front.

    Args:
        front: What to show.
        axes: The searched fields and ``method.parameter`` names.
        most: Rows to show, evenly spread and with both ends.
        noticed: What Methods noticed, by trial.

    Returns:
        Something to print, which fits itself to the width it finds.
    """
    shared = {axis for axis in axes if len({axis_value(point.recipe, axis) for point in front.points}) == 1}
    varying = tuple(axis for axis in axes if axis not in shared or len(front.points) == 1)
    return FrontTable(front, tuple(axes), varying, most, noticed)


@dataclass(frozen=True)
class FrontTable:
    """A front that fits its terminal: a column an axis where there is room, the Recipe in words where there is not.

    What all its Recipes share is said once, below.

    Args:
        front: What to show.
        axes: The searched fields and ``method.parameter`` names.
        varying: Those of them that get a column.
        most: Rows to show.
        noticed: What Methods noticed, by trial.
    """

    front: Front
    axes: tuple[str, ...]
    varying: tuple[str, ...]
    most: int
    noticed: Noticed

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the form that fits."""
        if not self.front.points:
            yield Text("no trial is complete yet", "dim")
            return
        wide = self._wide()
        needed = Measurement.get(console, options.update(max_width=10_000), wide).maximum
        yield wide if needed <= options.max_width else self._narrow()
        yield from (Text(note, "dim") for note in self._notes())

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for the room of the wide form."""
        least = Measurement.get(console, options, self._narrow()).minimum
        return Measurement(least, Measurement.get(console, options, self._wide()).maximum)

    def _wide(self) -> Table:
        table, named = self._begin(), titles(self.axes)
        for axis in self.varying:
            is_text = any(isinstance(axis_value(point.recipe, axis), str) for point in self.front.points)
            table.add_column(named[axis], justify="left" if is_text else "right", no_wrap=True)
        for point, numbers in self._rows():
            table.add_row(*numbers, *(Text(value_text(axis_value(point.recipe, axis))) for axis in self.varying))
        return table

    def _narrow(self) -> Table:
        table = self._begin()
        table.add_column("recipe")
        shared = set(self.axes).difference(self.varying)
        for point, numbers in self._rows():
            table.add_row(*numbers, Phrases(words(point.recipe, self.axes, shared)))
        return table

    def _begin(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for heading in ("trial", "seconds", "accuracy", *(["test"] if self._tested else [])):
            table.add_column(heading, justify="right", no_wrap=True)
        return table

    def _rows(self) -> Iterator[tuple[Point, list[str]]]:
        digits = 2 if self.front.points[0].train_seconds < 100 else 1
        marks = any(simulated(point) for point in self.front.points)
        for point in evenly(self.front.points, self.most):
            behind = (mark(point) or " ") if marks else ""
            seconds = f"{'~' if point.noisy else ''}{point.train_seconds:.{digits}f}{behind}"
            numbers = [str(point.trial), seconds, _percent(point.accuracy)]
            yield point, [*numbers, *([_percent(point.test_accuracy)] if self._tested else [])]

    @property
    def _tested(self) -> bool:
        return any(point.test_accuracy is not None for point in self.front.points)

    def _notes(self) -> Iterator[str]:
        shared = words(self.front.points[0].recipe, self.axes, self.varying)
        if shared != PLAIN:
            yield f"all: {shared}"
        if any(point.noisy for point in self.front.points):
            on_gpu = self.front.points[0].device_class.startswith("cuda")
            other = "another program used the GPU, or " if on_gpu else ""
            yield f"~ disturbed: {other}mean and median of the steps differ by more than 5 %"
        yield from simulated_lines(self.front.points, self.noticed)
        if (hidden := len(self.front.points) - self.most) > 0:
            yield f"{hidden} more between these"


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * accuracy:.2f} %"


def front_json(front: Front, noticed: Noticed = NOTHING) -> list[dict[str, Any]]:
    """Give the points of a front as JSON can hold them, by training seconds.

    Args:
        front: The front.
        noticed: What Methods noticed, by trial.

    Returns:
        For each point its fields, with the whole Recipe and its digest; what of it is ``simulated``, and the share of
        its backward pass that is projected to be saved, None where nobody counted.
    """
    return [
        {
            **measures(point),
            "simulated": list(simulated(point)),
            "backward_macs_saved": projected_saving(point.recipe, noticed.get(point.trial, ())),
            "recipe": json.loads(point.recipe.to_json()),
        }
        for point in front.points
    ]


def front_csv(front: Front, target: Path | TextIO) -> None:
    """Write the points of a front as CSV, by training seconds.

    Args:
        front: The front.
        target: A path, or an open text file.
    """
    points_csv(front.points, target)


def points_csv(points: Sequence[Point], target: Path | TextIO) -> None:
    """Write points as CSV.

    Args:
        points: The points, in the order of the rows.
        target: A path, or an open text file.
    """
    write_csv([{**measures(point), **flat_recipe(point.recipe)} for point in points], target, first=_COLUMNS)


#: What stands at its own place, or is said by what is simulated.
_LEFT_OUT = ("trial", "recipe", "by_integers")

_MEASURES = ("trial", *(field.name for field in fields(Point) if field.name not in _LEFT_OUT), "digest")

_COLUMNS = (*_MEASURES, "simulated")


def measures(point: Point) -> dict[str, Any]:
    """Give the fields of a point but its Recipe, with the digest of that, and what of it is simulated."""
    return {**{name: getattr(point, name) for name in _MEASURES}, "simulated": " ".join(simulated(point))}
