"""The figure that sets each searched axis against both objectives."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import BELOW, KNOWN_ORDER
from paretosearch.report.reading import accuracy_floor
from paretosearch.report.rulers import Ruler, ruler_of
from paretosearch.report.style import INK, PALETTE, legend, new_figure, seconds_axis, styled
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
    shown = [point for point in front.dominated if 100 * point.accuracy >= floor]
    below = [spread(point, axis, ruler) for point in front.dominated if 100 * point.accuracy < floor]
    for points, look in ((shown, _rest(front)), (front.points, _FRONT)):
        panel.plot([spread(p, axis, ruler) for p in points], [100 * p.accuracy for p in points], **look)
    panel.plot(below, [floor - 0.6 * room] * len(below), **BELOW)
    panel.set_ylim(floor - room, high + room)
    ruler.draw(panel)


def _seconds(panel: Axes, front: Front, axis: str, ruler: Ruler) -> None:
    for points, look in ((front.dominated, _rest(front)), (front.points, _FRONT)):
        panel.plot([spread(p, axis, ruler) for p in points], [p.train_seconds for p in points], **look)
    ruler.draw(panel)


def spread(point: Point, axis: str, ruler: Ruler) -> float:
    """Give the place of a point; equal values are spread a little, each trial the same way in every panel."""
    value = axis_value(point.recipe, axis)
    golden = point.trial * 0.618 % 1 - 0.5  # multiples of the golden ratio are spread evenly
    width = 0.5 if ruler.names else 0.06 if ruler.repeats or value is None else 0.0
    return ruler.at(value) + golden * width
