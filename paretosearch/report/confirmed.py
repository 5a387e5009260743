"""What repeats say of a front, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paretosearch.report.words import axis_value, counted, words
from paretosearch.store import Estimate


def confirmed_table(estimates: Sequence[Estimate], axes: Collection[str]) -> RenderableType:
    """Show what is known of the results that may be on the front.

    Args:
        estimates: Of all results, by mean seconds.
        axes: The searched fields and ``method.parameter`` names.
    """
    shown = shown_of(estimates)
    if not shown:
        return Text("no trial is complete yet", "dim")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in ("trial", "n", "seconds", "accuracy %", "first", "test", "P"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("recipe")
    shared = {axis for axis in axes if len({axis_value(e.point.recipe, axis) for e in shown}) == 1 < len(shown)}
    for estimate in shown:
        recipe = Text(words(estimate.point.recipe, axes, shared))
        table.add_row(*_cells(estimate), recipe, style="" if estimate.on_front else "dim")
    return Group(table, *(Text(note, "dim") for note in _notes(shown)))


def shown_of(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Leave out what has hardly a chance to be on the front, unless that is known from repeats."""
    return [e for e in estimates if e.repeats or e.may_be_on_front]


def _cells(estimate: Estimate) -> tuple[str, ...]:
    digits = 2 if estimate.train_seconds < 100 else 1
    return (
        str(estimate.point.trial),
        str(estimate.repeats or ""),
        f"{estimate.train_seconds:.{digits}f} ±{estimate.seconds_interval:.{digits}f}",
        f"{100 * estimate.accuracy:.2f} ±{100 * estimate.accuracy_interval:.2f}",
        f"{100 * estimate.point.accuracy:.2f}" if estimate.repeats else "",
        "" if estimate.test_accuracy is None else f"{100 * estimate.test_accuracy:.2f}",
        f"{estimate.membership:.2f}",
    )


def _notes(shown: Sequence[Estimate]) -> Iterator[str]:
    yield "n: repeats with other seeds; seconds and accuracy are their means ± half of 95 % intervals"
    yield "first: the result that it was chosen by, too good on average; P: probability that it is on the front"
    alone = [str(e.point.trial) for e in shown if not e.repeats]
    if alone:
        which = f"trial {alone[0]} has" if len(alone) == 1 else f"trials {', '.join(alone)} have"
        yield f"{which} no repeat yet: paretosearch confirm"
    if any(not e.on_front for e in shown):
        near = [str(e.point.trial) for e in shown if e.on_epsilon_front and not e.on_front]
        close = f"; within 2 % and 0.2 points of the front: {', '.join(near)}" if near else ""
        yield f"dim: dominated by a mean{close}"


def confirmed_json(estimates: Sequence[Estimate]) -> list[dict[str, Any]]:
    """Give what is known of the results that may be on the front, as JSON can hold it."""
    return [
        {
            "trial": e.point.trial,
            **{name: value for name, value in vars(e).items() if name != "point"},
            "first": {"train_seconds": e.point.train_seconds, "accuracy": e.point.accuracy},
            "digest": e.point.digest,
            "recipe": json.loads(e.point.recipe.to_json()),
        }
        for e in shown_of(estimates)
    ]


def curse_line(estimates: Sequence[Estimate]) -> str | None:
    """Say by how much the first results of those that were repeated were too good; None without repeats."""
    both = [(e.point.accuracy, e.accuracy) for e in estimates if e.repeats]
    if not both:
        return None
    mean = sum(first - later for first, later in both) / len(both)
    better = "better" if mean >= 0 else "worse"
    return f"first results were {100 * abs(mean):.2f} points {better} than repeats, in {counted(len(both), 'result')}"
