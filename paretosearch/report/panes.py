"""The four charts that the dashboard has of a study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from paretosearch.device import Device
from paretosearch.report.axischart import axes_chart
from paretosearch.report.charts import DOMINATED, front_chart, growth_chart, new_chart
from paretosearch.report.findings import Findings
from paretosearch.report.reading import evenly
from paretosearch.report.style import INK, PALETTE
from paretosearch.report.watched import Watched
from paretosearch.store import AttemptRecord

#: Every page asks for all charts every ten seconds, so what nobody can tell apart in half a page is left out.
_MOST_CURVES, _MOST_ATTEMPTS = 40, 1000

#: Rows of devices that a timeline has at least, be they empty: a bar as high as the chart looks like an error.
_LEAST_ROWS = 4

#: What an attempt came to, in the order of the legend, and its colour.
_ENDS = {
    "on the front": PALETTE[0],
    "complete": "#9ecae1",
    "ended early": PALETTE[1],
    "failed": PALETTE[3],
    "stopped": DOMINATED,
    "repeat": PALETTE[5],
}


def panes(watched: Watched) -> Mapping[str, go.Figure]:
    """Draw a study.

    Args:
        watched: The study.

    Returns:
        Charts by the names under which the dashboard keeps them, which sort in the order to show them; none before the
        first result.
    """
    found = watched.found
    if found is None:
        return {}
    drawn = {"paretosearch-1-front": _front(found), "paretosearch-2-axes": _axes(found)}
    if found.growth:
        drawn["paretosearch-3-hypervolume"] = _growth(found)
    return {**drawn, "paretosearch-4-devices": _timeline(watched, found)}


def _titled(figure: go.Figure, title: str, **more: Any) -> go.Figure:
    figure.update_layout(
        title={"text": f"<b>{title}</b>", "font": {"size": 15}, "x": 0, "xref": "paper", "y": 0.99, "yanchor": "top"},
        margin={"l": 60, "r": 15, "t": 85, "b": 50},
        **more,
    )
    return figure


def _front(found: Findings) -> go.Figure:
    """Draw the front over what its members had on their way, with the means of repeats."""
    figure = front_chart(found, brief=True)
    own = len(figure.data)
    figure.add_trace(_curves(found))
    repeated = [e for e in found.estimates if e.repeats]
    if repeated:
        figure.add_scatter(
            x=[round(e.train_seconds, 4) for e in repeated],
            y=[round(100 * e.accuracy, 3) for e in repeated],
            error_x={"array": [round(e.seconds_interval, 4) for e in repeated], "thickness": 1, "width": 3},
            error_y={"array": [round(100 * e.accuracy_interval, 3) for e in repeated], "thickness": 1, "width": 3},
            mode="markers",
            marker={"symbol": "line-ew-open", "size": 6, "color": INK},
            text=[f"mean of {e.repeats} of trial {e.point.trial}" for e in repeated],
            hovertemplate="%{text}<br>%{x:.3g} s, %{y:.2f} %<extra></extra>",
            name="repeats, 95 %",
        )
    figure.data = (figure.data[own], *figure.data[:own], *figure.data[own + 1 :])  # the curves lie below all else
    return _titled(figure, "Training time against accuracy")


def _curves(found: Findings) -> go.Scatter:
    """Draw the learning curves of the front's members as one broken line."""
    x: list[float | None] = []
    y: list[float | None] = []
    for point in evenly(found.front.points, _MOST_CURVES):
        epochs = found.epochs.get(point.trial, ())
        x += [*(round(epoch.train_seconds, 4) for epoch in epochs), None]
        y += [*(round(100 * epoch.accuracy, 2) for epoch in epochs), None]
    line = {"color": "#c4c4c4", "width": 1}
    return go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="on the way")


def _growth(found: Findings) -> go.Figure:
    return _titled(growth_chart(found), "Hypervolume over device time")


def _axes(found: Findings) -> go.Figure:
    return _titled(axes_chart(found.front, found.axes), "Where on each axis the front is")


def _timeline(watched: Watched, found: Findings) -> go.Figure:
    """Draw a row for each device, and a bar for each attempt."""
    on_front = {point.attempt for point in found.front.points}
    rows = {device.uuid: row for device, row in zip(watched.devices, _rows(watched.devices), strict=True)}
    by_end: dict[str, list[AttemptRecord]] = defaultdict(list)
    for attempt in found.attempts[-_MOST_ATTEMPTS:]:
        if attempt.ended is not None and attempt.device in rows:
            by_end[_end(attempt, on_front)].append(attempt)
    figure = new_chart("", "")
    for end, colour in _ENDS.items():
        if attempts := by_end[end]:
            figure.add_bar(
                y=[rows[a.device] for a in attempts],
                base=[a.started.astimezone().strftime("%Y-%m-%d %H:%M:%S") for a in attempts],
                x=[_milliseconds(a) for a in attempts],
                customdata=[f"trial {a.trial}, {_milliseconds(a) / 1000:.3g} s" for a in attempts],
                hovertemplate=f"%{{customdata}}<br>{end}<extra></extra>",
                orientation="h",
                name=end,
                marker={"color": colour, "line": {"color": "white", "width": 0.5}},
            )
    figure.update_xaxes(type="date")
    figure.update_yaxes(
        range=(max(len(rows), _LEAST_ROWS) - 0.4, -0.6),
        automargin=True,
        categoryorder="array",
        categoryarray=list(rows.values()),
    )
    return _titled(figure, "What each device did", barmode="overlay")


def _rows(devices: Sequence[Device]) -> Iterator[str]:
    several = len({device.host for device in devices}) > 1
    for device in devices:
        yield escape(f"{device.label} on {device.host}" if several else device.label)


def _milliseconds(attempt: AttemptRecord) -> int:
    assert attempt.ended is not None
    return round(1000 * (attempt.ended - attempt.started).total_seconds())


def _end(attempt: AttemptRecord, on_front: set[int]) -> str:
    if attempt.purpose == "confirm" and attempt.outcome == "complete":
        return "repeat"
    if attempt.id in on_front:
        return "on the front"
    return "ended early" if attempt.outcome == "dominated" else str(attempt.outcome)
