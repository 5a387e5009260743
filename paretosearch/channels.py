"""The vocabulary of surgery: which channels a network has, where its tensors hold them, what may become of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from paretosearch.errors import RecipeError

#: A producer dimension writes its channels, a consumer dimension reads them.
Role = Literal["producer", "consumer"]

#: How per-parameter state moves with its parameter: as weights do, as gradients do, or as squared gradients do.
Kind = Literal["weight", "gradient", "square"]

#: Fewer channels cost every device as much. On a CPU they are a danger, too: PyTorch 2.14 dies of a segmentation fault
#: in the backward pass of a 1x1 convolution with a stride, channels-last, of fewer than 8 channels.
MIN_CHANNELS = 8

#: Why the channels at both ends of any network must stay.
ENDS = ("it is the network's input", "it is the network's output")


@dataclass(frozen=True)
class Segment:
    """A run of entries along a tensor dimension that belongs to one channel space.

    Args:
        space: Name of the space.
        repeat: Neighbouring entries of each channel: H * W behind a flatten, else 1.
    """

    space: str
    repeat: int = 1


@dataclass(frozen=True)
class Place:
    """A dimension of a parameter or buffer that follows channel spaces.

    Args:
        module: Qualified name of the module.
        tensor: Name of the parameter or buffer in it.
        dim: The dimension.
        segments: What lies along the dimension, in order; several behind a concatenation.
        role: Whether the dimension writes or reads the channels.
        attributes: Attributes of the module that repeat the dimension's length.
    """

    module: str
    tensor: str
    dim: int
    segments: tuple[Segment, ...]
    role: Role
    attributes: tuple[str, ...] = ()

    def find(self, model: nn.Module) -> Tensor:
        """Give the parameter or buffer in a network."""
        tensor: Tensor = getattr(model.get_submodule(self.module), self.tensor)
        return tensor


@dataclass(frozen=True)
class ChannelSpace:
    """Tensor dimensions that must share one set of channels.

    Args:
        name: Name for people: the module that makes the channels, or the stream that several modules add to.
        size: Number of channels.
        producers: Places that write the channels, in the order of the forward pass.
        consumers: Places that read them.
        frozen_reason: Why the channels must stay as they are; None where they may change.
    """

    name: str
    size: int
    producers: tuple[Place, ...] = ()
    consumers: tuple[Place, ...] = ()
    frozen_reason: str | None = None


@dataclass(frozen=True)
class Branch:
    """The part of a residual block that is added to its shortcut.

    Args:
        block: Qualified name of the block.
        modules: Qualified names of the branch's modules that have parameters, in the order of the forward pass.
        identity: Whether the shortcut is the block's input itself, with no module on it.
    """

    block: str
    modules: tuple[str, ...]
    identity: bool

    @property
    def last(self) -> str:
        """Qualified name of the convolution or normalisation that feeds the addition."""
        return self.modules[-1]


@dataclass(frozen=True)
class ChannelMap:
    """All channel spaces of a network, in the order of the forward pass.

    Holds names, no modules, so that it fits every network of the same structure, such as an averaged copy.

    Args:
        spaces: By name.
        places: Every place of any space, in the order of the forward pass.
        branches: Residual branches that can be removed.
    """

    spaces: Mapping[str, ChannelSpace]
    places: tuple[Place, ...] = ()
    branches: tuple[Branch, ...] = ()

    @property
    def free(self) -> tuple[ChannelSpace, ...]:
        """Spaces whose channels may change."""
        return tuple(space for space in self.spaces.values() if space.frozen_reason is None)

    def require_free(self, method: str, network: str) -> None:
        """Refuse a network that a Method cannot change.

        Args:
            method: Name of the Method.
            network: Name of the network.

        Raises:
            RecipeError: If no channels are free.
        """
        if not self.free:
            reasons = dict.fromkeys(space.frozen_reason for space in self.spaces.values())
            said = [str(reason) for reason in reasons if reason not in ENDS] or ["it has no hidden layer"]
            raise RecipeError(f"{method} needs channels that may change, and {network} has none: {said[0]}")

    def resized(self, sizes: Mapping[str, int]) -> ChannelMap:
        """Give the map of the same network with other numbers of channels."""
        spaces = {name: replace(space, size=sizes.get(name, space.size)) for name, space in self.spaces.items()}
        return replace(self, spaces=spaces)

    def slices(self, place: Place, space: str, tensor: Tensor) -> Iterator[Tensor]:
        """Show what each channel owns of a tensor at a place.

        Args:
            place: Where.
            space: Name of a space in the place's segments.
            tensor: The parameter or buffer there, or a tensor of its shape.

        Yields:
            For every segment of the space a view of shape (channels, repeat, ...) whose row i belongs to channel i:
            writing to it writes to the tensor.
        """
        offset = 0
        for segment in place.segments:
            size = self.spaces[segment.space].size
            if segment.space == space:
                part = tensor.narrow(place.dim, offset, size * segment.repeat)
                split = torch.unflatten(part, place.dim, (size, segment.repeat))
                yield split.movedim((place.dim, place.dim + 1), (0, 1))
            offset += size * segment.repeat


@dataclass(frozen=True)
class Shadow:
    """Per-parameter state of a Method that must change shape with its parameter.

    Args:
        kind: Whether it moves as the weights, the gradients or the squared gradients do.
        tensors: State by the parameter (or buffer) that it belongs to, each of that parameter's shape.
    """

    kind: Kind
    tensors: Mapping[Tensor, Tensor]


@dataclass(frozen=True)
class Noise:
    """Symmetry breaking for copied channels that leaves the network's function as it is.

    Args:
        strength: Root mean square of the noise relative to that of the weights it is added to; 0.1 to 0.5 is usual.
        generator: Source of the noise, on the CPU.
    """

    strength: float
    generator: torch.Generator


def round_up(kept: Tensor, strength: Tensor, multiple: int, min_channels: int = MIN_CHANNELS) -> Tensor:
    """Choose the channels to keep when their number must suit the device.

    Args:
        kept: Whether each channel is worth keeping, bool (C,).
        strength: How strong each channel is, such as its largest weight (C,).
        multiple: Divisor of the number of channels, if the space is large enough.
        min_channels: Fewest channels to keep, if the space has that many.

    Returns:
        Index of the kept channels in ascending order (C',): all of ``kept`` and the strongest of the others.
    """
    wanted = max(int(kept.sum()), min(min_channels, len(kept)), 1)
    wanted = min(-(-wanted // multiple) * multiple, len(kept))
    # Stable sorts by one key after the other: kept first, then strongest, then lowest index.
    order = strength.argsort(descending=True, stable=True)
    order = order[kept[order].to(torch.uint8).argsort(descending=True, stable=True)]
    return order[:wanted].sort().values.cpu()


def widened(size: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Choose the channels to copy when a space grows (Chen et al. 2016, arXiv:1511.05641).

    Args:
        size: Channels there are.
        wanted: Channels there shall be, at least ``size``.
        generator: Source of the choice, on the CPU.

    Returns:
        Index of the channel that each new channel copies (wanted,): the old ones in order, then copies at random.
    """
    copies = torch.randint(size, (wanted - size,), generator=generator)
    return torch.cat([torch.arange(size), copies])
