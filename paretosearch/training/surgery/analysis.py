"""Finds the channel spaces of a network."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import takewhile

from torch import Tensor, fx, nn

from paretosearch.channels import ChannelMap, ChannelSpace, Place, Segment
from paretosearch.training.surgery.branches import branches
from paretosearch.training.surgery.layouts import Use
from paretosearch.training.surgery.tables import module_rules, rule_of
from paretosearch.training.surgery.tracing import traced
from paretosearch.training.surgery.walk import Walk


def analyze(model: nn.Module, example: Tensor) -> ChannelMap:
    """Find the channel spaces of a network; what cannot be understood is frozen with the reason.

    Args:
        model: The network; it is looked at in training mode, and stays as it was.
        example: A few images (N, C, H, W); their values do not matter.

    Returns:
        Its channel spaces in the order of the forward pass, and its residual branches.
    """
    try:
        trace = traced(model, example, module_rules())
    except Exception as error:  # a network's own code may raise anything when it is traced
        return _untraced(model, f"the network cannot be traced: {type(error).__name__}: {error}")
    walk = Walk(model, trace, rule_of)
    walk.run()
    _freeze_shared(walk)
    _freeze_all_if_parts_are_missing(walk)
    names = _names(walk)
    places = [_place(walk, use, names) for use in walk.uses]
    return ChannelMap(_spaces(walk, names, places), tuple(places), branches(model, trace))


def _untraced(model: nn.Module, error: str) -> ChannelMap:
    reason = error.splitlines()[0]
    modules = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    sizes = {name: len(module.weight) for name, module in modules.items()}
    return ChannelMap({name: ChannelSpace(name, size, frozen_reason=reason) for name, size in sizes.items()})


def _freeze_shared(walk: Walk) -> None:
    """Freeze what reaches a parameter twice, in two calls of a module or by two names: it can obey one index only."""
    names = {id(walk.found(use)): f"{use.module}.{use.tensor}" for use in reversed(walk.uses)}
    times = Counter((id(walk.found(use)), use.dim) for use in walk.uses)
    direct = {id(walk.attribute(node)) for node in walk.trace.graph.nodes if node.op == "get_attr"}
    for use in walk.uses:
        parameter = id(walk.found(use))
        if times[parameter, use.dim] > 1 or parameter in direct:
            walk.groups.freeze(use.layout, f"{names[parameter]} is used more than once")


def _freeze_all_if_parts_are_missing(walk: Walk) -> None:
    """Freeze everything if parameters are out of the trace's reach: nobody knows which channels they follow."""
    reached = {id(tensor) for node in walk.trace.graph.nodes for tensor in _owned(walk, node)}
    missing = next((name for name, p in walk.model.named_parameters() if id(p) not in reached), None)
    if missing is not None:
        for use in walk.uses:
            walk.groups.freeze(
                use.layout, f"{missing} takes no part in training, so nobody knows whose channels it has"
            )


def _owned(walk: Walk, node: fx.Node) -> Iterable[Tensor]:
    if node.op == "call_module":
        return walk.module(node).parameters()
    return (walk.attribute(node),) if node.op == "get_attr" else ()


def _spaces(walk: Walk, names: dict[int, str], places: list[Place]) -> dict[str, ChannelSpace]:
    held: dict[int, list[Place]] = defaultdict(list)
    for use, place in zip(walk.uses, places, strict=True):
        for root in dict.fromkeys(walk.groups.root(piece.group) for piece in use.layout):
            held[root].append(place)
    return {names[root]: _space(walk, names[root], root, held[root]) for root in sorted(held)}


def _space(walk: Walk, name: str, root: int, places: list[Place]) -> ChannelSpace:
    producers = tuple(place for place in places if place.role == "producer")
    consumers = tuple(place for place in places if place.role == "consumer")
    return ChannelSpace(name, walk.groups.size(root), producers, consumers, walk.groups.reason(root))


def _place(walk: Walk, use: Use, names: dict[int, str]) -> Place:
    segments = tuple(Segment(names[walk.groups.root(piece.group)], piece.repeat) for piece in use.layout)
    return Place(use.module, use.tensor, use.dim, segments, use.role, use.attributes)


def _names(walk: Walk) -> dict[int, str]:
    """Name every space by the module that makes it; a stream by the part of the network that its makers share."""
    makers: dict[int, list[str]] = defaultdict(list)
    for group, name in sorted(walk.births.items()):
        makers[walk.groups.root(group)].append(name)
    shared = {root: _common_part(names) for root, names in makers.items() if len(names) > 1}
    claims = Counter(shared.values())
    streams = {root: part if part and claims[part] == 1 else makers[root][0] for root, part in shared.items()}
    return _unique({root: f"{streams[root]} stream" if root in streams else m[0] for root, m in makers.items()})


def _unique(names: dict[int, str]) -> dict[int, str]:
    seen: Counter[str] = Counter()
    unique = {}
    for root, name in names.items():
        seen[name] += 1
        unique[root] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return unique


def _common_part(names: list[str]) -> str:
    levels = zip(*(name.split(".") for name in names), strict=False)
    return ".".join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))
