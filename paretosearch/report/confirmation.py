"""The figure and the table of what repeats made of a front."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paretosearch.report.confirmed import shown_of
from paretosearch.report.labels import Label, Points, place
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import Marks, marks_of
from paretosearch.report.plots import SECONDS, accuracy_label, along_stairs, draw_signs, sign_handles, value_handles
from paretosearch.report.reading import evenly
from paretosearch.report.style import FAINT, INK, legend, new_figure, seconds_axis, styled
from paretosearch.report.words import axis_value
from paretosearch.store import Estimate

#: More labels beside crosses of intervals are a thicket.
_MOST_LABELS = 12
_NONE: Mapping[int, str] = MappingProxyType({})
_INTERVAL: dict[str, Any] = {"color": INK, "linewidth": 0.8, "marker": "|", "markersize": 5}
#: How a result of the front looks that nobody has repeated.
_ALONE: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.8}
_HOLLOW: dict[str, Any] = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "markeredgecolor": FAINT}


@styled
def confirmed_figure(estimates: Sequence[Estimate], changes: Mapping[int, str] = _NONE, look: Look = PAPER) -> Figure:
    """Draw the front of the means, with intervals, over the results by which its members were chosen.

    Args:
        estimates: Of all results; one of them with a repeat at least.
        changes: What became of the network, by trial, where it changed its shape.
        look: What it is made for.

    Returns:
        The figure.
    """
    shown = shown_of(estimates)
    figure = new_figure(3.6, look)
    axes = figure.add_subplot(xlabel=look.say(SECONDS), ylabel=accuracy_label(look))
    seconds_axis(axes, [s for e in shown for s in (e.train_seconds, e.point.train_seconds)])
    marks = marks_of([e.point for e in shown])
    for estimate in shown:
        _draw(axes, estimate, marks)
    front = sorted((e for e in shown if e.on_front), key=lambda e: e.train_seconds)
    x, y = [e.train_seconds for e in front], [100 * e.accuracy for e in front]
    axes.margins(0.06, 0.1)
    axes.autoscale_view()
    axes.step([*x, axes.get_xlim()[1]], [*y, y[-1]], where="post", color=INK, linewidth=1.1, zorder=2)
    axes.set_xlim(axes.get_xlim())
    draw_signs(axes, [(e.point, e.train_seconds, 100 * e.accuracy) for e in front if e.repeats], marks, changes)
    legend(figure, _handles(marks, shown, [changes.get(e.point.trial, "") for e in front if e.repeats], look))
    labels = [
        Label(look.say("trial {number}", number=e.point.trial), e.train_seconds, 100 * e.accuracy)
        for e in evenly(front, _MOST_LABELS)
    ]
    place(axes, labels, np.concatenate([_crosses(shown), along_stairs([*x, axes.get_xlim()[1]], [*y, y[-1]])]))
    return figure


def _handles(marks: Marks, shown: Sequence[Estimate], changes: Collection[str], look: Look) -> list[Line2D]:
    handles = [Line2D([], [], color=INK, linewidth=1.1, label=look.say("front of the means"))]
    handles += value_handles(marks, [e.point for e in shown], look)
    handles += sign_handles(changes, look)
    handles.append(Line2D([], [], **_INTERVAL, label=look.say("mean, 95 % interval")))
    handles.append(Line2D([], [], **_HOLLOW, markersize=4.5, label=look.say("first result")))
    if any(e.on_front and not e.repeats for e in shown):
        once = {"marker": "o", "linestyle": "none", **_ALONE}
        handles.append(Line2D([], [], **once, markersize=5.5, label=look.say("not repeated")))
    return handles


def _crosses(shown: Sequence[Estimate]) -> Points:
    """Give marks and intervals as points (N, 2), to be kept clear of labels."""
    along = np.linspace(-1, 1, 15)
    level, still = np.ones_like(along), np.zeros_like(along)
    crosses = []
    for e in shown:
        right, up = (e.seconds_interval, 100 * e.accuracy_interval) if e.repeats else (0.0, 0.0)
        for dx, dy in ((along * right, still), (still, along * up)):
            crosses.append(np.stack([e.train_seconds * level + dx, 100 * e.accuracy * level + dy], axis=1))
    return np.concatenate(crosses)


def _draw(axes: Axes, estimate: Estimate, marks: Marks) -> None:
    x, y = estimate.train_seconds, 100 * estimate.accuracy
    first = estimate.point.train_seconds, 100 * estimate.point.accuracy
    shape = marks.solid(marks.value(estimate.point)) if estimate.on_front else marks.faint(marks.value(estimate.point))
    colour = INK if estimate.on_front else FAINT
    if estimate.repeats:
        halves: dict[str, Any] = {"xerr": estimate.seconds_interval, "yerr": 100 * estimate.accuracy_interval}
        axes.errorbar(x, y, **halves, color=colour, linewidth=0.8, capsize=2)
        axes.plot(*zip(first, (x, y), strict=True), color=FAINT, linewidth=0.6, linestyle=":", zorder=1)
        axes.plot(*first, **_HOLLOW, markersize=4.5, zorder=1)
    elif estimate.on_front:
        shape = {**shape, **_ALONE}
    axes.plot(x, y, **shape, markersize=6.5, zorder=4)


def confirmed_rows(estimates: Sequence[Estimate], axes: Collection[str]) -> list[dict[str, Any]]:
    """Make the rows of a table: what is known of each result that may be on the front."""
    return [
        {
            "trial": e.point.trial,
            "repeats": e.repeats,
            "train_seconds": e.train_seconds,
            "train_seconds_half_width_95": e.seconds_interval if e.repeats else None,
            "accuracy": e.accuracy,
            "accuracy_half_width_95": e.accuracy_interval if e.repeats else None,
            "test_accuracy": e.test_accuracy,
            "first_train_seconds": e.point.train_seconds,
            "first_accuracy": e.point.accuracy,
            "membership": e.membership,
            "on_front": e.on_front,
            "on_epsilon_front": e.on_epsilon_front,
            **{axis: axis_value(e.point.recipe, axis) for axis in axes},
        }
        for e in shown_of(estimates)
    ]
