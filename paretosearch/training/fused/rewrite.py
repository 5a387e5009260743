"""Finds where a network normalises and clips, and does both at once."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from paretosearch.ghost import GhostBatchNorm2d
from paretosearch.structure import StrengthConv2d
from paretosearch.training.fused.norm import NormRelu
from paretosearch.training.surgery.tracing import graph_of
from paretosearch.weightnorm import MeanOnlyConv2d, WeightNormConv2d

_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_)
_SUMS = (operator.add, operator.iadd, torch.add)

#: Layers of ours, not to be looked into.
_LAYERS = (GhostBatchNorm2d, WeightNormConv2d, MeanOnlyConv2d, StrengthConv2d)

#: Types of batch norm that may be one operation with what follows.
Kinds = tuple[type[nn.BatchNorm2d], ...]


def fused(model: nn.Module, training: bool = True) -> Callable[[Tensor], Tensor] | None:
    """Give a network's forward pass with batch norm, shortcut and ReLU as one operation where they follow each other.

    Args:
        model: The network as it is now; a change of its shape needs another call. All modules stay its own.
        training: Whether it is the pass of a training or of an evaluation.

    Returns:
        The pass; None if the network cannot be traced, or has no such place.
    """
    try:
        graph = graph_of(model, _LAYERS, training)
    except Exception:  # whatever a network raises that is not made for tracing, it is to be run as it is
        return None
    rewritten = fx.GraphModule(model, graph)
    names = (f"fused_{number}" for number in count())
    norms: Kinds = (nn.BatchNorm2d,) if training else (nn.BatchNorm2d, GhostBatchNorm2d)
    places = 0
    for node in list(rewritten.graph.nodes):
        place = _place(rewritten, node, norms)
        if place is not None:
            _replace(rewritten, next(names), *place)
            places += 1
    if not places:
        return None
    rewritten.recompile()
    return rewritten


def _replace(rewritten: fx.GraphModule, name: str, relu: fx.Node, norm: fx.Node, shortcut: fx.Node | None) -> None:
    module = rewritten.get_submodule(str(norm.target))
    assert isinstance(module, nn.BatchNorm2d)
    rewritten.add_submodule(name, NormRelu(module))
    given = (norm.args[0],) if shortcut is None else (norm.args[0], shortcut)
    with rewritten.graph.inserting_before(relu):
        node = rewritten.graph.call_module(name, given)
    relu.replace_all_uses_with(node)
    for unused in dict.fromkeys((relu, relu.args[0], norm)):
        assert isinstance(unused, fx.Node)
        rewritten.graph.erase_node(unused)


def _place(model: fx.GraphModule, relu: fx.Node, norms: Kinds) -> tuple[fx.Node, fx.Node, fx.Node | None] | None:
    """Give a ReLU with the batch norm and the shortcut that it alone reads; None where a node is no such ReLU."""
    if not _is_relu(model, relu) or not _is_read_once(relu.args[0]):
        return None
    before = relu.args[0]
    assert isinstance(before, fx.Node)
    if _is_norm(model, before, norms):
        return relu, before, None
    for norm, shortcut in _summands(before):
        if _is_norm(model, norm, norms) and _is_read_once(norm) and norm is not shortcut:
            return relu, norm, shortcut
    return None


def _summands(node: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """Give what a node adds, in both orders; nothing if it adds no two tensors."""
    if node.op != "call_function" or node.target not in _SUMS or node.kwargs or len(node.args) != 2:
        return []
    one, two = node.args
    if not isinstance(one, fx.Node) or not isinstance(two, fx.Node):
        return []
    return [(one, two), (two, one)]


def _is_read_once(node: Any) -> bool:
    return isinstance(node, fx.Node) and len(node.users) == 1


def _is_relu(model: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(module := model.get_submodule(str(node.target)), nn.ReLU) and not _has_hooks(module)
    return node.op == "call_function" and node.target in _RELUS


def _is_norm(model: fx.GraphModule, node: fx.Node, norms: Kinds) -> bool:
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return False
    module = model.get_submodule(str(node.target))
    if type(module) not in norms or _has_hooks(module):
        return False
    return bool(module.affine and module.track_running_stats)


def _has_hooks(module: nn.Module) -> bool:
    """Whether somebody wants to know when a module is called."""
    return any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks))
