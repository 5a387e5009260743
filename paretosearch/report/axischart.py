"""The chart that says where on each searched axis the front is."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from paretosearch.report.charts import DOMINATED, new_chart
from paretosearch.report.marks import KNOWN_ORDER
from paretosearch.report.panels import places, varying
from paretosearch.report.plots import ACCURACY
from paretosearch.report.reading import evenly, percent_range
from paretosearch.report.rulers import Ruler, ruler_of
from paretosearch.report.style import INK
from paretosearch.report.words import axis_value, seconds_text, titles
from paretosearch.store import Front, Point

_MOST_ACROSS = 4
#: Dominated trials in a panel: more of them cannot be told apart, and would be sent with every page.
_MOST_POINTS = 200
#: Letters of a tick that half a page has room for, in all panels side by side.
_LETTERS = 80

_FAINT = {"symbol": "circle-open", "size": 5, "color": DOMINATED}


def axes_chart(front: Front, axes: Collection[str]) -> go.Figure:
    """Set each searched axis that varies against accuracy, with the seconds of the front's members as their colour.

    Args:
        front: The trials; at least one point.
        axes: The searched fields and ``method.parameter`` names; at least one.

    Returns:
        The chart: a panel an axis, up to four across, which fills the place that there is.
    """
    shown = varying(front, axes)
    named = {axis: title for axis, title in titles(axes, short=False).items() if axis in shown}
    across = min(_MOST_ACROSS, len(named))
    figure = make_subplots(
        math.ceil(len(named) / across),
        across,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.27,
        subplot_titles=[escape(title) for title in named.values()],
        figure=new_chart("", ""),
    )
    for number, axis in enumerate(named):
        _panel(figure, front, axis, across, {"row": 1 + number // across, "col": 1 + number % across})
    figure.update_xaxes(showline=True, linecolor=INK, showgrid=False, zeroline=False, tickfont={"size": 10})
    figure.update_yaxes(range=percent_range(front), gridcolor="#e9e9e9", zeroline=False, tickfont={"size": 10})
    figure.update_yaxes(title={"text": ACCURACY, "font": {"size": 12}}, col=1)
    figure.update_annotations(font={"size": 12})
    return figure


def _panel(figure: go.Figure, front: Front, axis: str, across: int, place: dict[str, int]) -> None:
    low, high = percent_range(front)
    everything = (*front.points, *front.dominated)
    ruler = ruler_of([axis_value(point.recipe, axis) for point in everything], KNOWN_ORDER.get(axis, ()))
    dominated = evenly([point for point in front.dominated if 100 * point.accuracy > low], _MOST_POINTS)
    points = (*front.points, *sorted(dominated, key=lambda point: point.accuracy))
    y = [100 * point.accuracy for point in points]
    x, count = places(points, axis, ruler, y, high - low), len(front.points)
    figure.add_trace(_dots(x[count:], y[count:], marker=_FAINT, hoverinfo="skip"), **place)
    said = [f"trial {point.trial}: {seconds_text(point.train_seconds)} s" for point in front.points]
    known = {"text": said, "hovertemplate": "%{text}, %{y:.2f} %<extra></extra>"}
    figure.add_trace(_dots(x[:count], y[:count], marker=_coloured(front.points), **known), **place)
    ticks, texts = zip(*_legible(ruler, across), strict=True)
    figure.update_xaxes(range=ruler.ends, tickvals=ticks, ticktext=[escape(text) for text in texts], **place)


def _dots(x: Sequence[float], y: Sequence[float], **look: Any) -> go.Scatter:
    return go.Scatter(
        x=[round(value, 3) for value in x],
        y=[round(value, 2) for value in y],
        mode="markers",
        showlegend=False,
        **look,
    )


def _legible(ruler: Ruler, across: int) -> Iterator[tuple[float, str]]:
    """Leave out numbers that would run into the one before; names are turned by Plotly where they are long."""
    low, high = ruler.ends
    end = -math.inf
    for place, text in ruler.marks:
        half = 0.5 * (len(text) + 1) * (high - low) * across / _LETTERS
        if ruler.names or place - half >= end:
            end = place + half
            yield place, text


def _coloured(points: Sequence[Point]) -> dict[str, Any]:
    powers = [math.log10(max(point.train_seconds, 1e-9)) for point in points]
    ticks = [powers[0], (powers[0] + powers[-1]) / 2, powers[-1]]
    bar = {
        "title": {"text": "s", "side": "top"},
        "tickvals": ticks,
        "ticktext": [seconds_text(10**tick) for tick in ticks],
        "thickness": 10,
        "outlinewidth": 0,
    }
    return {
        "size": 8,
        "color": [round(power, 3) for power in powers],
        "cmin": powers[0],
        "cmax": powers[-1],
        "colorscale": "Viridis",
        "line": {"color": INK, "width": 0.7},
        "colorbar": bar,
    }
