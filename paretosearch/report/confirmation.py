"""The figure and the table of what repeats made of a front."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paretosearch.report.confirmed import shown_of
from paretosearch.report.labels import Label, place
from paretosearch.report.marks import Marks, marks_of
from paretosearch.report.plots import ACCURACY, SECONDS
from paretosearch.report.style import FAINT, INK, new_figure, seconds_axis, styled
from paretosearch.report.words import axis_value
from paretosearch.store import Estimate

_HOLLOW: dict[str, Any] = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "markeredgecolor": FAINT}


@styled
def confirmed_figure(estimates: Sequence[Estimate]) -> Figure:
    """Draw the front of the means, with intervals, over the results by which its members were chosen.

    Args:
        estimates: Of all results; one of them with a repeat at least.

    Returns:
        The figure.
    """
    shown = shown_of(estimates)
    figure = new_figure(3.6)
    axes = figure.add_subplot(xlabel=SECONDS, ylabel=ACCURACY)
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
    handles = [Line2D([], [], color=INK, linewidth=1.1, label="front of the means")]
    handles += [Line2D([], [], **marks.solid(value), markersize=5.5, label=value) for value in marks.values]
    handles.append(Line2D([], [], **_HOLLOW, markersize=4.5, label="first result, by which it was chosen"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    labels = [Label(f"trial {e.point.trial}", e.train_seconds, 100 * e.accuracy) for e in front]
    place(axes, labels, np.array([(e.train_seconds, 100 * e.accuracy) for e in shown]))
    return figure


def _draw(axes: Axes, estimate: Estimate, marks: Marks) -> None:
    x, y = estimate.train_seconds, 100 * estimate.accuracy
    first = estimate.point.train_seconds, 100 * estimate.point.accuracy
    look = marks.solid(marks.value(estimate.point)) if estimate.on_front else marks.faint(marks.value(estimate.point))
    colour = INK if estimate.on_front else FAINT
    halves: dict[str, Any] = {"xerr": estimate.seconds_interval, "yerr": 100 * estimate.accuracy_interval}
    axes.errorbar(x, y, **halves, color=colour, linewidth=0.8, capsize=2)
    if estimate.repeats:
        axes.plot(*zip(first, (x, y), strict=True), color=FAINT, linewidth=0.6, linestyle=":", zorder=1)
        axes.plot(*first, **_HOLLOW, markersize=4.5, zorder=1)
    axes.plot(x, y, **look, markersize=6, zorder=4)


def confirmed_rows(estimates: Sequence[Estimate], axes: Collection[str]) -> list[dict[str, Any]]:
    """Make the rows of a table: what is known of each result that may be on the front."""
    return [
        {
            "trial": e.point.trial,
            "repeats": e.repeats,
            "train_seconds": e.train_seconds,
            "train_seconds_half_width_95": e.seconds_interval,
            "accuracy": e.accuracy,
            "accuracy_half_width_95": e.accuracy_interval,
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
