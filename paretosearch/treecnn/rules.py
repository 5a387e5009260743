"""Where a new class is attached to a tree of networks: the rules of Tree-CNN, on numbers alone.

Roy, Panda, Roy, *Tree-CNN*, Neural Networks 2020, arXiv:1802.05800; thresholds and guards are those of its code, as the
specification of this project has them. What that leaves open is decided here, and said where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: The classes behind each output of the root. One class is a leaf; more are a branch with a network of its own, which
#: tells them apart. No branch has branches: what the specification describes of a node is that of the root.
Children = tuple[tuple[int, ...], ...]

#: Why a class stands where it does. It joins a child that is ``sure`` or ``ahead`` of the next one, or whose two halves
#: were ``merged`` for a class before it; it is added to a ``pair`` of children that become one, or to the first of a
#: pair that is ``guarded`` from that; it is a child of its own where all are ``close``, or ``full``.
Reason = Literal["sure", "ahead", "merged", "pair", "guarded", "close", "full"]


@dataclass(frozen=True)
class Rules:
    """The thresholds.

    Args:
        alpha: How much likelier than the second child the first must be for a class to join it, in [0, 1].
        beta: How much likelier than the third child the second must be for the first two to become one, in [0, 1].
        shortcut: Likelihood beyond which a class joins a child whatever the others have, in [0, 1].
        most_classes: Most classes of a branch, at least 2; those that were shipped have 5, 10 and 20.
    """

    alpha: float = 0.1
    beta: float = 0.1
    shortcut: float = 0.55
    most_classes: int = 10


@dataclass(frozen=True)
class Decision:
    """Where one class was attached.

    Args:
        label: The class.
        reason: Why there.
        joined: The classes that it was put together with; none for a child of its own.
        likelihoods: The three largest of the children that had room; 0 where there are fewer.
    """

    label: int
    reason: Reason
    joined: tuple[int, ...]
    likelihoods: tuple[float, float, float]


@dataclass(frozen=True)
class Growth:
    """A tree that has grown by some classes.

    Args:
        children: The classes behind each output of the root now.
        kept: Which output of before each one goes on from; None is a new one. Of two that became one it is the first,
            which the specification leaves open.
        decisions: What was decided, in its order.
    """

    children: Children
    kept: tuple[int | None, ...]
    decisions: tuple[Decision, ...]


def grown(children: Children, table: Mapping[int, Sequence[float]], rules: Rules) -> Growth:
    """Attach new classes, the one with the largest likelihood first.

    Args:
        children: The tree before.
        table: For each new class the likelihood of each child, in the order of ``children``.
        rules: The thresholds.

    Returns:
        The tree after.
    """
    growing, waiting, decisions = _Growing(children, rules), dict(table), []
    while waiting:
        label = max(waiting, key=lambda new: growing.likeliest(waiting[new]))  # of equal ones the first
        decisions.append(growing.attach(label, waiting.pop(label)))
    left = [(place, node) for place, node in enumerate(growing.nodes) if node]
    kept = tuple(place if place < len(children) else None for place, _ in left)
    return Growth(tuple(tuple(node) for _, node in left), kept, tuple(decisions))


class _Growing:
    """A tree between two decisions.

    Attributes:
        nodes: Classes of each child; none where it has become a part of another one.
    """

    def __init__(self, children: Children, rules: Rules) -> None:
        self.nodes = [list(labels) for labels in children]
        self._owner = list(range(len(children)))  # which child an output of the old network stands for now
        self._rules = rules

    def likeliest(self, likelihoods: Sequence[float]) -> float:
        """Give the largest likelihood of a child with room."""
        return max((value for value, _ in self._with_room(likelihoods)), default=0.0)

    def _with_room(self, likelihoods: Sequence[float]) -> list[tuple[float, int]]:
        """Give the likelihoods of outputs whose child is not full, as they are, the largest first."""
        owned = zip(likelihoods, self._owner, strict=True)
        open_ones = [(value, node) for value, node in owned if len(self.nodes[node]) < self._rules.most_classes]
        return sorted(open_ones, key=lambda one: one[0], reverse=True)

    def attach(self, label: int, likelihoods: Sequence[float]) -> Decision:
        """Attach a class where the rules say."""
        ranked = self._with_room(likelihoods)
        v1, v2, v3 = [value for value, _ in ranked[:3]] + [0.0] * (3 - len(ranked[:3]))
        reason, nodes = self._reason(v1, v2, v3, [node for _, node in ranked[:2]])
        joined = tuple(self._together(nodes, label))
        return Decision(label, reason, joined, (v1, v2, v3))

    def _reason(self, v1: float, v2: float, v3: float, nodes: list[int]) -> tuple[Reason, list[int]]:
        """Give the reason of a decision, and the children that the class is put together with."""
        if not nodes:
            return "full", []
        if v1 > self._rules.shortcut:
            return "sure", nodes[:1]
        if v1 - v2 > self._rules.alpha:
            return "ahead", nodes[:1]
        if len(nodes) == 2 and nodes[0] == nodes[1]:
            return "merged", nodes[:1]
        if v2 - v3 > self._rules.beta:
            return ("pair", nodes) if self._may_merge(*nodes) else ("guarded", nodes[:1])
        return "close", []

    def _may_merge(self, first: int, second: int) -> bool:
        """Whether two children may become one.

        Not where the second has several classes, as it also has once another new class has chosen it, and not where
        that would be too many.
        """
        size = len(self.nodes[first]) + len(self.nodes[second]) + 1
        return len(self.nodes[second]) == 1 and size <= self._rules.most_classes

    def _together(self, nodes: list[int], label: int) -> list[int]:
        """Make one child of some, add a class to it, and give what it had before."""
        if not nodes:
            self.nodes.append([label])
            return []
        first, *rest = nodes
        for other in rest:
            self.nodes[first] += self.nodes[other]
            self.nodes[other] = []
            self._owner = [first if node == other else node for node in self._owner]
        before = list(self.nodes[first])
        self.nodes[first].append(label)
        return before


def paths(children: Children) -> dict[int, tuple[int, ...]]:
    """Give the way to every class: the output of the root, and that of the branch where there is one.

    Raises:
        AssertionError: If a class has two ways, or a child has none.
    """
    found: dict[int, tuple[int, ...]] = {}
    for output, labels in enumerate(children):
        assert labels, f"output {output} leads to no class"
        for place, label in enumerate(labels):
            assert label not in found, f"class {label} has two ways"
            found[label] = (output,) if len(labels) == 1 else (output, place)
    return found
