"""The figures of a study, for paper."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from paretosearch.outcome import EpochResult
from paretosearch.report.labels import Label, Points, place
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import BELOW, SIGNS, Marks, marks_of, sign_of
from paretosearch.report.reading import evenly, notable, percent_range
from paretosearch.report.style import FAINT, INK, legend, new_figure, seconds_axis, shades, styled
from paretosearch.report.words import seconds_text
from paretosearch.store import Front, Point

SECONDS = "training time (s)"
ACCURACY = "validation accuracy (%)"
_MOST_CURVES = 8
_NONE: Mapping[int, str] = MappingProxyType({})


@styled
def front_figure(front: Front, changes: Mapping[int, str] = _NONE, note: str = "", look: Look = PAPER) -> Figure:
    """Draw the front as the staircase it is, over the dominated trials.

    Args:
        front: What to draw; at least one point.
        changes: What became of the network, by trial, where it changed its shape.
        note: What to know of the points, at the edge of the figure.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure = new_figure(3.6, look)
    axes = figure.add_subplot(xlabel=look.say(SECONDS), ylabel=accuracy_label(look))
    marks = marks_of([*front.points, *front.dominated])
    axes.set_title(look.say(note), loc="right", color=FAINT, fontsize=7)
    below = draw_front(axes, front, marks, changes, percent_range(front))
    seen = [changes[point.trial] for point in front.points if point.trial in changes]
    shown = seen_points(front, axes.get_ylim()[0])
    legend(figure, front_handles(marks, shown, len(shown) > len(front.points), below, seen, look))
    place(axes, notable_labels(front, look), visible(axes, front))
    return figure


def draw_front(
    axes: Axes, front: Front, marks: Marks, changes: Mapping[int, str], percent: tuple[float, float], size: float = 6.5
) -> int:
    """Draw a front as the staircase it is, over the dominated trials.

    Args:
        axes: Where.
        front: What to draw; at least one point.
        marks: Shapes of the points.
        changes: What became of the network, by trial, where it changed its shape.
        percent: The ends of the axis of accuracy.
        size: Of the marks of its points, in typographic points.

    Returns:
        How many trials are too low to be seen.
    """
    _scales(axes, front, percent)
    below = _draw_dominated(axes, front, marks)
    x, y = _stairs(axes, front)
    axes.step(x, y, where="post", color=INK, linewidth=1.1, zorder=3, label="front")
    for value, points in marks.sorted(front.points).items():
        axes.plot(*_columns(points), **marks.solid(value), markersize=size, zorder=4, label=value)
    draw_signs(axes, [(point, *_xy(point)) for point in front.points], marks, changes)
    return below


def seen_points(front: Front, bottom: float) -> list[Point]:
    """List the points of a front and of what it dominates that are not too low to be seen."""
    return [*front.points, *(point for point in front.dominated if 100 * point.accuracy >= bottom)]


def draw_signs(
    axes: Axes, places: Sequence[tuple[Point, float, float]], marks: Marks, changes: Mapping[int, str]
) -> None:
    """Write into the marks of points what became of their networks.

    Args:
        axes: Where.
        places: Points, each with its seconds and percent.
        marks: Their shapes.
        changes: What became of the network, by trial.
    """
    alike: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for point, x, y in places:
        if change := changes.get(point.trial):
            alike.setdefault((marks.value(point), change), []).append((x, y))
    for (value, change), at in alike.items():
        axes.plot(*zip(*at, strict=True), **marks.sign(value, change), zorder=5, label=change)


def accuracy_label(look: Look) -> str:
    """Name the axis of accuracy, on two lines where a figure is low."""
    return look.say(ACCURACY if look.style == "thesis" else "validation\naccuracy (%)")


def _xy(point: Point) -> tuple[float, float]:
    return point.train_seconds, 100 * point.accuracy


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.train_seconds for point in points], [100 * point.accuracy for point in points]


def notable_labels(front: Front, look: Look, brief: bool = False) -> list[Label]:
    """Give labels of the points of a front that a reader looks for; brief ones are the numbers of trials."""
    labels = []
    for name, point in notable(front.points).items():
        x, y = _xy(point)
        numbers = {"seconds": look.number(seconds_text(x)), "accuracy": look.number(f"{y:.1f}")}
        text = "trial {number}" if brief else "{name} (trial {trial})\n{seconds} s, {accuracy} %"
        labels.append(
            Label(look.say(text, name=look.say(name), trial=point.trial, number=point.trial, **numbers), x, y)
        )
    return labels


def _stairs(axes: Axes, front: Front) -> tuple[list[float], list[float]]:
    """Corners of the staircase; its last step runs on to the edge."""
    x, y = _columns(front.points)
    return [*x, axes.get_xlim()[1]], [*y, y[-1]]


def _scales(axes: Axes, front: Front, percent: tuple[float, float]) -> None:
    """Show the whole front, but of the dominated trials only those that do not squash it."""
    x = [point.train_seconds for point in (*front.points, *front.dominated)]
    seconds_axis(axes, x)
    if axes.get_xscale() == "log":
        margin = (max(x) / min(x)) ** 0.06
        axes.set_xlim(min(x) / margin, max(x) * margin)
    else:
        margin = 0.06 * max(max(x) - min(x), 0.5 * max(x), 1e-3)
        axes.set_xlim(max(0.0, min(x) - 2 * margin), max(x) + margin)
    axes.set_ylim(percent)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in axes.get_yticks() if tick <= 100]))


def _draw_dominated(axes: Axes, front: Front, marks: Marks) -> int:
    bottom, top = axes.get_ylim()
    seen = [point for point in front.dominated if 100 * point.accuracy >= bottom]
    for value, points in marks.sorted(seen).items():
        axes.plot(*_columns(points), **marks.faint(value), markersize=4.5, zorder=2)
    below = [point.train_seconds for point in front.dominated if 100 * point.accuracy < bottom]
    axes.plot(below, [bottom + 0.02 * (top - bottom)] * len(below), **BELOW, zorder=2)
    return len(below)


def front_handles(
    marks: Marks, shown: Sequence[Point], dominated: bool, below: int, changes: Collection[str], look: Look
) -> list[Line2D]:
    """Explain a front in a legend: its line, its shapes, the signs of changes, and what is dominated."""
    handles = [Line2D([], [], color=INK, linewidth=1.1, label=look.say("Pareto front"))]
    handles += value_handles(marks, shown, look)
    handles += sign_handles(changes, look)
    if dominated:
        handles.append(Line2D([], [], **marks.faint(""), markersize=4.5, label=look.say("dominated")))
    if below:
        handles.append(Line2D([], [], **BELOW, label=look.say("{count} below the axis", count=below)))
    return handles


def value_handles(marks: Marks, shown: Sequence[Point], look: Look) -> list[Line2D]:
    """Explain, in a legend, the shapes of the values that are seen; the first says what they are values of."""
    return [
        Line2D([], [], **marks.solid(value), markersize=5.5, label=label)
        for value, label in marks.labels(shown, look).items()
    ]


def sign_handles(changes: Collection[str], look: Look) -> list[Line2D]:
    """Explain, in a legend, the signs of the changes that occur."""
    return [Line2D([], [], **sign_of(change), label=look.say(change)) for change in SIGNS if change in changes]


def visible(axes: Axes, front: Front) -> Points:
    """Give what labels beside a front should not cover as points (N, 2): markers, and the staircase in small steps."""
    own = np.repeat([_xy(point) for point in front.points], 20, axis=0)  # worse to cover than a piece of the line
    others = np.repeat(np.reshape([_xy(point) for point in front.dominated], (-1, 2)), 5, axis=0)
    return np.concatenate([along_stairs(*_stairs(axes, front)), own, others])


def along_stairs(x: Sequence[float], y: Sequence[float]) -> Points:
    """Give a staircase, by its corners at positive x, in small steps: points (N, 2)."""
    right, up = np.asarray(x), np.asarray(y)
    along = np.linspace(0, 1, 60)[:, None]
    treads = [(right[:-1] ** (1 - along) * right[1:] ** along).ravel(), np.tile(up[:-1], 60)]
    rises = [np.tile(right[1:], 60), (up[:-1] + along * (up[1:] - up[:-1])).ravel()]
    return np.concatenate([np.stack(treads, axis=1), np.stack(rises, axis=1)])


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
def curves_figure(curves: Sequence[Curve], look: Look = PAPER) -> Figure:
    """Draw the learning curves of the front, each up to its point of the front.

    Args:
        curves: By training time; of many, eight are drawn, evenly spread and with both ends.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure = new_figure(3.2, look)
    axes = figure.add_subplot(xlabel=look.say(SECONDS), ylabel=accuracy_label(look))
    chosen = evenly(curves, _MOST_CURVES)
    lines = [[(epoch.train_seconds, 100 * epoch.accuracy) for epoch in curve.epochs] for curve in chosen]
    seconds_axis(axes, [x for line in lines for x, _ in line])
    for line, shade in zip(lines, shades(len(lines)), strict=True):
        axes.plot(*zip(*line, strict=True), **shade)
        axes.plot(*line[-1], "o", color=shade["color"], markeredgecolor=INK, markeredgewidth=0.6, markersize=5)
    axes.margins(0.06, 0.14)
    ends = [
        Label(look.say("trial {number}", number=curve.point.trial), *line[-1])
        for curve, line in zip(chosen, lines, strict=True)
    ]
    place(axes, ends, np.concatenate([dense(line) for line in lines]))
    return figure


def dense(line: Sequence[tuple[float, float]]) -> Points:
    """Give a line, by its corners, in small steps: points (N, 2)."""
    corners = np.asarray(line)
    at = np.linspace(0, len(line) - 1, 30 * len(line))
    return np.stack([np.interp(at, np.arange(len(line)), corners[:, i]) for i in (0, 1)], axis=1)
