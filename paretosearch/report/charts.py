"""The charts of a study that a browser draws."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from paretosearch.report.findings import Findings
from paretosearch.report.history import area_range
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import Marks, marks_of
from paretosearch.report.plots import ACCURACY, SECONDS, device_time
from paretosearch.report.reading import percent_range, spans_decades
from paretosearch.report.style import FAINT, INK, PALETTE
from paretosearch.report.words import seconds_text, words
from paretosearch.store import Point

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

#: How a trial that is not on the front is drawn.
DOMINATED = "#b0b0b0"

_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
    "*": "star",
}
#: A trace needs a point, be it nowhere, for its place in the legend.
_NOWHERE: list[float | None] = [None]


def front_chart(found: Findings, height: int | None = None, brief: bool = False, look: Look = PAPER) -> go.Figure:
    """Draw the front as the staircase it is, over the dominated trials, each with its Recipe under the pointer.

    Args:
        found: What the study has found.
        height: Pixels; None fills the place that there is.
        brief: Whether to say only the numbers of what is dominated, which is most of the chart.
        look: Whose language to use.

    Returns:
        The chart.
    """
    front = found.front
    everything = (*front.points, *front.dominated)
    marks = marks_of(everything)
    figure = new_chart(SECONDS, ACCURACY, height, look)
    x, y = [p.train_seconds for p in front.points], [100 * p.accuracy for p in front.points]
    stairs = {"shape": "hv", "color": INK, "width": 1.5}
    end = max(point.train_seconds for point in everything)
    name = look.say("Pareto front")
    figure.add_scatter(x=[*x, end], y=[*y, y[-1]], mode="lines", line=stairs, hoverinfo="skip", name=name)
    low, _ = percent_range(front)
    labels = marks.labels([point for point in everything if 100 * point.accuracy >= low], look)
    for members, solid in ((front.dominated, False), (front.points, True)):
        for value, points in marks.sorted(members).items():
            said = [_hover(point, found, () if brief and not solid else found.axes, look) for point in points]
            label = labels.get(value, "") if solid else ""
            figure.add_trace(_points(points, marks, value, solid, said, label))
    dominated = look.say("dominated")
    figure.add_scatter(x=_NOWHERE, y=_NOWHERE, mode="markers", marker=_mark(marks, "", False), name=dominated)
    figure.update_yaxes(range=percent_range(front))
    if spans_decades([point.train_seconds for point in everything]):
        ticks = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[look.number(f"{tick:g}") for tick in ticks])
    return figure


def _points(
    points: Sequence[Point], marks: Marks, value: str, solid: bool, said: Sequence[str], label: str
) -> go.Scatter:
    return go.Scatter(
        x=[round(point.train_seconds, 4) for point in points] or _NOWHERE,
        y=[round(100 * point.accuracy, 3) for point in points] or _NOWHERE,
        mode="markers",
        marker=_mark(marks, value, solid),
        name=escape(label),
        showlegend=bool(label),
        text=said,
        hovertemplate="%{text}<extra></extra>",
    )


def _mark(marks: Marks, value: str, solid: bool) -> dict[str, Any]:
    symbol = _SYMBOLS[marks.shape(value)]
    if solid:
        return {"symbol": symbol, "size": 11, "color": marks.colour(value), "line": {"color": INK, "width": 1}}
    return {"symbol": f"{symbol}-open", "size": 8, "color": DOMINATED}


def _hover(point: Point, found: Findings, axes: Sequence[str], look: Look) -> str:
    """Say what is under the pointer, as the HTML that Plotly takes; without axes nothing of the Recipe."""
    said = words(point.recipe, axes).split(", ") if axes else []
    notes = (found.changes.get(point.trial, ""), "clock noisy" if point.noisy else "")
    lines = [*(look.words(phrase) for phrase in said), *(look.say(note) for note in notes if note)]
    trial = look.say("trial {number}", number=point.trial)
    numbers = f"{look.number(seconds_text(point.train_seconds))} s, {percent(point.accuracy, look)}"
    return "<br>".join([f"<b>{trial}</b>", numbers, *map(escape, lines)])


def percent(accuracy: float, look: Look) -> str:
    """Write an accuracy."""
    return f"{look.number(f'{100 * accuracy:.2f}')} %"


def growth_chart(found: Findings, height: int | None = None, look: Look = PAPER) -> go.Figure:
    """Draw the hypervolume over the device time spent.

    Args:
        found: What the study has found; at least one change of its front.
        height: Pixels; None fills the place that there is.
        look: Whose language to use.

    Returns:
        The chart.
    """
    unit, name = device_time(max(found.device_seconds, found.growth[-1][0]))
    figure = new_chart(name, "hypervolume (s)", height, look)
    spent, y = zip(*[(0.0, 0.0), *found.growth], strict=True)
    end = max(found.device_seconds, spent[-1])
    x = [moment / unit for moment in (*spent, end)]
    line = {"shape": "hv", "color": PALETTE[0], "width": 2}
    figure.add_scatter(x=x, y=[*y, y[-1]], mode="lines", line=line, showlegend=False)
    figure.update_xaxes(range=(0, end / unit))
    figure.update_yaxes(range=area_range(found.growth, end))
    return figure


def new_chart(x: str, y: str, height: int | None = None, look: Look = PAPER) -> go.Figure:
    """Make an empty chart.

    Args:
        x: Title of the x axis.
        y: Title of the y axis.
        height: Pixels; None fills the place that there is.
        look: Whose language to use.

    Returns:
        The chart, in our colours.
    """
    axis = {
        "showline": True,
        "linecolor": INK,
        "gridcolor": "#e9e9e9",
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": INK,
    }
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "separators": ",." if look.lang == "de" else ".,",
            "font": {"family": FONT, "size": 13, "color": INK},
            "margin": {"l": 60, "r": 20, "t": 40, "b": 55},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"align": "left", "bgcolor": "white", "bordercolor": FAINT, "font": {"color": INK}},
            "xaxis": {**axis, "title": {"text": look.say(x)}},
            "yaxis": {**axis, "title": {"text": look.say(y)}},
        }
    )
