"""The charts of a study that a browser draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from paretosearch.report.classes import labels
from paretosearch.report.findings import Findings
from paretosearch.report.growthplots import device_time
from paretosearch.report.history import area_range
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import Marks, marks_of
from paretosearch.report.plots import ACCURACY, SECONDS
from paretosearch.report.reading import percent_range, spans_decades
from paretosearch.report.simulated import simulated
from paretosearch.report.style import FAINT, INK, PALETTE
from paretosearch.report.words import seconds_text, words
from paretosearch.store import Front, Point

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
    everything = [p for of_class in found.classes for p in (*of_class.front.points, *of_class.front.dominated)]
    marks = marks_of(everything)
    figure = new_chart(SECONDS, ACCURACY, height, look)
    side_by_side(figure, [of_class.device_class for of_class in found.classes], look)
    ranges = [percent_range(of_class.front) for of_class in found.classes]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    named = marks.labels([point for point in everything if 100 * point.accuracy >= low], look)
    for number, of_class in enumerate(found.classes, 1):
        for trace in _traces(of_class.front, found, marks, named, brief, look):
            if number > 1:  # and the legend has it already
                trace.update(xaxis=f"x{number}", showlegend=False)
            figure.add_trace(trace)
        if spans_decades([p.train_seconds for p in (*of_class.front.points, *of_class.front.dominated)]):
            ticks = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
            written = [look.number(f"{tick:g}") for tick in ticks]
            figure.layout[f"xaxis{number}"].update(type="log", tickvals=ticks, ticktext=written)
    figure.update_yaxes(range=(low, high))
    return figure


def side_by_side(figure: go.Figure, classes: Sequence[str], look: Look = PAPER) -> None:
    """Give a chart a panel for each class of device, under its name; one alone stays as it is.

    Args:
        figure: The chart, whose x axis the others take after.
        classes: Names of the classes.
        look: Whose language to use.
    """
    if len(classes) == 1:
        return
    for number, name in enumerate(labels(classes, look).values(), 1):
        left, right = (number - 1 + 0.03) / len(classes), (number - 0.03) / len(classes)
        axis = {**figure.layout.xaxis.to_plotly_json(), "domain": (left, right), "anchor": "y"}
        figure.update_layout({f"xaxis{number}": axis})
        figure.add_annotation(
            text=f"<b>{escape(name)}</b>",
            showarrow=False,
            **{"x": left, "xref": "paper", "xanchor": "left", "y": 1.0, "yref": "paper", "yanchor": "bottom"},
        )
    figure.update_layout(legend={"y": 1.08}, margin={"t": 70})


def _traces(
    front: Front, found: Findings, marks: Marks, named: Mapping[str, str], brief: bool, look: Look
) -> Iterator[go.Scatter]:
    """Give the staircase, the dominated points, those of the front, and one that is nowhere, for the legend."""
    x, y = [p.train_seconds for p in front.points], [100 * p.accuracy for p in front.points]
    stairs = {"shape": "hv", "color": INK, "width": 1.5}
    end = max(point.train_seconds for point in (*front.points, *front.dominated))
    name = look.say("Pareto front")
    yield go.Scatter(x=[*x, end], y=[*y, y[-1]], mode="lines", line=stairs, hoverinfo="skip", name=name)
    for members, solid in ((front.dominated, False), (front.points, True)):
        for value, points in marks.sorted(members).items():
            said = [_hover(point, found, () if brief and not solid else found.axes, look) for point in points]
            label = named.get(value, "") if solid else ""
            yield _points(points, marks, value, solid, said, label)
    dominated = look.say("dominated")
    yield go.Scatter(x=_NOWHERE, y=_NOWHERE, mode="markers", marker=_mark(marks, "", False), name=dominated)


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
    if names := simulated(point):
        lines.append(look.say("simulated: {names}", names=", ".join(names)))
    trial = look.say("trial {number}", number=point.trial)
    numbers = f"{look.number(seconds_text(point.train_seconds))} s, {percent(point.accuracy, look)}"
    elsewhere = _elsewhere(point, found, look) if axes else ()
    return "<br>".join([f"<b>{trial}</b>", numbers, *map(escape, (*elsewhere, *lines))])


def _elsewhere(point: Point, found: Findings, look: Look) -> Iterator[str]:
    """Say what a trial takes on the other classes of device."""
    named = labels([of_class.device_class for of_class in found.classes], look)
    for of_class in found.classes:
        other = of_class.point(point.trial)
        if other is not None and of_class.device_class != point.device_class:
            seconds = look.number(seconds_text(other.train_seconds))
            yield f"{named[of_class.device_class]}: {seconds} s"


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
