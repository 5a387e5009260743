"""Finds the residual branches of a network."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import fx, nn

from paretosearch.channels import Branch
from paretosearch.training.surgery.tables import module_rules
from paretosearch.training.surgery.tracing import Trace, graph_of

_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")


@dataclass(frozen=True)
class Fork:
    """The addition that ends a residual block, with the two ways that lead to it.

    Args:
        graph: Operations of the block.
        addition: The addition in it.
        branch: The last layer of the branch, which makes the one operand.
        shortcut: The other operand.
        layers: Operations of the branch that have parameters, in order.
    """

    graph: fx.Graph
    addition: fx.Node
    branch: fx.Node
    shortcut: fx.Node
    layers: tuple[fx.Node, ...]


def branches(model: nn.Module, trace: Trace) -> tuple[Branch, ...]:
    """Find the residual branches that can be removed.

    Args:
        model: The network.
        trace: Its operations.

    Returns:
        The branch of every block that adds what several layers make of its input to the input itself, or to what fewer
        layers make of it; in the order of the forward pass.
    """
    blocks: dict[str, list[fx.Node]] = defaultdict(list)
    for node in trace.graph.nodes:
        for name in dict.fromkeys(_stack(node)):
            blocks[name].append(node)
    additions = [(_stack(node), node) for node in trace.graph.nodes if _adds(node)]
    homes = dict.fromkeys(stack[-1] for stack, _ in additions if stack and stack[-1])
    found = {
        home: _fork(model, trace.graph, blocks[home], [node for stack, node in additions if stack[-1:] == [home]])
        for home in homes
    }
    return tuple(_described(home, blocks[home], fork) for home, fork in found.items() if fork is not None)


def _described(block: str, nodes: list[fx.Node], fork: Fork) -> Branch:
    return Branch(block, tuple(str(node.target) for node in fork.layers), identity=fork.shortcut not in nodes)


def _stack(node: fx.Node) -> list[str]:
    """List the modules whose code an operation is in, from the outermost."""
    return [str(name) for name, _ in node.meta.get("nn_module_stack", {}).values()]


def _adds(node: fx.Node) -> bool:
    return node.target in _ADDITIONS and len(node.all_input_nodes) == 2


def fork_of(block: nn.Module) -> Fork | None:
    """Find where a residual block forks; None if it is no such block, or its branch cannot be told from the rest."""
    graph = graph_of(block, module_rules())
    nodes = [node for node in graph.nodes if node.op != "placeholder"]
    return _fork(block, graph, nodes, [node for node in nodes if _adds(node) and not _stack(node)])


def _fork(root: nn.Module, graph: fx.Graph, nodes: list[fx.Node], additions: list[fx.Node]) -> Fork | None:
    """Find where a block forks, among its own operations and the additions that its own code makes."""
    if len(additions) != 1:
        return None
    (addition,) = additions
    one, other = addition.all_input_nodes
    mine, its = _only(one, other, nodes), _only(other, one, nodes)
    if len(_layers(root, mine)) < len(_layers(root, its)):
        one, other, mine, its = other, one, its, mine
    layers = _layers(root, mine)
    if len(layers) == len(_layers(root, its)) or _maker(root, one) is not layers[-1]:
        return None
    if not _stands_alone(root, mine, addition):
        return None
    return Fork(graph, addition, layers[-1], other, tuple(layers))


def _maker(root: nn.Module, node: fx.Node) -> fx.Node:
    """Give the operation that makes an operand, behind which batch norm may have been taken away."""
    while node.op == "call_module" and isinstance(root.get_submodule(str(node.target)), nn.Identity):
        (node,) = node.all_input_nodes
    return node


def _only(way: fx.Node, other: fx.Node, nodes: list[fx.Node]) -> list[fx.Node]:
    """List the operations of a block that lead to one operand but not to the other, in order."""
    mine = _ancestors(way, set(nodes)) - _ancestors(other, set(nodes))
    return [node for node in nodes if node in mine]


def _ancestors(node: fx.Node, within: set[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    todo = [node]
    while todo:
        node = todo.pop()
        if node in within and node not in found:
            found.add(node)
            todo += node.all_input_nodes
    return found


def _layers(root: nn.Module, nodes: list[fx.Node]) -> list[fx.Node]:
    calls = [node for node in nodes if node.op == "call_module"]
    return [node for node in calls if any(True for _ in root.get_submodule(str(node.target)).parameters())]


def _stands_alone(root: nn.Module, nodes: list[fx.Node], addition: fx.Node) -> bool:
    """Whether nothing else reads a branch's results, nor what the branch overwrites."""
    inside = set(nodes)
    for node in nodes:
        if not set(node.users) <= inside | {addition}:
            return False
        if is_in_place(root, node) and not set(node.all_input_nodes) <= inside:
            return False
    return True


def is_in_place(block: nn.Module, node: fx.Node) -> bool:
    """Whether an operation writes over its operand."""
    if node.op == "call_module":
        return bool(getattr(block.get_submodule(str(node.target)), "inplace", False))
    return bool(node.kwargs.get("inplace")) or str(node.target).endswith("_")


def regraphed(
    block: nn.Module, graph: fx.Graph, extra: Mapping[str, nn.Module] = MappingProxyType({})
) -> fx.GraphModule:
    """Make a block that does the operations of a graph with the modules of a block, under their names.

    Args:
        block: Where the modules are.
        graph: What to do, edited from the block's own.
        extra: Modules by name that the graph calls and the block lacks.
    """
    called = (str(node.target) for node in graph.nodes if node.op == "call_module")
    modules = {name: extra[name] if name in extra else block.get_submodule(name) for name in called}
    made = fx.GraphModule(modules, graph, type(block).__name__)
    made.graph.eliminate_dead_code()
    made.delete_all_unused_submodules()
    made.recompile()
    for module in set(made.modules()) - set(block.modules()):
        module.training = block.training
    return made
