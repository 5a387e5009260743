"""The figure of a tree that grows: accuracy, seconds and effort beside training anew."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from paretosearch.report.style import FAINT, INK, PALETTE, legend, new_figure, styled
from paretosearch.treecnn.tree import Increment

_TREE: dict[str, Any] = {"color": PALETTE[0], "marker": "o", "markersize": 4.5, "markeredgecolor": INK}
_ANEW: dict[str, Any] = {"color": PALETTE[1], "marker": "s", "markersize": 4.5, "markeredgecolor": INK}
_ROOT: dict[str, Any] = {"color": FAINT, "linestyle": ":"}


@styled
def tree_figure(increments: Sequence[Increment]) -> Figure:
    """Draw what each group did: accuracy, and seconds and effort of all groups so far.

    Args:
        increments: At least one.

    Returns:
        The figure.
    """
    figure = new_figure(2.3)
    accuracy, seconds, effort = figure.subplots(1, 3)
    seen = [one.seen for one in increments]
    accuracy.plot(seen, [100 * one.routing_accuracy for one in increments], **_ROOT)
    _pair(
        accuracy,
        seen,
        [100 * one.accuracy for one in increments],
        [100 * one.retrained_accuracy for one in increments],
    )
    _pair(seconds, seen, *(_summed([cost.seconds for cost in costs]) for costs in _costs(increments)))
    in_units = [[cost.weights_times_images / 1e9 for cost in costs] for costs in _costs(increments)]
    _pair(effort, seen, *map(_summed, in_units))
    accuracy.set_ylabel("validation accuracy (%)")
    seconds.set(ylabel="training time so far (s)", ylim=(0, None))
    effort.set(ylabel="weights x images (1e9)", ylim=(0, None))
    for panel in (accuracy, seconds, effort):
        panel.set_xlabel("classes so far")
        panel.xaxis.set_major_locator(FixedLocator(seen))
    handles = [Line2D([], [], **_TREE, label="tree"), Line2D([], [], **_ANEW, label="one network, trained anew")]
    legend(figure, [*handles, Line2D([], [], **_ROOT, label="images that the root sends to the right child")])
    return figure


def _costs(increments: Sequence[Increment]) -> tuple[list[Any], list[Any]]:
    return [one.cost for one in increments], [one.retrained_cost for one in increments]


def _summed(values: Sequence[float]) -> list[float]:
    return list(accumulate(values))


def _pair(panel: Axes, seen: Sequence[int], tree: Sequence[float], anew: Sequence[float]) -> None:
    panel.plot(seen, anew, **_ANEW)
    panel.plot(seen, tree, **_TREE)
