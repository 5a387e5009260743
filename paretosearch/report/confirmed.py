"""What repeats say of a front, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paretosearch.report.phrases import Phrases
from paretosearch.report.simulated import simulated, simulated_lines
from paretosearch.report.words import axis_value, counted, listed, words
from paretosearch.store import Estimate

#: Columns whose numbers are set below each other by spaces, since what stands behind them is not always there.
_PADDED = ("seconds", "accuracy %")


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
        table.add_column(heading, justify="left" if heading in _PADDED else "right", no_wrap=True)
    table.add_column("recipe")
    shared = {axis for axis in axes if len({axis_value(e.point.recipe, axis) for e in shown}) == 1 < len(shown)}
    seconds, accuracy = _seconds(shown), _accuracy(shown)
    for estimate in shown:
        recipe = Phrases(words(estimate.point.recipe, axes, shared))
        table.add_row(
            *_cells(estimate, next(seconds), next(accuracy)), recipe, style="" if estimate.on_front else "dim"
        )
    return Group(table, *(Text(note, "dim") for note in _notes(shown)))


def shown_of(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Leave out what has hardly a chance to be on the front, unless that is known from repeats."""
    return [e for e in estimates if e.repeats or e.may_be_on_front]


def _cells(estimate: Estimate, seconds: str, accuracy: str) -> tuple[str, ...]:
    return (
        str(estimate.point.trial),
        str(estimate.repeats),
        seconds,
        accuracy,
        f"{100 * estimate.point.accuracy:.2f}" if estimate.repeats else "",
        "" if estimate.test_accuracy is None else f"{100 * estimate.test_accuracy:.2f}",
        f"{estimate.membership:.2f}",
    )


def _seconds(shown: Sequence[Estimate]) -> Iterator[str]:
    digits = [2 if e.train_seconds < 100 else 1 for e in shown]
    halves = [f" ±{e.seconds_interval:.{d}f}" if e.repeats else "" for e, d in zip(shown, digits, strict=True)]
    return _padded([f"{e.train_seconds:.{d}f}" for e, d in zip(shown, digits, strict=True)], halves)


def _accuracy(shown: Sequence[Estimate]) -> Iterator[str]:
    halves = [f" ±{100 * e.accuracy_interval:.2f}" if e.repeats else "" for e in shown]
    return _padded([f"{100 * e.accuracy:.2f}" for e in shown], halves)


def _padded(means: Sequence[str], halves: Sequence[str]) -> Iterator[str]:
    """Set means below each other, whether there is an interval behind them or not."""
    room = max(map(len, means))
    return (f"{mean.rjust(room)}{half}" for mean, half in zip(means, halves, strict=True))


def _notes(shown: Sequence[Estimate]) -> Iterator[str]:
    yield "n: repeats with other seeds; seconds and accuracy are their means ± half of 95 % intervals"
    yield "first: the result that it was chosen by, too good on average; P: probability that it is on the front"
    alone = [e.point.trial for e in shown if not e.repeats]
    if alone:
        yield "n = 0: a single training, whose interval nobody knows"
        which = f"trial {alone[0]} has" if len(alone) == 1 else f"trials {', '.join(map(str, alone))} have"
        yield f"{which} no repeat yet: paretosearch confirm"
    off = [e for e in shown if not e.on_front]
    if off:
        near = [e.point.trial for e in off if e.on_epsilon_front]
        close = f"; within 2 % and 0.2 points of the front: {listed(near)}" if near else ""
        yield f"dominated by a mean: {listed([e.point.trial for e in off])}{close}"
    yield from simulated_lines([e.point for e in shown])


def standing(estimates: Sequence[Estimate]) -> str:
    """Say how much of the front of the means is repeated, such as ``partly confirmed: 4 of 6 ...``."""
    front = [e for e in estimates if e.on_front]
    alone = sorted(e.point.trial for e in front if not e.repeats)
    if not alone:
        return "confirmed"
    if len(alone) == len(front):
        return "not confirmed"
    which = f"{listed(alone)} {'is' if len(alone) == 1 else 'are'} not"
    return f"partly confirmed: {len(front) - len(alone)} of {counted(len(front), 'front trial')} are repeated; {which}"


def confirmed_json(estimates: Sequence[Estimate]) -> list[dict[str, Any]]:
    """Give what is known of the results that may be on the front, as JSON can hold it."""
    return [
        {
            "trial": e.point.trial,
            **{name: value for name, value in vars(e).items() if name != "point"},
            **({} if e.repeats else {"seconds_interval": None, "accuracy_interval": None}),
            "first": {"train_seconds": e.point.train_seconds, "accuracy": e.point.accuracy},
            "simulated": list(simulated(e.point)),
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
