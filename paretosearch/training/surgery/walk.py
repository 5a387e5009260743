"""The walk over a network's operations that finds which channels belong together."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, fx, nn

from paretosearch.channels import ENDS, Role
from paretosearch.training.surgery.layouts import Groups, Layout, Use
from paretosearch.training.surgery.tracing import Trace

#: Gives the layout of an operation's result.
Rule = Callable[["Walk", fx.Node], Layout]


class Walk:
    """State of the walk, and what rules may ask of it or tell it.

    Args:
        model: The network.
        trace: Its operations.
        rule_of: Gives the rule of an operation.
    """

    def __init__(self, model: nn.Module, trace: Trace, rule_of: Callable[[Walk, fx.Node], Rule]) -> None:
        self.model, self.trace, self.groups = model, trace, Groups()
        self.uses: list[Use] = []
        self.births: dict[int, str] = {}
        self._layouts: dict[fx.Node, Layout] = {}
        self._counts: dict[fx.Node, Layout] = {}  # numbers that follow from how many channels there are
        self._rule_of = rule_of

    def run(self) -> None:
        """Visit every operation in order."""
        for node in self.trace.graph.nodes:
            self._visit(node)

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._layouts[node] = self.born(node, "input", ENDS[0])
        elif node.op == "get_attr":
            if self.attribute(node).numel() > 1:
                self._layouts[node] = self.born(node, str(node.target), f"the code uses {node.target} itself")
        elif node.op == "output":
            self.freeze(node.all_input_nodes, ENDS[1])
        elif node in self.trace.values and not self._holds_tensors(node):
            self._count(node)
        else:
            self._layouts[node] = self._rule_of(self, node)(self, node)

    def _holds_tensors(self, node: fx.Node) -> bool:
        value = self.trace.values[node]
        return isinstance(value, tuple | list) and any(isinstance(item, Tensor) for item in value)

    def _count(self, node: fx.Node) -> None:
        """Follow numbers: one that depends on how many channels there are must not leave the shape arithmetic."""
        origin = sum((self._counts.get(arg) or self._layouts.get(arg, ()) for arg in node.all_input_nodes), ())
        if self.trace.values[node] is None:  # such as an assertion
            self.groups.freeze(origin, f"{node.name} depends on how many channels there are")
        elif origin and not _is_free_of_channels(node, self.trace):
            self._counts[node] = origin

    # What rules ask.

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Give the shape of a tensor; () for what is none."""
        return tuple(self.trace.shapes.get(node, ()))

    def module(self, node: fx.Node) -> nn.Module:
        """Give the module that a call_module operation calls."""
        return self.model.get_submodule(str(node.target))

    def attribute(self, node: fx.Node) -> Tensor:
        """Give the tensor that a get_attr operation takes from the network."""
        path, _, name = str(node.target).rpartition(".")
        tensor: Tensor = getattr(self.model.get_submodule(path), name)
        return tensor

    def found(self, use: Use) -> Tensor:
        """Give the tensor that a use speaks of."""
        tensor: Tensor = getattr(self.model.get_submodule(use.module), use.tensor)
        return tensor

    def layout(self, node: object) -> Layout | None:
        """Give the layout of an operand, or None for what has no channels, such as a number."""
        return self._layouts.get(node) if isinstance(node, fx.Node) else None

    def count(self, node: object) -> Layout | None:
        """Give the layout whose length a number was computed from, or None."""
        return self._counts.get(node) if isinstance(node, fx.Node) else None

    def operands(self, node: fx.Node) -> list[fx.Node]:
        """Give the operands that have channels."""
        return [arg for arg in node.all_input_nodes if arg in self._layouts]

    def counts(self, node: fx.Node) -> list[fx.Node]:
        """Give the operands that are numbers computed from how many channels there are."""
        return [arg for arg in node.all_input_nodes if arg in self._counts]

    # What rules tell.

    def born(self, node: fx.Node, name: str, frozen: str | None = None) -> Layout:
        """Start a space with the result of an operation."""
        shape = self.shape(node)
        layout = self.groups.new(shape[1] if len(shape) > 1 else 0, frozen)
        self.births[layout[0].group] = name
        return layout

    def use(
        self, node: fx.Node, tensor: str, dim: int, layout: Layout, role: Role, attributes: tuple[str, ...] = ()
    ) -> None:
        """Note that a dimension of the called module's tensor follows a layout; a tensor it lacks is passed over."""
        if getattr(self.module(node), tensor, None) is not None:
            self.uses.append(Use(str(node.target), tensor, dim, layout, role, attributes))

    def freeze(self, nodes: Iterable[fx.Node], reason: str) -> None:
        """Freeze all channels of some operands, or those that a number was computed from."""
        for node in nodes:
            self.groups.freeze(self._layouts.get(node, ()) + self._counts.get(node, ()), reason)


def _is_free_of_channels(node: fx.Node, trace: Trace) -> bool:
    """Whether a number cannot change with how many channels there are: a batch size, an edge, a device."""
    if node.target == "dim" or (node.target is getattr and node.args[1] != "shape"):
        return True
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return False
    if node.target == "size" and isinstance(dim := node.args[-1], int):
        return 1 not in _picked(len(trace.shapes[source]), dim)
    if node.target is operator.getitem and _is_shape(source):
        return 1 not in _picked(len(trace.values[source]), node.args[1])
    return False


def _is_shape(node: fx.Node) -> bool:
    if node.target == "size":
        return len(node.args) == 1 and not node.kwargs
    return node.target is getattr and str(node.args[1]) == "shape"


def _picked(length: int, index: Any) -> Sequence[int]:
    """List the dimensions that an index takes out of a shape."""
    every = tuple(range(length))
    return every[index] if isinstance(index, slice) else (every[index],)
