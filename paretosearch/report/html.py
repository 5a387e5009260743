"""The front as one page that opens without a network."""

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
from paretosearch.report.words import axis_value, duration_text, seconds_text, titles, value_text, words
from paretosearch.store import Point

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
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

#: Plotly's own default is a button that uploads the chart to its maker.
_CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["lasso2d", "select2d"],
}

#: The policy lets the page's own script run, and nothing come from or go to anywhere else.
_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>
body {{ font-family: {font}; color: {ink}; max-width: 1100px; margin: 2rem auto; padding: 0 1.5rem; }}
h1 {{ font-size: 1.5rem; margin: 0; font-weight: 650; }}
h2 {{ font-size: 1.05rem; margin: 2rem 0 .4rem; font-weight: 650; }}
p {{ margin: .3rem 0 1rem; color: #555; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; white-space: nowrap; }}
th {{ text-align: left; font-weight: 600; border-bottom: 1px solid {ink}; padding: .3rem 1.1rem .3rem 0; }}
td {{ border-bottom: 1px solid #e4e4e4; padding: .3rem 1.1rem .3rem 0; }}
.number {{ text-align: right; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
{front}
<h2>{heading}</h2>
<div class="scroll">{table}</div>
{growth}
</body>
</html>
"""

_COUNTS = (
    "{front} of {trials} complete trials are on the Pareto front of training time against validation accuracy; "
    "{spent} of device time; times on {times}."
)
_SINGLE = "Each point is a single training, not confirmed: the best of many look a little better than they are."
_REPEATED = (
    "The points are first results; {repeated} were trained again with other seeds, and by their means {confirmed} are "
    "on the front: see confirmed.csv."
)


def page(found: Findings, look: Look = PAPER) -> str:
    """Make the page of a study.

    Args:
        found: What the study has found.
        look: Whose language to use.

    Returns:
        HTML with its script inline; the same findings give the same text.
    """
    return _PAGE.format(
        lang=look.lang,
        title=escape(found.record.name),
        heading=look.say("The front"),
        font=_FONT,
        ink=INK,
        summary=_summary(found, look),
        front=_embed(_front(found, look), "front", script=True),
        table=_table(found, look),
        growth=_growth_section(found, look) if found.growth else "",
    )


def _embed(figure: go.Figure, name: str, script: bool) -> str:
    html: str = figure.to_html(full_html=False, include_plotlyjs=script, div_id=name, config=_CONFIG)
    return html


def _growth_section(found: Findings, look: Look) -> str:
    heading = look.say("Hypervolume over device time")
    return f"<h2>{heading}</h2>\n" + _embed(_growth(found, look), "growth", script=False)


def _summary(found: Findings, look: Look) -> str:
    front, values = found.front, {}
    values["trials"] = len(front.points) + len(front.dominated)
    values["front"] = len(front.points)
    text = look.say(_COUNTS, spent=duration_text(found.device_seconds), times=found.device_class, **values)
    return escape(f"{text} {_confirmed(found, look)}")


def _confirmed(found: Findings, look: Look) -> str:
    """Say what the points are worth."""
    if not found.is_confirmed:
        return look.say(_SINGLE)
    repeated = [estimate for estimate in found.estimates if estimate.repeats]
    return look.say(_REPEATED, repeated=len(repeated), confirmed=sum(estimate.on_front for estimate in repeated))


def _front(found: Findings, look: Look) -> go.Figure:
    front = found.front
    everything = (*front.points, *front.dominated)
    marks = marks_of(everything)
    figure = _figure(520, SECONDS, ACCURACY, look)
    x, y = [p.train_seconds for p in front.points], [100 * p.accuracy for p in front.points]
    stairs = {"shape": "hv", "color": INK, "width": 1.5}
    end = max(point.train_seconds for point in everything)
    figure.add_scatter(
        x=[*x, end], y=[*y, y[-1]], mode="lines", line=stairs, hoverinfo="skip", name=look.say("Pareto front")
    )
    for members, solid in ((front.dominated, False), (front.points, True)):
        for value, points in marks.sorted(members).items():
            figure.add_trace(_points(found, marks, value, points, solid, look))
    figure.add_scatter(
        x=_NOWHERE, y=_NOWHERE, mode="markers", marker=_mark(marks, "", False), name=look.say("dominated")
    )
    figure.update_yaxes(range=percent_range(front))
    if spans_decades([point.train_seconds for point in everything]):
        ticks = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[look.number(f"{tick:g}") for tick in ticks])
    return figure


def _points(found: Findings, marks: Marks, value: str, points: Sequence[Point], solid: bool, look: Look) -> go.Scatter:
    return go.Scatter(
        x=[point.train_seconds for point in points] or _NOWHERE,
        y=[100 * point.accuracy for point in points] or _NOWHERE,
        mode="markers",
        marker=_mark(marks, value, solid),
        name=escape(look.say(value)),
        showlegend=solid and bool(value),
        text=[_hover(point, found, look) for point in points],
        hovertemplate="%{text}<extra></extra>",
    )


def _mark(marks: Marks, value: str, solid: bool) -> dict[str, Any]:
    symbol = _SYMBOLS[marks.shape(value)]
    if solid:
        return {"symbol": symbol, "size": 11, "color": marks.colour(value), "line": {"color": INK, "width": 1}}
    return {"symbol": f"{symbol}-open", "size": 8, "color": "#b0b0b0"}


def _hover(point: Point, found: Findings, look: Look) -> str:
    said = words(point.recipe, found.axes).split(", ")
    notes = (found.changes.get(point.trial, ""), "clock noisy" if point.noisy else "")
    lines = [*(look.words(phrase) for phrase in said), *(look.say(note) for note in notes if note)]
    trial = look.say("trial {number}", number=point.trial)
    return "<br>".join([f"<b>{trial}</b>", _numbers(point, look), *map(escape, lines)])


def _numbers(point: Point, look: Look) -> str:
    return f"{look.number(seconds_text(point.train_seconds))} s, {_percent(point.accuracy, look)}"


def _percent(accuracy: float, look: Look) -> str:
    return f"{look.number(f'{100 * accuracy:.2f}')} %"


def _growth(found: Findings, look: Look) -> go.Figure:
    unit, name = device_time(max(found.device_seconds, found.growth[-1][0]))
    figure = _figure(300, name, "hypervolume (s)", look)
    x, y = zip(*[(0.0, 0.0), *((seconds / unit, area) for seconds, area in found.growth)], strict=True)
    line = {"shape": "hv", "color": PALETTE[0], "width": 2}
    end = max(found.device_seconds / unit, x[-1])
    figure.add_scatter(x=[*x, end], y=[*y, y[-1]], mode="lines", line=line, showlegend=False)
    figure.update_xaxes(range=(0, end))
    figure.update_yaxes(range=area_range(found.growth, end * unit))
    return figure


def _figure(height: int, x: str, y: str, look: Look) -> go.Figure:
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
            "font": {"family": _FONT, "size": 13, "color": INK},
            "margin": {"l": 60, "r": 20, "t": 40, "b": 55},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"align": "left", "bgcolor": "white", "bordercolor": FAINT, "font": {"color": INK}},
            "xaxis": {**axis, "title": {"text": look.say(x)}},
            "yaxis": {**axis, "title": {"text": look.say(y)}},
        }
    )


def _table(found: Findings, look: Look) -> str:
    named = titles(found.axes, short=False)
    heads = [look.say(head) for head in ("trial", "seconds", "accuracy", *(named[axis] for axis in found.axes))]
    rows = [_cells(point, found.axes, look) for point in found.front.points]
    numeric = [
        all(cell[:1].isdigit() or cell == look.say("off") for cell in column) for column in zip(*rows, strict=True)
    ]
    return f"<table>{_row('th', heads, numeric)}{''.join(_row('td', row, numeric) for row in rows)}</table>"


def _cells(point: Point, axes: Sequence[str], look: Look) -> list[str]:
    numbers = [str(point.trial), look.number(seconds_text(point.train_seconds)), _percent(point.accuracy, look)]
    return [*numbers, *(look.number(look.say(value_text(axis_value(point.recipe, axis)))) for axis in axes)]


def _row(tag: str, cells: Sequence[str], numeric: Sequence[bool]) -> str:
    marked = zip(cells, (' class="number"' if number else "" for number in numeric), strict=True)
    return f"<tr>{''.join(f'<{tag}{kind}>{escape(cell)}</{tag}>' for cell, kind in marked)}</tr>"
