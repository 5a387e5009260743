"""The figures of a study, for paper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from paretosearch.outcome import EpochResult
from paretosearch.report.history import area_range
from paretosearch.report.labels import Label, Points, place
from paretosearch.report.marks import BELOW, Marks, marks_of
from paretosearch.report.reading import evenly, notable, percent_range
from paretosearch.report.style import FAINT, INK, PALETTE, new_figure, seconds_axis, styled
from paretosearch.report.words import seconds_text
from paretosearch.store import Front, Point

SECONDS = "training time (s)"
ACCURACY = "validation accuracy (%)"
_MOST_CURVES = 8
_MOST_DOTS = 40


#: What a training had on its way is no result: where the learning rate falls, a shorter training ends higher.
_ON_THE_WAY: dict[str, Any] = {"color": "#c4c4c4", "linewidth": 0.5}


@styled
def front_figure(front: Front, on_the_way: Collection[Sequence[tuple[float, float]]] = (), note: str = "") -> Figure:
    """Draw the front as the staircase it is, over the dominated trials.

    Args:
        front: What to draw; at least one point.
        on_the_way: Seconds and accuracy after each epoch of trainings, to be drawn thin behind it.
        note: What to know of the points, at the edge of the figure.

    Returns:
        The figure.
    """
    figure = new_figure(3.6)
    axes = figure.add_subplot(xlabel=SECONDS, ylabel=ACCURACY)
    marks = marks_of([*front.points, *front.dominated])
    _scales(axes, front)
    axes.set_title(note, loc="right", color=FAINT, fontsize=7)
    for curve in on_the_way:
        x, y = [seconds for seconds, _ in curve], [100 * accuracy for _, accuracy in curve]
        axes.plot(x, y, **_ON_THE_WAY, scalex=False, scaley=False, zorder=1)
    below = _draw_dominated(axes, front, marks)
    x, y = _stairs(axes, front)
    axes.step(x, y, where="post", color=INK, linewidth=1.1, zorder=3)
    for value, points in marks.sorted(front.points).items():
        axes.plot(*_columns(points), **marks.solid(value), markersize=6, zorder=4)
    _legend(figure, marks, bool(front.dominated), below, bool(on_the_way))
    place(axes, [_label(name, point) for name, point in notable(front.points).items()], _visible(axes, front))
    return figure


def _xy(point: Point) -> tuple[float, float]:
    return point.train_seconds, 100 * point.accuracy


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.train_seconds for point in points], [100 * point.accuracy for point in points]


def _label(name: str, point: Point) -> Label:
    x, y = _xy(point)
    return Label(f"{name} (trial {point.trial})\n{seconds_text(x)} s, {y:.1f} %", x, y)


def _stairs(axes: Axes, front: Front) -> tuple[list[float], list[float]]:
    """Corners of the staircase; its last step runs on to the edge."""
    x, y = _columns(front.points)
    return [*x, axes.get_xlim()[1]], [*y, y[-1]]


def _scales(axes: Axes, front: Front) -> None:
    """Show the whole front, but of the dominated trials only those that do not squash it."""
    x = [point.train_seconds for point in (*front.points, *front.dominated)]
    seconds_axis(axes, x)
    if axes.get_xscale() == "log":
        margin = (max(x) / min(x)) ** 0.06
        axes.set_xlim(min(x) / margin, max(x) * margin)
    else:
        margin = 0.06 * max(max(x) - min(x), 0.5 * max(x), 1e-3)
        axes.set_xlim(max(0.0, min(x) - 2 * margin), max(x) + margin)
    axes.set_ylim(percent_range(front))
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in axes.get_yticks() if tick <= 100]))


def _draw_dominated(axes: Axes, front: Front, marks: Marks) -> int:
    bottom, top = axes.get_ylim()
    seen = [point for point in front.dominated if 100 * point.accuracy >= bottom]
    for value, points in marks.sorted(seen).items():
        axes.plot(*_columns(points), **marks.faint(value), markersize=4.5, zorder=2)
    below = [point.train_seconds for point in front.dominated if 100 * point.accuracy < bottom]
    axes.plot(below, [bottom + 0.02 * (top - bottom)] * len(below), **BELOW, zorder=2)
    return len(below)


def _legend(figure: Figure, marks: Marks, dominated: bool, below: int, on_the_way: bool) -> None:
    handles = [Line2D([], [], color=INK, linewidth=1.1, label="Pareto front")]
    handles += [Line2D([], [], **marks.solid(value), markersize=5.5, label=value) for value in marks.values]
    if dominated:
        handles.append(Line2D([], [], **marks.faint(""), markersize=4.5, label="dominated"))
    if below:
        handles.append(Line2D([], [], **BELOW, label=f"{below} below the axis"))
    if on_the_way:
        handles.append(Line2D([], [], **_ON_THE_WAY, label="on the way"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


def _visible(axes: Axes, front: Front) -> Points:
    """Give what labels should not cover as points (N, 2): markers, and the staircase in small steps."""
    x, y = map(np.asarray, _stairs(axes, front))
    along = np.linspace(0, 1, 60)[:, None]
    treads = np.stack(
        [(x[:-1] ** (1 - along) * x[1:] ** along).ravel(), np.broadcast_to(y[:-1], (60, len(y) - 1)).ravel()], 1
    )
    rises = np.stack([np.broadcast_to(x[1:], (60, len(x) - 1)).ravel(), (y[:-1] + along * (y[1:] - y[:-1])).ravel()], 1)
    own = np.repeat([_xy(point) for point in front.points], 20, axis=0)  # worse to cover than a piece of the line
    others = np.repeat(np.reshape([_xy(point) for point in front.dominated], (-1, 2)), 5, axis=0)
    return np.concatenate([treads, rises, own, others])


@styled
def hypervolume_figure(
    events: Sequence[tuple[float, float]], total_seconds: float, reference: tuple[float, float]
) -> Figure:
    """Draw how the hypervolume grew with the device time spent.

    Args:
        events: Device-seconds and hypervolume after each change of the front, by time; at least one.
        total_seconds: Device-seconds of the whole study.
        reference: Seconds and accuracy of the reference point.

    Returns:
        The figure.
    """
    figure = new_figure(2.6)
    label = f"hypervolume (s)\nfrom ({seconds_text(reference[0])} s, {100 * reference[1]:g} %)"
    axes = figure.add_subplot(xlabel="device time spent (s)", ylabel=label)
    x, y = zip(*events, (max(total_seconds, events[-1][0]), events[-1][1]), strict=True)
    axes.step([0.0, *x], [0.0, *y], where="post", color=PALETTE[0])
    if len(events) <= _MOST_DOTS:
        axes.plot(x[:-1], y[:-1], "o", color=PALETTE[0], markersize=3.2)
    axes.set_ylim(area_range(events, x[-1]))
    axes.set_xlim(0, 1.015 * x[-1])  # or the last dot would be half a dot
    return figure


@dataclass(frozen=True)
class Curve:
    """How a trial of the front learned.

    Args:
        point: The trial.
        epochs: Its epochs, in order.
    """

    point: Point
    epochs: Sequence[EpochResult]


@styled
def curves_figure(curves: Sequence[Curve]) -> Figure:
    """Draw the learning curves of the front, each up to its point of the front.

    Args:
        curves: By training time; of many, eight are drawn, evenly spread and with both ends.

    Returns:
        The figure.
    """
    figure = new_figure(3.2)
    axes = figure.add_subplot(xlabel=SECONDS, ylabel=ACCURACY)
    chosen = evenly(curves, _MOST_CURVES)
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.82, len(chosen)))
    lines = [[(epoch.train_seconds, 100 * epoch.accuracy) for epoch in curve.epochs] for curve in chosen]
    seconds_axis(axes, [x for line in lines for x, _ in line])
    for line, shade, style in zip(lines, shades, ("-", "--", "-.", ":") * 2, strict=False):
        axes.plot(*zip(*line, strict=True), color=shade, linestyle=style)
        axes.plot(*line[-1], "o", color=shade, markeredgecolor=INK, markeredgewidth=0.6, markersize=5)
    axes.margins(0.06, 0.14)
    ends = [Label(f"trial {curve.point.trial}", *line[-1]) for curve, line in zip(chosen, lines, strict=True)]
    place(axes, ends, np.concatenate([_dense(line) for line in lines]))
    return figure


def _dense(line: Sequence[tuple[float, float]]) -> Points:
    corners = np.asarray(line)
    at = np.linspace(0, len(line) - 1, 30 * len(line))
    return np.stack([np.interp(at, np.arange(len(line)), corners[:, i]) for i in (0, 1)], axis=1)
