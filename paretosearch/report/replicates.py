"""Recipes that were trained more than once, with other seeds: what is chance, and what is not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import t

from paretosearch.recipe import Recipe
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import Marks, marks_of
from paretosearch.report.plots import ACCURACY, SECONDS
from paretosearch.report.style import INK, legend, new_figure, seconds_axis, styled
from paretosearch.report.words import axis_value, words
from paretosearch.store import Front, Point

#: Share of intervals that hold the mean of endlessly many trainings.
CONFIDENCE = 0.95

_HIGH_ENOUGH = 40  # rows of a figure that fit a page


@dataclass(frozen=True)
class Spread:
    """Mean of some values, and how far it may be off.

    Args:
        mean: The mean.
        half_width: Half of the interval of Student's t that holds the true mean with `CONFIDENCE`; None for one value.
    """

    mean: float
    half_width: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Look at values that chance has drawn, at least one."""
        if len(values) < 2:
            return cls(values[0], None)
        quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
        return cls(statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values)))


@dataclass(frozen=True)
class Replicates:
    """Trainings of one Recipe.

    Args:
        points: One for each, by trial.
    """

    points: tuple[Point, ...]

    @property
    def recipe(self) -> Recipe:
        """The Recipe, with the seed of the first."""
        return self.points[0].recipe

    @property
    def accuracy(self) -> Spread:
        """Accuracy in [0, 1]."""
        return Spread.of([point.accuracy for point in self.points])

    @property
    def seconds(self) -> Spread:
        """Training seconds."""
        return Spread.of([point.train_seconds for point in self.points])


def replicates(front: Front) -> tuple[Replicates, ...]:
    """Group the trials of a study by their Recipe, whatever the seed.

    Args:
        front: All trials that are complete.

    Returns:
        Recipes in the order of their first trials; none if no Recipe was trained with two seeds.
    """
    groups = every_recipe(front)
    repeated = any(len({point.recipe.seed for point in group.points}) > 1 for group in groups)
    return groups if repeated else ()


def every_recipe(front: Front) -> tuple[Replicates, ...]:
    """Group the trials of a study by their Recipe, be each of them trained once, in the order of their first trials."""
    grouped: dict[str, list[Point]] = {}
    for point in sorted((*front.points, *front.dominated), key=lambda point: point.trial):
        grouped.setdefault(point.recipe.digest, []).append(point)
    return tuple(Replicates(tuple(points)) for points in grouped.values())


def replicates_rows(groups: Sequence[Replicates], axes: Collection[str]) -> list[dict[str, Any]]:
    """Make the rows of a table: the searched values of every Recipe, then what its trainings gave."""
    return [
        {
            **{axis: axis_value(group.recipe, axis) for axis in axes if axis != "seed"},
            "trainings": len(group.points),
            "accuracy": group.accuracy.mean,
            "accuracy_half_width_95": group.accuracy.half_width,
            "train_seconds": group.seconds.mean,
            "train_seconds_half_width_95": group.seconds.half_width,
            "trials": " ".join(str(point.trial) for point in group.points),
        }
        for group in groups
    ]


@styled
def replicates_figure(groups: Sequence[Replicates], axes: Collection[str], look: Look = PAPER) -> Figure:
    """Draw mean and interval of accuracy and of time, a row a Recipe.

    Args:
        groups: What was trained more than once; of many, the most accurate ones are drawn.
        axes: The searched fields and ``method.parameter`` names.
        look: What it is made for.

    Returns:
        The figure.
    """
    kept = sorted(groups, key=lambda group: group.accuracy.mean, reverse=True)[:_HIGH_ENOUGH]
    rows = [group for group in groups if group in kept]
    figure = new_figure((0.9 + 0.19 * len(rows)) / look.height(1.0), look)  # rows are as high on slides as on a page
    accuracy, seconds = figure.subplots(1, 2, sharey=True)
    marks = marks_of([group.points[0] for group in rows])
    _panel(accuracy, rows, marks, [[100 * point.accuracy for point in row.points] for row in rows])
    _panel(seconds, rows, marks, [[point.train_seconds for point in row.points] for row in rows])
    seconds_axis(seconds, [point.train_seconds for row in rows for point in row.points])
    accuracy.set(xlabel=look.say(ACCURACY), ylim=(len(rows) - 0.4, -0.6))
    accuracy.set_yticks(range(len(rows)), [look.words(words(row.recipe, axes, ("seed",))) for row in rows])
    seconds.set(
        xlabel=look.say(SECONDS), xlim=(max(0.0, seconds.get_xlim()[0]), None)
    )  # an interval of two may begin below
    interval = look.say("mean with {share} % interval", share=f"{100 * CONFIDENCE:.0f}")
    handles = [Line2D([], [], color=INK, label=interval)]
    legend(figure, [*handles, Line2D([], [], **_one_training(), label=look.say("one training"))])
    return figure


def _panel(panel: Axes, rows: Sequence[Replicates], marks: Marks, values: Sequence[Sequence[float]]) -> None:
    for place, (row, found) in enumerate(zip(rows, values, strict=True)):
        spread, value = Spread.of(found), marks.value(row.points[0])
        panel.plot(found, [place] * len(found), **_one_training(), zorder=2)
        panel.errorbar(spread.mean, place, xerr=spread.half_width, color=INK, linewidth=1, capsize=2, zorder=3)
        panel.plot(spread.mean, place, **marks.solid(value), markersize=5, zorder=4)
    panel.grid(visible=False, axis="y")


def _one_training() -> dict[str, Any]:
    return {"marker": "|", "linestyle": "none", "color": "#999999", "markersize": 6}
