"""The value that holds all that a tree has learned."""

from __future__ import annotations

from dataclasses import dataclass

from paretosearch.device import Device
from paretosearch.treecnn.nodes import Cost
from paretosearch.treecnn.rules import Children
from paretosearch.treecnn.study import TreeStudy
from paretosearch.treecnn.tree import Increment


@dataclass(frozen=True)
class Learned:
    """What a tree has learned, and one network that was trained anew for each group.

    Args:
        study: What was to be learned.
        device: On what.
        classes: Name of each class, by its label.
        increments: One for each group; at least one.
    """

    study: TreeStudy
    device: Device
    classes: tuple[str, ...]
    increments: tuple[Increment, ...]

    @property
    def children(self) -> Children:
        """The classes behind each output of the root, in the end."""
        return self.increments[-1].children

    @property
    def costs(self) -> tuple[Cost, Cost]:
        """What all groups took together: by the tree, and by training anew."""
        tree = sum((one.cost for one in self.increments), Cost())
        return tree, sum((one.retrained_cost for one in self.increments), Cost())

    @property
    def ratios(self) -> tuple[float, float]:
        """How many times the seconds, and the effort, of training anew the tree took."""
        tree, anew = self.costs
        return tree.seconds / anew.seconds, tree.weights_times_images / anew.weights_times_images
