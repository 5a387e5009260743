"""The front as one page that opens without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import plotly.graph_objects as go

from paretosearch.report.charts import FONT, front_chart, growth_chart, percent
from paretosearch.report.classes import labels
from paretosearch.report.findings import Findings, OnClass
from paretosearch.report.look import PAPER, Look
from paretosearch.report.simulated import mark, names_of, projected_saving
from paretosearch.report.style import INK
from paretosearch.report.timed import replays_of
from paretosearch.report.words import axis_value, duration_text, seconds_text, titles, value_text
from paretosearch.store import Point

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
_OTHER = "By the times on {times}, {front} are on the front."
_TIMED = (
    "{trials} trials were timed again on another class of device, without training, in {spent} of device time "
    "({share} %); seconds in brackets are of trials that are dominated there."
)
_SINGLE = "Each point is a single training, not confirmed: the best of many look a little better than they are."
_REPEATED = (
    "The points are first results; {repeated} were trained again with other seeds, and by their means {confirmed} are "
    "on the front: see confirmed.csv."
)
_SIMULATED = (
    "†: simulated ({names}); the seconds are of hardware that is not made for it, and do not show what such hardware "
    "would save."
)
_PROJECTED = (
    "Projected, not measured: of the multiplications of their backward passes hardware that skips zeros could leave "
    "out {shares}."
)
_ALONE = "The front of the means is partly confirmed: {count} of it not repeated yet."


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
        font=FONT,
        ink=INK,
        summary=_summary(found, look),
        front=_embed(front_chart(found, 520, look=look), "front", script=True),
        table=_table(found, look),
        growth="\n".join(_growth_sections(found, look)),
    )


def _embed(figure: go.Figure, name: str, script: bool) -> str:
    html: str = figure.to_html(full_html=False, include_plotlyjs=script, div_id=name, config=_CONFIG)
    return html


def _growth_sections(found: Findings, look: Look) -> Iterator[str]:
    heading, classes = look.say("Hypervolume over device time"), [c for c in found.classes if c.growth]
    named = labels([of_class.device_class for of_class in classes], look)
    for number, of_class in enumerate(classes):
        where = f", {escape(named[of_class.device_class])}" if len(found.classes) > 1 else ""
        chart = growth_chart(replace(found, growth=of_class.growth), 300, look)
        yield f"<h2>{heading}{where}</h2>\n" + _embed(chart, f"growth-{number}" if number else "growth", script=False)


def _summary(found: Findings, look: Look) -> str:
    front, values = found.front, {}
    values["trials"] = len(front.points) + len(front.dominated)
    values["front"] = len(front.points)
    text = look.say(_COUNTS, spent=duration_text(found.device_seconds), times=found.device_class, **values)
    return escape(" ".join([text, *_on_others(found, look), _confirmed(found, look), *_simulated(found, look)]))


def _on_others(found: Findings, look: Look) -> Iterator[str]:
    """Say what there is on other classes of device, and where those seconds are from."""
    for of_class in found.others:
        yield look.say(_OTHER, times=of_class.device_class, front=len(of_class.front.points))
    replays = replays_of(found.attempts, found.device_seconds)
    if found.others and replays.attempts:
        share = look.number(f"{100 * replays.share:.1f}")
        yield look.say(_TIMED, trials=replays.trials, spent=duration_text(replays.device_seconds), share=share)


def _confirmed(found: Findings, look: Look) -> str:
    """Say what the points are worth."""
    if not found.is_confirmed:
        return look.say(_SINGLE)
    repeated = [estimate for estimate in found.estimates if estimate.repeats]
    said = look.say(_REPEATED, repeated=len(repeated), confirmed=sum(estimate.on_front for estimate in repeated))
    alone = sum(e.on_front and not e.repeats for e in found.estimates)
    return f"{said} {look.say(_ALONE, count=alone)}" if alone else said


def _simulated(found: Findings, look: Look) -> Iterator[str]:
    """Say of what the seconds do not show the saving, and what is projected."""
    if names := names_of(found.on_fronts):
        yield look.say(_SIMULATED, names=", ".join(names))
    savings = {p.trial: projected_saving(p.recipe, found.surgeries.get(p.trial, ())) for p in found.on_fronts}
    known = [
        f"{look.say('trial {number}', number=trial)}: {100 * share:.0f} %"
        for trial, share in savings.items()
        if share is not None
    ]
    if known:
        yield look.say(_PROJECTED, shares=", ".join(known))


def _table(found: Findings, look: Look) -> str:
    named = titles(found.axes, short=False)
    seconds = [look.say("seconds")]
    if found.others:
        classes = labels([of_class.device_class for of_class in found.classes], look)
        seconds = [f"{look.say('seconds')}, {classes[of_class.device_class]}" for of_class in found.classes]
    said = [look.say(head) for head in ("accuracy", *(named[axis] for axis in found.axes))]
    heads = [look.say("trial"), *seconds, *said]
    rows = [_cells(trial, found, look) for trial in found.members]
    numeric = [
        all(cell[:1].isdigit() or cell[:1] in "(–" or cell == look.say("off") for cell in column)
        for column in zip(*rows, strict=True)
    ]
    return f"<table>{_row('th', heads, numeric)}{''.join(_row('td', row, numeric) for row in rows)}</table>"


def _cells(trial: int, found: Findings, look: Look) -> list[str]:
    points = [of_class.point(trial) for of_class in found.classes]
    point = next(filter(None, points))
    seconds = [_seconds(p, of_class, look) for p, of_class in zip(points, found.classes, strict=True)]
    values = (look.number(look.say(value_text(axis_value(point.recipe, axis)))) for axis in found.axes)
    return [str(trial), *seconds, percent(point.accuracy, look), *values]


def _seconds(point: Point | None, of_class: OnClass, look: Look) -> str:
    """Write seconds: in brackets where the trial is dominated, a dash where it has no result."""
    if point is None:
        return "–"
    seconds = look.number(seconds_text(point.train_seconds)) + mark(point)
    return seconds if point in of_class.front.points else f"({seconds})"


def _row(tag: str, cells: Sequence[str], numeric: Sequence[bool]) -> str:
    marked = zip(cells, (' class="number"' if number else "" for number in numeric), strict=True)
    return f"<tr>{''.join(f'<{tag}{kind}>{escape(cell)}</{tag}>' for cell, kind in marked)}</tr>"
