"""What operations do to the channels that pass through them: a rule for each kind."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx, nn

from paretosearch.training.surgery.layouts import Layout, Piece
from paretosearch.training.surgery.walk import Rule, Walk


def unknown(walk: Walk, node: fx.Node, reason: str | None = None) -> Layout:
    """Freeze what goes in, and what comes out."""
    reason = reason or f"{_called(walk, node)} is an operation that surgery does not know"
    walk.freeze([*walk.operands(node), *walk.counts(node)], reason)
    return walk.born(node, str(node.target) if node.op == "call_module" else node.name, reason)


def transparent(walk: Walk, node: fx.Node) -> Layout:
    """Pass channels on: the operation treats every channel alike, whatever the others hold."""
    operands = walk.operands(node)
    if len(operands) != 1 or node not in walk.trace.shapes:
        return unknown(walk, node)
    (source,) = operands
    # No line of the tables leads here; a wrong one that is added must freeze, not cut.
    if walk.shape(source)[:2] != walk.shape(node)[:2] or len(walk.shape(node)) < 2:
        return unknown(walk, node)
    layout = walk.layout(source)
    assert layout is not None
    return layout


def spatial(dims: int) -> Rule:
    """Make the rule of an operation over the last dimensions; with less than two before them it mixes channels."""

    def rule(walk: Walk, node: fx.Node) -> Layout:
        if any(len(walk.shape(operand)) != dims + 2 for operand in walk.operands(node)):
            return unknown(walk, node, f"{_called(walk, node)} is called without a batch or without channels")
        return transparent(walk, node)

    return rule


def transparent_module(walk: Walk, node: fx.Node) -> Layout:
    """Pass channels through a module that has no state."""
    if any(True for _ in walk.module(node).parameters()):
        return unknown(walk, node, f"{node.target} has parameters of its own")
    return transparent(walk, node)


def per_channel(*tensors: str, attribute: str = "num_features") -> Rule:
    """Make the rule of a module that has an entry of each of some tensors per channel."""

    def rule(walk: Walk, node: fx.Node) -> Layout:
        if not _is_plain(walk.module(node), *tensors):
            return unknown(walk, node, f"{node.target} computes its parameters anew in every pass")
        layout = transparent(walk, node)
        for tensor in tensors:
            walk.use(node, tensor, 0, layout, "producer", (attribute,))
        return layout

    return rule


def fixed(why: str) -> Rule:
    """Make the rule of a module that is to stay as it is; ``why`` is said of its channels."""

    def rule(walk: Walk, node: fx.Node) -> Layout:
        return unknown(walk, node, f"the channels of {node.target} {why}")

    return rule


def prelu(walk: Walk, node: fx.Node) -> Layout:
    """Pass channels through a leaky ReLU whose slopes are shared or one per channel."""
    if getattr(walk.module(node), "num_parameters", 1) == 1:
        return transparent(walk, node)
    return per_channel("weight", attribute="num_parameters")(walk, node)


def convolution(walk: Walk, node: fx.Node) -> Layout:
    """Read the channels that come in, make new ones; a depthwise convolution passes them on."""
    conv: Any = walk.module(node)
    if not _is_plain(conv, "weight", "bias"):
        return unknown(walk, node, f"{node.target} computes its parameters anew in every pass")
    if len(walk.shape(walk.operands(node)[0])) != conv.weight.ndim:
        return unknown(walk, node, f"{node.target} is called without a batch")
    if conv.groups == 1:
        return _dense(walk, node, "in_channels", "out_channels")
    if conv.groups == conv.in_channels == conv.out_channels:
        return _depthwise(walk, node)
    kind = "depthwise with several outputs of each input" if conv.groups == conv.in_channels else "grouped"
    return unknown(walk, node, f"{node.target} is {kind}")


def reparametrised(walk: Walk, node: fx.Node) -> Layout:
    """Freeze what a convolution reads and makes whose filters are divided by a length of theirs."""
    return unknown(walk, node, f"{node.target} divides its weights by their length, which a cut or a copy would change")


def linear(walk: Walk, node: fx.Node) -> Layout:
    """Read the features that come in, make new ones."""
    if not _is_plain(walk.module(node), "weight", "bias"):
        return unknown(walk, node, f"{node.target} computes its parameters anew in every pass")
    if len(walk.shape(walk.operands(node)[0])) != 2:
        return unknown(walk, node, f"{node.target} is applied along a dimension that is not the channels'")
    return _dense(walk, node, "in_features", "out_features")


def _dense(walk: Walk, node: fx.Node, reads: str, writes: str) -> Layout:
    incoming = walk.layout(walk.operands(node)[0])
    assert incoming is not None
    outgoing = walk.born(node, str(node.target))
    walk.use(node, "weight", 0, outgoing, "producer", (writes,))
    walk.use(node, "weight", 1, incoming, "consumer", (reads,))
    walk.use(node, "bias", 0, outgoing, "producer")
    return outgoing


def _depthwise(walk: Walk, node: fx.Node) -> Layout:
    layout = transparent(walk, node)
    walk.use(node, "weight", 0, layout, "producer", ("groups", "in_channels", "out_channels"))
    walk.use(node, "bias", 0, layout, "producer")
    return layout


def elementwise(walk: Walk, node: fx.Node) -> Layout:
    """Join the channels of all operands."""
    operands, shape = walk.operands(node), walk.trace.shapes.get(node, ())
    if not operands or len(shape) < 2 or any(len(walk.shape(operand)) != len(shape) for operand in operands):
        return unknown(walk, node)
    whole = [operand for operand in operands if walk.shape(operand)[1] == shape[1]]
    walk.freeze((o for o in operands if o not in whole), f"{node.name} spreads a single channel over many")
    return _joined(walk, node, whole)


def concatenation(walk: Walk, node: fx.Node) -> Layout:
    """Put channels behind one another, or join them where another dimension grows."""
    parts = node.args[0]
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    if not isinstance(parts, tuple | list) or not isinstance(dim, int) or not all(map(walk.layout, parts)):
        return unknown(walk, node)
    operands = [part for part in parts if isinstance(part, fx.Node)]
    if dim % len(walk.shape(node)) != 1:
        return _joined(walk, node, operands)
    return tuple(piece for operand in operands for piece in walk.layout(operand) or ())


def _joined(walk: Walk, node: fx.Node, operands: list[fx.Node]) -> Layout:
    layouts = [layout for operand in operands if (layout := walk.layout(operand)) is not None]
    for other in layouts[1:]:
        walk.groups.unite(layouts[0], other, node.name)
    return layouts[0]


def reshape(walk: Walk, node: fx.Node) -> Layout:
    """Keep channels apart while what lies behind them is folded: (N, C, H, W) to (N, C * H * W) and the like."""
    operands = walk.operands(node)
    if len(operands) != 1 or node not in walk.trace.shapes:
        return unknown(walk, node)
    (source,) = operands
    layout, before, after = walk.layout(source), walk.shape(source), walk.shape(node)
    assert layout is not None
    if len(after) < 2 or before[0] != after[0] or before[1] == 1:
        return unknown(walk, node)  # with one channel shapes cannot tell where the channels went
    if not _follows_channels(walk, node, layout):
        return unknown(walk, node, f"{node.name} has a size written into the code")
    if before[1] == after[1]:
        return layout
    if after[1] == math.prod(before[1:]):
        return tuple(Piece(piece.group, piece.repeat * math.prod(before[2:])) for piece in layout)
    return unknown(walk, node)


def _follows_channels(walk: Walk, node: fx.Node, layout: Layout) -> bool:
    """Whether a size given for dimension 1 is worked out anew when the number of channels changes."""
    if node.target not in ("view", "reshape", torch.reshape):
        return True
    sizes = node.args[1] if len(node.args) == 2 and isinstance(node.args[1], tuple | list) else node.args[1:]
    if not isinstance(sizes, tuple | list) or len(sizes) < 2 or sizes[1] == -1:
        return isinstance(sizes, tuple | list) and len(sizes) > 1
    count = walk.count(sizes[1])
    if count is None:
        return False
    walk.groups.unite(layout, count, node.name)
    return True


def item(walk: Walk, node: fx.Node) -> Layout:
    """Pass channels on where a slice takes all of them."""
    source, index = node.args
    if source not in walk.trace.shapes:  # a part of what an unknown operation made
        layout = walk.layout(source)
        return unknown(walk, node, walk.groups.reason(layout[0].group) if layout else None)
    everything = isinstance(index, tuple) and index[:2] == (slice(None), slice(None))
    return transparent(walk, node) if everything else unknown(walk, node)


def spatial_mean(walk: Walk, node: fx.Node) -> Layout:
    """Pass channels on where the mean is taken behind them."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    dims = (dims,) if isinstance(dims, int) else dims
    ndim = max((len(walk.shape(operand)) for operand in walk.operands(node)), default=0)
    if not isinstance(dims, tuple | list) or not all(isinstance(dim, int) and dim % ndim > 1 for dim in dims):
        return unknown(walk, node)
    return transparent(walk, node)


def pad(walk: Walk, node: fx.Node) -> Layout:
    """Pass channels on where the padding lies behind them."""
    edges = node.args[1] if len(node.args) > 1 else node.kwargs.get("pad")
    ndim = max((len(walk.shape(operand)) for operand in walk.operands(node)), default=0)
    if not isinstance(edges, tuple | list) or len(edges) > 2 * (ndim - 2):
        return unknown(walk, node)
    return transparent(walk, node)


def _is_plain(module: nn.Module, *tensors: str) -> bool:
    """Whether tensors are a module's own: weight norm, spectral norm or masks put a computed one in their place."""
    return all(tensor in module._parameters or tensor in module._buffers for tensor in tensors)


def _called(walk: Walk, node: fx.Node) -> str:
    if node.op == "call_module":
        return f"{type(walk.module(node)).__name__} ({node.target})"
    return node.target if isinstance(node.target, str) else f"{getattr(node.target, '__name__', node.target)}"
