"""The figure of a study's fronts on several classes of device, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch

from paretosearch.report.classes import labels
from paretosearch.report.findings import OnClass
from paretosearch.report.joins import join, joins_of, steps_along
from paretosearch.report.labels import Label, place
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import marks_of
from paretosearch.report.plots import (
    SECONDS,
    accuracy_label,
    draw_front,
    front_handles,
    notable_labels,
    seen_points,
    visible,
)
from paretosearch.report.reading import percent_range
from paretosearch.report.style import FAINT, legend, new_figure, settle, styled

#: Panels that fit the width.
_MOST_ACROSS = 3
#: Of the marks on a front, in typographic points.
_SIZES = {"thesis": 5.5, "slides": 4.5}
#: Inches of a panel in which there is room for long labels.
_WIDE = 2.5
#: How the same recipe is joined from panel to panel, and what a legend says of that.
BOTH, EITHER = "same recipe", "dominated in one"
_LINES: Mapping[str, dict[str, Any]] = {
    BOTH: {"color": "#8aa9c0", "linewidth": 0.6, "linestyle": "-"},
    EITHER: {"color": "#b8875a", "linewidth": 0.6, "linestyle": "--"},
}


@styled
def fronts_figure(classes: Sequence[OnClass], changes: Mapping[int, str], note: str = "", look: Look = PAPER) -> Figure:
    """Draw a panel for each class of device, with the same accuracies, and join the points of the same recipe.

    Args:
        classes: What a study has found on each; at least one point.
        changes: What became of the network, by trial, where it changed its shape.
        note: What to know of the points, at the edge of the figure.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure, panels = _panels(classes, look)
    marks = marks_of([p for of_class in classes for p in (*of_class.front.points, *of_class.front.dominated)])
    ranges = [percent_range(of_class.front) for of_class in classes]
    percent, size = (min(low for low, _ in ranges), max(high for _, high in ranges)), _SIZES[look.style]
    drawn = zip(panels, classes, strict=True)
    below = [draw_front(axes, of_class.front, marks, changes, percent, size) for axes, of_class in drawn]
    for pair in _neighbours(panels, classes):
        for made in _joins(*pair):
            figure.add_artist(made)
    shown = [point for of_class in classes for point in seen_points(of_class.front, percent[0])]
    dominated = len(shown) > sum(len(of_class.front.points) for of_class in classes)
    seen = [changes[p.trial] for of_class in classes for p in of_class.front.points if p.trial in changes]
    handles = front_handles(marks, shown, dominated, max(below), seen, look)
    legend(figure, [*handles, *_join_handles(joins_of(figure), look)])
    wide = look.width / _across(len(classes)) > _WIDE
    above = "" if wide else "\n"  # the name of a narrow panel, which leaves no room beside it
    panels[_across(len(classes)) - 1].set_title(look.say(note) + above, loc="right", color=FAINT, fontsize=7)
    if look.style == "thesis":  # the panels of slides are too low for labels
        _name(figure, panels, [notable_labels(of_class.front, look, not wide) for of_class in classes], classes)
    return figure


def _name(figure: Figure, panels: Sequence[Axes], named: Sequence[Sequence[Label]], classes: Sequence[OnClass]) -> None:
    """Write labels where they cover neither the front nor what joins it to others."""
    settle(figure)  # only then it is known where lines from elsewhere cross a panel
    for axes, labels_here, of_class in zip(panels, named, classes, strict=True):
        crossing = [steps_along(made, axes) for made in joins_of(figure)]
        place(axes, labels_here, np.concatenate([visible(axes, of_class.front), *crossing]))


def _panels(classes: Sequence[OnClass], look: Look) -> tuple[Figure, list[Axes]]:
    """Make a panel for each class, under its name."""
    across = _across(len(classes))
    rows = math.ceil(len(classes) / across)
    figure = new_figure(0.9 + 2.7 * rows, look)
    grid = figure.subplots(rows, across, sharey=True, squeeze=False)
    for row in grid:
        row[0].set_ylabel(accuracy_label(look))
    named = labels([of_class.device_class for of_class in classes], look)
    for axes, of_class in zip_longest(grid.ravel(), classes):
        if of_class is None:
            axes.set_visible(False)
            continue
        axes.set_title(named[of_class.device_class], loc="left")
        axes.set_xlabel(look.say(SECONDS))
        axes.grid(visible=False, axis="y")  # the joins are level too
        axes.set_facecolor("none")  # or it would hide them, which lie below all panels
    return figure, list(grid.ravel()[: len(classes)])


def _across(classes: int) -> int:
    return math.ceil(classes / math.ceil(classes / _MOST_ACROSS))


_Panel = tuple[Axes, OnClass]


def _neighbours(panels: Sequence[Axes], classes: Sequence[OnClass]) -> Iterator[tuple[_Panel, _Panel]]:
    """Give the panels that stand side by side in a row, with what is in them."""
    across = _across(len(classes))
    for number, pair in enumerate(pairwise(zip(panels, classes, strict=True)), 1):
        if number % across:
            yield pair


def _joins(left: _Panel, right: _Panel) -> Iterator[ConnectionPatch]:
    """Make a line between the two points of each recipe that is on the front of a panel."""
    (axes, here), (other, there) = left, right
    fronts = [{point.trial for point in of_class.front.points} for of_class in (here, there)]
    for trial in sorted(fronts[0] | fronts[1]):
        start, end = here.point(trial), there.point(trial)
        if start is None or end is None:
            continue
        kind = BOTH if trial in fronts[0] & fronts[1] else EITHER
        yield join((axes, start), (other, end), kind, **_LINES[kind])


def _join_handles(joins: Sequence[ConnectionPatch], look: Look) -> list[Line2D]:
    kinds = {made.get_label() for made in joins}
    return [Line2D([], [], **line, label=look.say(kind)) for kind, line in _LINES.items() if kind in kinds]
