"""The group-lasso penalty whose groups are the channels of a network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paretosearch.channels import ChannelMap, Place

# Shapes: D entries along a dimension of a weight, G groups of a dimension, C channels of a space.

#: Added to a group's sum of squares, as the authors' code does: the gradient fades below a norm of 1e-4.
SMOOTHING = 1e-8


@dataclass(frozen=True)
class _Side:
    """A dimension of a weight as groups.

    Args:
        dim: The dimension.
        group: Group of each entry, int64 (D,).
        groups: Number of groups, G.
        free: 1 for every group that is penalised, 0 for those whose channels must stay, float (G,).
    """

    dim: int
    group: Tensor
    groups: int
    free: Tensor

    def squares(self, of_entries: Tensor) -> Tensor:
        """Sum the squares (D,) over each group (G,)."""
        if self.groups == len(self.group):
            return of_entries
        return of_entries.new_zeros(self.groups).index_add_(0, self.group, of_entries)

    def of_entries(self, of_groups: Tensor, ndim: int) -> Tensor:
        """Give what each entry's group has (G,), in a shape that multiplies a weight of ``ndim`` dimensions."""
        return of_groups[self.group].view([-1 if d == self.dim else 1 for d in range(ndim)])


class GroupLasso:
    """The sum of the norms of all groups: of every channel in every weight that writes or reads it.

    Every convolution and dense layer is counted twice, by its output channels and by its input channels. Left out are,
    as in the paper, what the images and the classes decide, depthwise convolutions, biases and normalisation; and every
    other space that must not change, because a penalty there would cost accuracy and save no time.

    Paper: Lym et al. 2019, arXiv:1901.09290.

    Args:
        model: The network.
        channel_map: Its channels as they are now; after a change of shape a new penalty must be made.
    """

    def __init__(self, model: nn.Module, channel_map: ChannelMap) -> None:
        sides: dict[Tensor, list[_Side]] = defaultdict(list)
        for place, weight in weights(model, channel_map):
            if any(channel_map.spaces[segment.space].frozen_reason is None for segment in place.segments):
                sides[weight].append(_side(place, channel_map, weight))
        # Output groups come first: the proximal step takes them in this order.
        self._sides = {weight: sorted(found, key=lambda side: side.dim) for weight, found in sides.items()}

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """Sum the smoothed norms of all groups; a scalar on the device of the weights."""
        norms = [
            (norm * side.free).sum() for weight, sides in self._sides.items() for side, norm in _norms(weight, sides)
        ]
        return torch.stack(norms).sum()

    @torch.no_grad()
    def add_gradient(self, strength: Tensor) -> None:
        """Add the penalty's gradient times ``strength``, a scalar, to the gradients of the weights.

        A weight whose gradient was left out in this step gets that of the penalty alone.
        """
        for weight, sides in self._sides.items():
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            shares = [side.of_entries(strength * side.free / norm, weight.ndim) for side, norm in _norms(weight, sides)]
            weight.grad.addcmul_(weight, sum(shares[1:], start=shares[0]))

    @torch.no_grad()
    def shrink(self, amount: Tensor) -> None:
        """Take ``amount``, a scalar, off the norm of every group, those that have no more becoming exactly zero.

        A weight's output groups shrink before its input groups: the two overlap, and this is not their joint proximal
        operator (methods-structure, section 1.5).
        """
        for weight, sides in self._sides.items():
            for side in sides:
                ((_, norm),) = _norms(weight, [side])
                factor = (1 - amount * side.free / norm).clamp_(min=0)
                weight.mul_(side.of_entries(factor, weight.ndim))


def weights(model: nn.Module, channel_map: ChannelMap) -> Iterator[tuple[Place, Tensor]]:
    """List the dimensions of all convolutions and dense layers, but for depthwise ones: these follow others."""
    for place in channel_map.places:
        tensor = place.find(model)
        if tensor.ndim > 1 and "groups" not in place.attributes:
            yield place, tensor


def _side(place: Place, channel_map: ChannelMap, weight: Tensor) -> _Side:
    spaces = [channel_map.spaces[segment.space] for segment in place.segments]
    sizes = torch.tensor([space.size for space in spaces])
    repeats = torch.tensor([segment.repeat for segment in place.segments]).repeat_interleave(sizes)
    free = torch.tensor([space.frozen_reason is None for space in spaces]).repeat_interleave(sizes)
    group = torch.arange(len(repeats)).repeat_interleave(repeats)
    return _Side(place.dim, group.to(weight.device), len(repeats), free.to(weight))


def _norms(weight: Tensor, sides: list[_Side]) -> list[tuple[_Side, Tensor]]:
    """Give the smoothed norm of every group (G,) of some dimensions of a weight."""
    squares = weight.detach().to(torch.promote_types(weight.dtype, torch.float32)).square()
    if weight.ndim > 2:
        squares = squares.sum(tuple(range(2, weight.ndim)))
    return [(side, (side.squares(squares.sum(1 - side.dim)) + SMOOTHING).sqrt()) for side in sides]
