"""How a tree has grown, to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paretosearch.report.phrases import Phrases
from paretosearch.report.words import counted, seconds_text
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.nodes import Cost
from paretosearch.treecnn.rules import Children
from paretosearch.treecnn.tree import Increment

#: Said wherever the effort is shown.
EFFORT = (
    "effort, w*n: weights times images seen, summed over the networks that were trained; the paper's formula could not "
    "be verified"
)

_BECAUSE = {
    "sure": "very likely",
    "ahead": "ahead of the next",
    "merged": "both are one now",
    "pair": "two become one",
    "guarded": "two stay apart",
    "close": "all are close",
    "full": "all are full",
}


def shown(learned: Learned) -> Group:
    """Make all that is to be read: what each group took, where its classes were attached, the tree."""
    tree = "\n".join(tree_lines(learned.children, learned.classes))
    parts: list[RenderableType] = [
        Text(f"what each group took, on {learned.device.device_class}", "bold"),
        increments_table(learned.increments),
        Text(total_line(learned)),
        *(Text(note, "dim") for note in _notes(learned)),
        Text(),
    ]
    if any(one.decisions for one in learned.increments):
        parts += [Text("where each class was attached", "bold"), decisions_table(learned)]
        parts += [Text("likelihoods: by the root as it was, of the three likeliest that had room", "dim"), Text()]
    return Group(*parts, Text("the tree", "bold"), Text(tree, no_wrap=True, overflow="ignore"))


def increments_table(increments: Sequence[Increment]) -> Table:
    """Make the table: a row a group, the tree beside training anew."""
    heads = ("classes", "tree %", "routed %", "anew %", "tree s", "anew s", "tree w*n", "anew w*n", "trained")
    table = _columns(*((head, "right") for head in heads))
    for one in increments:
        percents = (f"{100 * share:.2f}" for share in (one.accuracy, one.routing_accuracy, one.retrained_accuracy))
        costs = one.cost, one.retrained_cost
        seconds, efforts = ([said(cost) for cost in costs] for said in (_seconds, _effort))
        table.add_row(str(one.seen), *percents, *seconds, *efforts, _trained(one))
    return table


def _columns(*headings: tuple[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading, justify in headings:
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    return table


def _seconds(cost: Cost) -> str:
    return seconds_text(cost.seconds)


def _effort(cost: Cost) -> str:
    return f"{cost.weights_times_images:.2e}"


def _trained(one: Increment) -> str:
    """Say which networks of the tree were trained, such as ``root + 2`` for it and two branches."""
    branches = one.cost.nets - one.root_trained
    return " + ".join([*["root"] * one.root_trained, *[str(branches)] * bool(branches)])


def total_line(learned: Learned) -> str:
    """Say what it comes to."""
    (tree, anew), times = learned.costs, learned.ratios
    return (
        f"in all the tree took {_seconds(tree)} s and training anew {_seconds(anew)} s ({times[0]:.2f} times the "
        f"seconds, {times[1]:.2f} times the effort; {counted(tree.nets, 'network')} and {anew.nets})"
    )


def _notes(learned: Learned) -> Iterator[str]:
    """Explain the table of what each group took."""
    yield "routed: images that the root sends to the right child; trained: the root, and so many branches"
    if left := sum(not one.root_trained for one in learned.increments):
        yield f"the root was left as it was for {counted(left, 'group')}, which changed none of its outputs"
    yield EFFORT


def decisions_table(learned: Learned) -> Table:
    """Make the table of where each class was attached, and why: a row a class, under how many there are with it."""
    table = _columns(("classes", "right"), ("class", "left"))
    table.add_column("attached to")
    for heading in ("likelihoods", "because"):
        table.add_column(heading, no_wrap=True)
    for one in learned.increments:
        for number, decision in enumerate(one.decisions):
            joined = ", ".join(learned.classes[label] for label in decision.joined) or "the root"
            likelihoods = " ".join(f"{value:.2f}" for value in decision.likelihoods)
            name = Text(learned.classes[decision.label])
            first = str(one.seen) if number == 0 else ""
            table.add_row(first, name, Phrases(joined), likelihoods, _BECAUSE[decision.reason])
    return table


def increment_line(one: Increment) -> str:
    """Say in short how far a group has come."""
    tree, anew = (f"{100 * share:.2f} %" for share in (one.accuracy, one.retrained_accuracy))
    return f"{one.seen} classes: accuracy {tree} by the tree, {anew} by training anew"


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
