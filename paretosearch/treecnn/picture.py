"""The figure and the table of a tree that grows: accuracy, seconds and effort beside training anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from paretosearch.report.booktabs import percent_cell, seconds_cell, set_rows
from paretosearch.report.latex import escaped
from paretosearch.report.look import PAPER, Look
from paretosearch.report.plots import accuracy_label
from paretosearch.report.style import FAINT, INK, PALETTE, legend, new_figure, styled
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.nodes import Cost
from paretosearch.treecnn.showing import total_line
from paretosearch.treecnn.tree import Increment

_TREE: dict[str, Any] = {"color": PALETTE[0], "marker": "o", "markersize": 4.5, "markeredgecolor": INK}
_ANEW: dict[str, Any] = {"color": PALETTE[1], "marker": "s", "markersize": 4.5, "markeredgecolor": INK}
_ROOT: dict[str, Any] = {"color": FAINT, "linestyle": ":"}

#: Unit of the effort.
_UNIT = 1e9


@styled
def tree_figure(increments: Sequence[Increment], look: Look = PAPER) -> Figure:
    """Draw what each group did: accuracy, and seconds and effort of all groups so far.

    Args:
        increments: At least one.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure = new_figure(2.3, look)
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
    _pair(effort, seen, *(_summed([_effort(cost) for cost in costs]) for costs in _costs(increments)))
    accuracy.set_ylabel(accuracy_label(look))
    for panel, label in ((seconds, "training time so far (s)"), (effort, "weights × images so far (10⁹)")):
        broken = label.replace(" so far", "\nso far") if look.style == "slides" else label  # or it would be too high
        panel.set(ylabel=look.say(broken), ylim=(0, None))
    for panel in (accuracy, seconds, effort):
        panel.set_xlabel(look.say("classes so far"))
        panel.xaxis.set_major_locator(FixedLocator(seen, nbins=6))
    named = {"tree": _TREE, "one network, trained anew": _ANEW, "routed to the right child": _ROOT}
    legend(figure, [Line2D([], [], **drawn, label=look.say(name)) for name, drawn in named.items()])
    return figure


def _costs(increments: Sequence[Increment]) -> tuple[list[Cost], list[Cost]]:
    return [one.cost for one in increments], [one.retrained_cost for one in increments]


def _effort(cost: Cost) -> float:
    return cost.weights_times_images / _UNIT


def _summed(values: Sequence[float]) -> list[float]:
    return list(accumulate(values))


def _pair(panel: Axes, seen: Sequence[int], tree: Sequence[float], anew: Sequence[float]) -> None:
    panel.plot(seen, anew, **_ANEW)
    panel.plot(seen, tree, **_TREE)


def increments_tabular(learned: Learned, look: Look = PAPER) -> str:
    """Make the table of the same for LaTeX: a row a group.

    Args:
        learned: What was learned.
        look: Whose language to use.

    Returns:
        A ``tabular`` no wider than the text, with notes below it, and hints for its caption as comments.
    """
    measures = {"(%)": ("tree", "routed", "anew"), "(s)": ("tree", "anew"), "(10⁹)": ("tree", "anew")}
    pairs = [f"{look.say(name)}\n{unit}" for unit, names in measures.items() for name in names]
    heads = [look.say("classes"), *pairs, look.say("networks\ntrained")]
    rows = [list(_cells(one, look)) for one in learned.increments]
    notes = (
        "routed: images that the root sends to the right child",
        "anew: one network, trained anew on all classes so far",
        "10⁹: weights × images, summed over the networks that were trained",
    )
    hints = (f"times on {learned.device.device_class}; accuracy on the validation split", total_line(learned))
    return set_rows("r" * len(heads), heads, rows, [look.say(note) for note in notes], hints)


def _cells(one: Increment, look: Look) -> Iterator[str]:
    yield str(one.seen)
    for share in (one.accuracy, one.routing_accuracy, one.retrained_accuracy):
        yield percent_cell(share, look)
    costs = one.cost, one.retrained_cost
    for cost in costs:
        yield seconds_cell(cost.seconds, 1, look)
    for cost in costs:
        yield escaped(look.number(f"{_effort(cost):.2f}"))
    yield str(one.cost.nets)
