"""The figure that sets each searched axis against both objectives."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import BELOW, KNOWN_ORDER
from paretosearch.report.reading import accuracy_floor, spans_decades
from paretosearch.report.rulers import Ruler, ruler_of
from paretosearch.report.style import INK, PALETTE, legend, new_figure, seconds_axis, styled
from paretosearch.report.swarm import shifted
from paretosearch.report.words import axis_value, titles
from paretosearch.store import Front, Point

#: Panels that fit the width of a page, and of slides.
_MOST_ACROSS = {"thesis": 4, "slides": 3}
#: What the rows of panels are called; those of slides are too low for more.
_NAMES = {
    "thesis": ("validation\naccuracy (%)", "training\ntime (s)"),
    "slides": ("accuracy\n(%)", "time\n(s)"),
}
#: Rows of such pairs that fit a page, and a slide of 16:9.
_MOST_BANDS = {"thesis": 3, "slides": 1}
#: Inches of a row before it is scaled for slides, which it fills.
_BAND_HEIGHTS = {"thesis": 2.9, "slides": 3.2}
#: Letters of a tick, as broad as a digit, that fit into the panels of a row.
_LETTERS = {"thesis": 72, "slides": 54}
#: Trials beyond which those that are dominated are drawn as dots.
_MANY = 150
#: Breadth of a mark in letters of a tick, its height as a share of a panel, and how much smaller it may be taken for
#: where most are dots.
_MARK_LETTERS, _MARK_HEIGHT, _SMALL = 1.1, 0.07, 0.6
#: How far marks may stand from a number, and from a name.
_MOST_SHIFT = 0.08, 0.4
_REST: dict[str, Any] = {
    "marker": "o",
    "linestyle": "none",
    "color": "none",
    "markeredgecolor": "#b0b0b0",
    "markersize": 3.2,
    "markeredgewidth": 0.6,
}
_DOT = {**_REST, "marker": ".", "color": "#b0b0b0", "markersize": 2.2, "markeredgewidth": 0.0}
_FRONT = {**_REST, "color": PALETTE[0], "markeredgecolor": INK, "markersize": 4.2, "zorder": 3}


@styled
def axes_figures(front: Front, axes: Collection[str], look: Look = PAPER) -> Sequence[Figure]:
    """Draw, for each searched axis that varies, all trials against accuracy and against seconds.

    Args:
        front: The trials; at least one point.
        axes: The searched fields and ``method.parameter`` names; at least one.
        look: What it is made for.

    Returns:
        The figures, more than one where they would be too high: two panels an axis, up to four axes across.
    """
    named = [(axis, title) for axis, title in titles(axes, short=False).items() if axis in varying(front, axes)]
    across = math.ceil(len(named) / math.ceil(len(named) / _MOST_ACROSS[look.style]))
    bands = [named[start : start + across] for start in range(0, len(named), across)]
    most = _MOST_BANDS[look.style]
    return [_page(front, bands[start : start + most], across, look) for start in range(0, len(bands), most)]


def _page(front: Front, bands: Sequence[Sequence[tuple[str, str]]], across: int, look: Look) -> Figure:
    figure = new_figure(0.3 + _BAND_HEIGHTS[look.style] * len(bands), look)
    for part, named in zip(figure.subfigures(len(bands), 1, squeeze=False)[:, 0], bands, strict=True):
        _band(part, front, named, across, look)
    handles = [Line2D([], [], **_FRONT, label=look.say("on the front"))]
    handles.append(Line2D([], [], **_rest(front), label=look.say("dominated")))
    if below := sum(point.accuracy < accuracy_floor(front) for point in front.dominated):
        handles.append(Line2D([], [], **BELOW, label=look.say("{count} below the axis", count=below)))
    legend(figure, handles)
    return figure


def _rest(front: Front) -> dict[str, Any]:
    return _DOT if len(front.dominated) > _MANY else _REST


def varying(front: Front, axes: Collection[str]) -> Collection[str]:
    """Leave out axes on which all trials are the same, unless that leaves nothing."""
    trials = (*front.points, *front.dominated)
    return [axis for axis in axes if len({axis_value(trial.recipe, axis) for trial in trials}) > 1] or axes


def _band(part: Any, front: Front, named: Sequence[tuple[str, str]], across: int, look: Look) -> None:
    grid = part.subplots(2, across, sharey="row", squeeze=False)
    for column, (axis, title) in enumerate(named):
        values = [axis_value(point.recipe, axis) for point in (*front.points, *front.dominated)]
        ruler = ruler_of(values, KNOWN_ORDER.get(axis, ()), _LETTERS[look.style] // across)
        _accuracies(grid[0, column], front, axis, ruler)
        _seconds(grid[1, column], front, axis, ruler)
        grid[0, column].tick_params(labelbottom=False)
        grid[1, column].set_xlabel(_named(axis, look.say(title), title, _LETTERS[look.style] // across))
    for panel in grid[:, len(named) :].ravel():
        panel.set_visible(False)
    seconds_axis(grid[1, 0], [point.train_seconds for point in (*front.points, *front.dominated)], "y")
    accuracy, time = _NAMES[look.style]
    grid[0, 0].set_ylabel(look.say(accuracy))
    grid[1, 0].set_ylabel(look.say(time))
    part.align_xlabels(grid[1])


def _named(axis: str, said: str, title: str, letters: int) -> str:
    """Name a panel; a parameter that is not called by its Method says whose it is."""
    method, _, parameter = axis.partition(".")
    owner = method.replace("_", " ")
    whole = f"{said} ({owner})" if parameter and owner not in title else said
    return "\n".join(wrap(whole, letters))


def _accuracies(panel: Axes, front: Front, axis: str, ruler: Ruler) -> None:
    floor, high = 100 * accuracy_floor(front), 100 * front.points[-1].accuracy
    room = 0.07 * max(high - floor, 1.0)
    shown = sorted((p for p in front.dominated if 100 * p.accuracy >= floor), key=lambda p: p.accuracy)
    below = [ruler.at(axis_value(p.recipe, axis)) for p in front.dominated if 100 * p.accuracy < floor]
    points = (*front.points, *shown)
    heights = [100 * p.accuracy for p in points]
    _draw(panel, front, places(points, axis, ruler, heights, high - floor + 2 * room), heights)
    panel.plot(below, [floor - 0.6 * room] * len(below), **BELOW)
    panel.set_ylim(floor - room, high + room)
    ruler.draw(panel)


def _seconds(panel: Axes, front: Front, axis: str, ruler: Ruler) -> None:
    points = (*front.points, *sorted(front.dominated, key=lambda p: p.train_seconds))
    seconds = [p.train_seconds for p in points]
    heights = np.log(seconds) if spans_decades(seconds) else np.array(seconds)
    _draw(panel, front, places(points, axis, ruler, heights.tolist(), 1.1 * float(np.ptp(heights))), seconds)
    ruler.draw(panel)


def _draw(panel: Axes, front: Front, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw marks, those of the front first among them."""
    count = len(front.points)
    panel.plot(x[count:], y[count:], **_rest(front))
    panel.plot(x[:count], y[:count], **_FRONT)


def places(
    points: Sequence[Point], axis: str, ruler: Ruler, heights: Sequence[float], height: float
) -> Sequence[float]:
    """Give the places of points along an axis; those of one value stand side by side where they would cover each other.

    Args:
        points: The points; the first ones stay nearest to their value.
        axis: A searched field, or ``method.parameter``.
        ruler: Where its values stand.
        heights: How high each point stands.
        height: How high the panel is, in the same unit.
    """
    at = [ruler.at(axis_value(point.recipe, axis)) for point in points]
    low, high = ruler.ends
    size = _SMALL if len(points) > _MANY else 1.0
    mark = size * _MARK_LETTERS * (high - low) / ruler.letters, size * _MARK_HEIGHT * (height or 1.0)
    return shifted(at, heights, mark, _MOST_SHIFT[bool(ruler.names)])
