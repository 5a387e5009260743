"""The fronts on several classes of device as one table for LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paretosearch.report.booktabs import MOST_ROWS, percent_cell, seconds_cell, simulated_notes, tabular
from paretosearch.report.classes import labels
from paretosearch.report.findings import Findings, OnClass
from paretosearch.report.latex import escaped
from paretosearch.report.look import Look
from paretosearch.report.reading import evenly
from paretosearch.report.simulated import mark
from paretosearch.report.timed import by_place, replays_of
from paretosearch.store import Point


def fronts_tabular(found: Findings, look: Look) -> str:
    """Make the table of every trial that is on a front, with its seconds on each class of device.

    Args:
        found: What the study has found, on several classes.
        look: Whose language to use.

    Returns:
        A ``tabular`` no wider than the text, with hints for its caption as comments.
    """
    front = [_a_point(found, trial) for trial in found.members]
    points = evenly(front, MOST_ROWS)
    named = labels([of_class.device_class for of_class in found.classes], look)
    heads = [look.say(head) for head in ("trial", "accuracy (%)")]
    heads += [f"{named[of_class.device_class]}\n{look.say('time (s)')}" for of_class in found.classes]
    numbers = [[str(p.trial), percent_cell(p.accuracy, look), *_seconds(found, p.trial, look)] for p in points]
    hints = ["each row is on the front of at least one class of device"]
    hints += _timed(found)
    notes = [*_notes(found, points), *simulated_notes(points, look)]
    return tabular(found, look, heads, numbers, points, front, notes, hints)


def _timed(found: Findings) -> Iterator[str]:
    """Say what was timed again, where it had been trained and elsewhere."""
    for attempts, where in zip(by_place(found.attempts), ("on another class", "where it was trained"), strict=True):
        replays = replays_of(attempts, found.device_seconds)
        if replays.attempts:
            yield f"timed again {where}, without training: {replays}"


def _a_point(found: Findings, trial: int) -> Point:
    return next(point for of_class in found.classes if (point := of_class.point(trial)))


def _seconds(found: Findings, trial: int, look: Look) -> Iterator[str]:
    """Give the cells of a trial's seconds: in brackets where it is dominated, a dash where it has no result."""
    for of_class in found.classes:
        point = of_class.point(trial)
        if point is None:
            yield "--"
            continue
        seconds, on_front = seconds_cell(point.train_seconds, _digits(of_class), look), point in of_class.front.points
        behind = escaped("*" * point.noisy + mark(point)) + ")" * (not on_front)
        yield r"\llap{(}" * (not on_front) + seconds + (rf"\rlap{{{behind}}}" if behind else "")


def _digits(of_class: OnClass) -> int:
    return 2 if of_class.front.points[0].train_seconds < 100 else 1


def _notes(found: Findings, rows: Sequence[Point]) -> Iterator[str]:
    yield "single trainings, not confirmed" if not found.is_confirmed else "first results, before repeats"
    points = [of_class.point(row.trial) for row in rows for of_class in found.classes]
    if any(point is None for point in points):
        yield "(seconds): dominated on that class; a dash: no result there"
    else:
        yield "(seconds): dominated on that class"
    if any(point is not None and point.noisy for point in points):
        yield "* disturbed while it was timed"
