"""Changes the channels of a network: prunes, widens, permutes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.channels import ChannelMap, Kind, Noise, Place, Role, Segment, Shadow
from paretosearch.errors import SurgeryError, suggest
from paretosearch.training.surgery.edits import Edits
from paretosearch.training.surgery.optimizers import STATE_KINDS, moving_state

#: Power of the number of copies by which each copy is divided. A copied channel's consumers share the old weight, so
#: that the sum is the old one; its producers then each see one share of the old gradient.
_SHARES: Mapping[tuple[Kind, Role], int] = {
    ("weight", "producer"): 0,
    ("weight", "consumer"): 1,
    ("gradient", "producer"): 1,
    ("gradient", "consumer"): 0,
    ("square", "producer"): 2,
    ("square", "consumer"): 0,
}


def remap(
    model: nn.Module,
    channel_map: ChannelMap,
    plan: Mapping[str, Tensor],
    optimizer: Optimizer | None = None,
    shadows: Iterable[Shadow] = (),
    noise: Noise | None = None,
) -> ChannelMap:
    """Give channel spaces new channels, each an old one: ``new[i] = scale[i] * old[index[i]]``.

    An index without some channels prunes them, one with repeats widens, another order permutes. Weights, biases,
    normalisation with its statistics, optimizer state and shadows move together; a widened network computes the same
    function, gradients and moments move to those of the new shape (Chen et al. 2016, arXiv:1511.05641).
    Parameters stay the same objects. If anything does not fit, nothing is changed.

    There must be no loss left over from an earlier step: its graph remembers the old shapes.

    Args:
        model: The network, or one of the same structure, such as an averaged copy.
        channel_map: What `analyze` found in it.
        plan: For each space to change, the old channel of every new one, int64 (C',).
        optimizer: Its optimizer; group and order of the parameters stay.
        shadows: Other state by parameter.
        noise: What makes the copies differ; without it they stay equal for ever.

    Returns:
        The map of the changed network.

    Raises:
        SurgeryError: If a space is unknown or frozen, an index is wrong, or state does not fit its parameter.
    """
    checked = {name: _checked(channel_map, name, index) for name, index in plan.items()}
    moves = _Moves(channel_map, checked)
    edits, shadows = Edits(), tuple(shadows)
    for places in moves.places_by_tensor():
        _move(model, places, moves, edits, optimizer, shadows, noise)
    edits.commit()
    return channel_map.resized({name: len(index) for name, index in checked.items()})


def _checked(channel_map: ChannelMap, name: str, index: Tensor) -> Tensor:
    if name not in channel_map.spaces:
        raise SurgeryError(f"the network has no channel space {name!r}{suggest(name, channel_map.spaces)}")
    space = channel_map.spaces[name]
    if space.frozen_reason is not None:
        raise SurgeryError(f"the channels of {name!r} must stay as they are: {space.frozen_reason}")
    if index.dtype != torch.int64 or index.ndim != 1 or len(index) == 0:
        raise SurgeryError(
            f"the index of {name!r} is {index.dtype} {tuple(index.shape)}, not int64 with an entry or more"
        )
    if not 0 <= int(index.min()) <= int(index.max()) < space.size:
        raise SurgeryError(
            f"the index of {name!r} reaches from {int(index.min())} to {int(index.max())}, and channels are 0 to "
            f"{space.size - 1}"
        )
    return index.cpu()


@dataclass(frozen=True)
class _Index:
    """How a tensor dimension changes: the old entry of each new one, how often that is taken, whether any is twice."""

    old: Tensor
    copies: Tensor
    widens: bool


class _Moves:
    """The indices of a plan, along the dimensions of tensors."""

    def __init__(self, channel_map: ChannelMap, plan: Mapping[str, Tensor]) -> None:
        self._map, self._plan = channel_map, plan
        self._known: dict[tuple[tuple[Segment, ...], torch.device], _Index] = {}

    def places_by_tensor(self) -> list[list[Place]]:
        """Group the places that change by their tensor."""
        found: dict[tuple[str, str], list[Place]] = defaultdict(list)
        for place in self._map.places:
            if any(segment.space in self._plan for segment in place.segments):
                found[place.module, place.tensor].append(place)
        return list(found.values())

    def before(self, place: Place) -> int:
        """Give the length of a place's dimension as it is."""
        return sum(self._map.spaces[segment.space].size * segment.repeat for segment in place.segments)

    def along(self, place: Place, device: torch.device) -> _Index:
        """Give how a place's dimension changes."""
        key = place.segments, device
        if key not in self._known:
            old = self._index(place.segments)
            copies = torch.bincount(old)[old]
            self._known[key] = _Index(old.to(device), copies.to(device), widens=bool((copies > 1).any()))
        return self._known[key]

    def _index(self, segments: Sequence[Segment]) -> Tensor:
        parts, offset = [], 0
        for segment in segments:
            size = self._map.spaces[segment.space].size
            channels = self._plan.get(segment.space, torch.arange(size))
            entries = channels[:, None] * segment.repeat + torch.arange(segment.repeat)
            parts.append(entries.flatten() + offset)
            offset += size * segment.repeat
        return torch.cat(parts)


def _move(
    model: nn.Module,
    places: Sequence[Place],
    moves: _Moves,
    edits: Edits,
    optimizer: Optimizer | None,
    shadows: Sequence[Shadow],
    noise: Noise | None,
) -> None:
    """Prepare all that changes with one parameter or buffer."""
    module, tensor = model.get_submodule(places[0].module), places[0].find(model)
    name = f"{places[0].module}.{places[0].tensor}"
    shape = list(tensor.shape)
    for place in places:
        if shape[place.dim] != moves.before(place):
            raise SurgeryError(f"{name} is {tuple(tensor.shape)}, not as it was analysed; analyse the network again")
        shape[place.dim] = len(moves.along(place, tensor.device).old)
        for attribute in place.attributes:
            edits.set(module, attribute, shape[place.dim])
    edits.replace(tensor, _moved(tensor, places, moves, "weight", noise), tuple(shape), name)
    for kind, state in state_of(tensor, name, edits, optimizer, shadows):
        edits.replace(state, _moved(state, places, moves, kind), tuple(shape), f"state of {name}")


def state_of(
    tensor: Tensor, name: str, edits: Edits, optimizer: Optimizer | None, shadows: Sequence[Shadow]
) -> Iterator[tuple[Kind, Tensor]]:
    """Give all state that must change shape with a parameter, with how it moves; what cannot is planned to go.

    Raises:
        SurgeryError: If a Method's state does not have the parameter's shape.
    """
    if optimizer is not None:
        moving = moving_state(tensor, optimizer)
        if moving is None:
            edits.do(partial(optimizer.state.pop, tensor))
        yield from ((STATE_KINDS[key], state) for key, state in (moving or {}).items())
    for shadow in shadows:
        if tensor in shadow.tensors:
            state = shadow.tensors[tensor]
            if state.shape != tensor.shape:
                shapes = f"{tuple(state.shape)}, not {tuple(tensor.shape)}"
                raise SurgeryError(f"a Method's state of {name} has the shape {shapes}; nothing was changed")
            yield shadow.kind, state


@torch.no_grad()
def _moved(tensor: Tensor, places: Sequence[Place], moves: _Moves, kind: Kind, noise: Noise | None = None) -> Tensor:
    stored = tensor.dtype
    if stored in (torch.bfloat16, torch.float16):
        tensor = tensor.float()  # rounded once, at the end
    for place in places:
        index = moves.along(place, tensor.device)
        tensor = _take(tensor, place.dim, index.old)
        if not index.widens:
            continue
        copies = index.copies.view([-1 if dim == place.dim else 1 for dim in range(tensor.ndim)])
        if power := _SHARES[kind, place.role]:
            tensor = tensor / copies.to(tensor.dtype).pow(power)
        if noise is not None and place.role == "consumer":
            tensor = tensor + _zero_sum(tensor, place.dim, index.old, copies, noise)
    return tensor.to(stored)


def _take(tensor: Tensor, dim: int, index: Tensor) -> Tensor:
    """Index a dimension without a change of memory order: plain indexing makes channels-last weights contiguous."""
    order = sorted(range(tensor.ndim), key=lambda d: (-tensor.stride()[d], tensor.shape[d] == 1, d))
    inverse = sorted(range(tensor.ndim), key=order.__getitem__)
    return tensor.permute(order).index_select(order.index(dim), index).permute(inverse)


def _zero_sum(weight: Tensor, dim: int, index: Tensor, copies: Tensor, noise: Noise) -> Tensor:
    """Draw noise that adds up to nothing over the copies of each old entry (methods-structure, section 3.1 b)."""
    others = [d for d in range(weight.ndim) if d != dim]
    drawn = torch.randn(weight.shape, generator=noise.generator, dtype=weight.dtype).to(weight.device)
    drawn *= noise.strength * weight.square().mean(others, keepdim=True).sqrt()
    shape = [int(index.max()) + 1 if d == dim else size for d, size in enumerate(weight.shape)]
    sums = drawn.new_zeros(shape).index_add_(dim, index, drawn)
    # Taking the mean away takes 1 / copies of the variance away; a channel that was not copied gets exactly nothing.
    spread = (copies / (copies - 1).clamp(min=1)).sqrt().to(weight.dtype)
    return (drawn - sums.index_select(dim, index) / copies) * spread
