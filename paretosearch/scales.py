"""What the scales of batch norm say of a network's channels."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from paretosearch.channels import MIN_CHANNELS, ChannelMap, Place, round_up

# Shapes: C channels of a space, N votes: the channels of all layers of batch norm, one after the other.

#: Share of a space's channels that stays whatever their scales are.
LEAST_SHARE = 0.1

#: A channel at less than this share of what stands beside it is zero: a pooling may divide 0 by a small number.
NOTHING = 1e-6


class Masks(Iterable[Tensor]):
    """The last masks of the same channels.

    Args:
        size: How many there are at most.
        masks: Those to begin with, bool (N,), the oldest first.
    """

    def __init__(self, size: int, masks: Iterable[Tensor] = ()) -> None:
        self._masks: deque[Tensor] = deque(masks, maxlen=size)

    def __len__(self) -> int:
        return len(self._masks)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._masks)

    @property
    def is_full(self) -> bool:
        """Whether there are as many as there can be."""
        return len(self._masks) == self._masks.maxlen

    def push(self, mask: Tensor) -> float:
        """Take in a mask (N,), for which the oldest one of a full number goes.

        Returns:
            The largest share of the channels in which it differs from one of the others, in [0, 1]; 1 if it is alone.
        """
        self._masks.append(mask)
        earlier = list(self._masks)[:-1]
        return max(((mask != other).float().mean().item() for other in earlier), default=1.0)


def marked(scales: Tensor, pruned: float, generator: torch.Generator) -> Tensor:
    """Mark the channels that are not among the weakest.

    Which of equal ones are is drawn: as long as all scales are alike, no mask is like another.

    Args:
        scales: Absolute scales (N,), on the CPU.
        pruned: Share of the channels to leave out, in [0, 1].
        generator: Source of the draw, on the CPU.

    Returns:
        The mask, bool (N,), False for ``pruned * N`` channels, a rounded number.
    """
    order = torch.randperm(len(scales), generator=generator)
    weakest = order[scales[order].argsort(stable=True)[: round(pruned * len(scales))]]
    return torch.ones(len(scales), dtype=torch.bool).index_fill(0, weakest, False)


def norm_places(model: nn.Module, channel_map: ChannelMap, spaces: Collection[str]) -> list[Place]:
    """List where batch norm scales channels of some spaces, in the order of the forward pass."""
    return [
        place
        for place in channel_map.places
        if place.tensor == "weight"
        and isinstance(model.get_submodule(place.module), _BatchNorm)
        and any(segment.space in spaces for segment in place.segments)
    ]


def votes(
    model: nn.Module, channel_map: ChannelMap, places: Iterable[Place], spaces: Collection[str]
) -> list[tuple[str, Tensor]]:
    """Give the scale of every channel of some spaces in every layer of batch norm that scales it.

    Args:
        model: The network.
        channel_map: Its channels.
        places: The scales, as `norm_places` lists them.
        spaces: Names of the spaces.

    Returns:
        Name of the space and absolute scales (C,) on the CPU, of each layer; several of a layer behind a concatenation.
    """
    return [
        (name, own.flatten(1).abs().amax(1).float().cpu())
        for place in places
        for name in _spaces_of(place, spaces)
        for own in channel_map.slices(place, name, place.find(model).detach())
    ]


def kept_channels(
    channel_map: ChannelMap, found: Sequence[tuple[str, Tensor]], mask: Tensor, multiple: int
) -> dict[str, Tensor]:
    """Choose the channels to keep: those that a layer of batch norm votes for, and what must stay beside them.

    Args:
        channel_map: The channels of the network.
        found: The scales, as `votes` gives them.
        mask: What the votes are, bool (N,).
        multiple: Divisor of the number of channels, if a space is large enough.

    Returns:
        Index of the channels to keep (C',) in every space that becomes smaller.
    """
    kept: dict[str, Tensor] = {}
    strength: dict[str, Tensor] = {}
    for (name, scales), vote in zip(found, torch.split(mask, [len(scales) for _, scales in found]), strict=True):
        kept[name] = kept[name] | vote if name in kept else vote
        strength[name] = torch.maximum(strength[name], scales) if name in strength else scales
    plan = {}
    for name, of_space in kept.items():
        size = channel_map.spaces[name].size
        index = round_up(of_space, strength[name], multiple, max(MIN_CHANNELS, math.ceil(LEAST_SHARE * size)))
        if len(index) < size:
            plan[name] = index
    return plan


@torch.no_grad()
def cuttable(model: nn.Module, channel_map: ChannelMap, images: Tensor) -> frozenset[str]:
    """Find the spaces of which nothing reads a channel whose scales and shifts are zero in batch norm.

    It is looked at in a copy, half of whose channels are so: something may read a channel past batch norm, or make of
    the zeros something else.

    Args:
        model: The network, which stays as it is.
        channel_map: Its channels.
        images: Training images (N, C, H, W), on its device.

    Returns:
        Names of the spaces, which may change and have batch norm; such a channel can be cut without a trace.
    """
    free = {space.name for space in channel_map.free}
    twin = copy.deepcopy(model).float().eval()  # draws no random numbers, and is in a format that every device has
    spaces = {name for place in norm_places(twin, channel_map, free) for name in _spaces_of(place, free)}
    silence_norms(twin, channel_map, {name: torch.arange(channel_map.spaces[name].size) % 2 == 1 for name in spaces})
    heard: set[str] = set()
    for place in channel_map.places:
        if place.role == "consumer":
            listen = partial(_listen, channel_map, place, _spaces_of(place, spaces), heard)
            twin.get_submodule(place.module).register_forward_pre_hook(listen)
    twin(images.float())
    return frozenset(spaces - heard)


@torch.no_grad()
def silence_norms(model: nn.Module, channel_map: ChannelMap, channels: Mapping[str, Tensor]) -> None:
    """Write zeros to scale and shift of channels wherever batch norm has them.

    Args:
        model: The network.
        channel_map: Its channels.
        channels: The channels of each space, bool (C,).
    """
    for place in channel_map.places:
        if place.tensor in ("weight", "bias") and isinstance(model.get_submodule(place.module), _BatchNorm):
            for name in _spaces_of(place, channels):
                for own in channel_map.slices(place, name, place.find(model)):
                    own[channels[name].to(own.device)] = 0


def _listen(
    channel_map: ChannelMap, place: Place, spaces: Iterable[str], heard: set[str], _: nn.Module, inputs: Any
) -> None:
    """Note the spaces whose odd channels are not zero in what a layer reads: its dimension 1 is as its weight's."""
    sizes = inputs[0].abs()
    for name in spaces:
        for own in channel_map.slices(place, name, sizes):
            if len(own) > 1 and own[1::2].max() > NOTHING * sizes.max():
                heard.add(name)


def _spaces_of(place: Place, spaces: Collection[str]) -> list[str]:
    return [name for name in dict.fromkeys(segment.space for segment in place.segments) if name in spaces]
