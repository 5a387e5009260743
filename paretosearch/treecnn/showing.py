"""How a tree has grown, as a table, as text, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from paretosearch.report.words import counted, seconds_text
from paretosearch.treecnn.nodes import Cost
from paretosearch.treecnn.rules import Children, Decision
from paretosearch.treecnn.tree import Increment

#: Said wherever the effort is shown.
EFFORT = (
    "effort, w*n: weights times images seen, summed over the networks that were trained; the paper's formula could not "
    "be verified"
)

_SAID = {
    "sure": "joins {joined}: its likelihood is {0:.2f}",
    "ahead": "joins {joined}: {0:.2f} against {1:.2f}",
    "merged": "joins {joined}, which became one for a class before it: {0:.2f} and {1:.2f}",
    "pair": "makes one branch of {joined}: {0:.2f} and {1:.2f} against {2:.2f}",
    "guarded": "joins {joined}, which does not become one with the second: {0:.2f} and {1:.2f} against {2:.2f}",
    "close": "is a child of its own: {0:.2f}, {1:.2f} and {2:.2f} are close",
    "full": "is a child of its own, as all others are full",
}


def increments_table(increments: Sequence[Increment]) -> Table:
    """Make the table: a row a group, the tree beside training anew."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    heads = ("classes", "tree %", "routed %", "anew %", "tree s", "anew s", "tree w*n", "anew w*n", "nets")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for one in increments:
        percents = (f"{100 * share:.2f}" for share in (one.accuracy, one.routing_accuracy, one.retrained_accuracy))
        costs = one.cost, one.retrained_cost
        seconds, efforts = ([said(cost) for cost in costs] for said in (_seconds, _effort))
        table.add_row(str(one.seen), *percents, *seconds, *efforts, str(one.cost.nets))
    return table


def _seconds(cost: Cost) -> str:
    return seconds_text(cost.seconds)


def _effort(cost: Cost) -> str:
    return f"{cost.weights_times_images:.2e}"


def totals(increments: Sequence[Increment]) -> tuple[Cost, Cost]:
    """Add up what all groups took: by the tree, and by training anew."""
    tree = sum((one.cost for one in increments), Cost())
    return tree, sum((one.retrained_cost for one in increments), Cost())


def summary_lines(increments: Sequence[Increment]) -> Iterator[str]:
    """Say what it comes to."""
    tree, anew = totals(increments)
    times = tree.seconds / anew.seconds, tree.weights_times_images / anew.weights_times_images
    yield (
        f"in all the tree took {_seconds(tree)} s and training anew {_seconds(anew)} s ({times[0]:.2f} times the "
        f"seconds, {times[1]:.2f} times the effort; {counted(tree.nets, 'network')} and {anew.nets})"
    )
    yield EFFORT


def decision_line(decision: Decision, classes: Sequence[str]) -> str:
    """Say where a class was attached, and why."""
    joined = " + ".join(classes[label] for label in decision.joined)
    return f"{classes[decision.label]} {_SAID[decision.reason].format(*decision.likelihoods, joined=joined)}"


def tree_lines(children: Children, classes: Sequence[str]) -> Iterator[str]:
    """Draw the tree."""
    yield "root"
    for labels, (edge, under) in zip(children, _edges(len(children)), strict=True):
        if len(labels) == 1:
            yield f"{edge} {classes[labels[0]]}"
            continue
        yield f"{edge} branch of {len(labels)}"
        for label, (inner, _) in zip(labels, _edges(len(labels)), strict=True):
            yield f"{under} {inner} {classes[label]}"


def _edges(count: int) -> list[tuple[str, str]]:
    """Give what stands before each of some siblings, and before what is below it."""
    return [("├──", "│  ")] * (count - 1) + [("└──", "   ")]


def increments_json(
    name: str, device_class: str, increments: Sequence[Increment], classes: Sequence[str]
) -> dict[str, Any]:
    """Give everything as JSON can hold it."""
    tree, anew = totals(increments)
    return {
        "study": name,
        "device_class": device_class,
        "effort_is": EFFORT,
        "increments": [_plain(one, classes) for one in increments],
        "tree": [[classes[label] for label in labels] for labels in increments[-1].children],
        "total": asdict(tree),
        "retrained_total": asdict(anew),
    }


def _plain(one: Increment, classes: Sequence[str]) -> dict[str, Any]:
    measures = ("seen", "accuracy", "routing_accuracy", "retrained_accuracy")
    return {
        "classes": [classes[label] for label in one.new],
        **{name: getattr(one, name) for name in measures},
        "cost": asdict(one.cost),
        "retrained_cost": asdict(one.retrained_cost),
        "children": [[classes[label] for label in labels] for labels in one.children],
        "decisions": [
            {
                "class": classes[decision.label],
                "reason": decision.reason,
                "joined": [classes[label] for label in decision.joined],
                "likelihoods": list(decision.likelihoods),
            }
            for decision in one.decisions
        ],
    }


def increments_rows(increments: Sequence[Increment], classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Make the rows of a CSV."""
    for one in increments:
        yield {
            "classes": one.seen,
            "new": ", ".join(classes[label] for label in one.new),
            "accuracy": one.accuracy,
            "routing_accuracy": one.routing_accuracy,
            "retrained_accuracy": one.retrained_accuracy,
            "train_seconds": one.cost.seconds,
            "retrained_train_seconds": one.retrained_cost.seconds,
            "weights_times_images": one.cost.weights_times_images,
            "retrained_weights_times_images": one.retrained_cost.weights_times_images,
            "networks": one.cost.nets,
        }
