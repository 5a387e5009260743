"""The changes of shape that a Method may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from paretosearch.channels import Noise
from paretosearch.snapshot import Snapshot


@dataclass(frozen=True)
class Remap:
    """Prune, widen or permute channels.

    Args:
        plan: For each space to change, the old channel of every new one, int64 (C',).
        noise: What makes copied channels differ.
    """

    plan: Mapping[str, Tensor]
    noise: Noise | None = None


@dataclass(frozen=True)
class RemoveBranch:
    """Take a residual block's branch away.

    Args:
        block: Qualified name of the block, as a `Branch` has it.
    """

    block: str


@dataclass(frozen=True)
class InsertIdentity:
    """Insert layers that at first pass on what they get.

    Args:
        after: Qualified name of the module to stand behind.
        generator: Source of fresh weights, on the CPU.
    """

    after: str
    generator: torch.Generator


@dataclass(frozen=True)
class RescaleKernels:
    """Give kernels of convolutions another edge, by interpolation.

    Args:
        sizes: New edge of the kernel by the qualified name of its convolution.
    """

    sizes: Mapping[str, int]


@dataclass(frozen=True)
class ReplaceLayers:
    """Put cheaper layers in the place of 3x3 convolutions.

    Args:
        made: The new layers, with their weights, by the qualified name of the convolution.
        forms: What each is, as `replacement.empty` reads it: a history says this, and nobody has to decide again.
    """

    made: Mapping[str, nn.Module]
    forms: Mapping[str, str]


@dataclass(frozen=True)
class TakeBack:
    """Undo the last `ReplaceLayers`, and all training since.

    Args:
        snapshot: What was there before it.
    """

    snapshot: Snapshot


Operation = Remap | RemoveBranch | InsertIdentity | RescaleKernels | ReplaceLayers | TakeBack


@dataclass(frozen=True)
class Surgery:
    """A change of shape, described.

    Args:
        kind: ``prune``, ``remove``, ``widen``, ``deepen``, ``rescale``, ``replace``, ``restore``; ``batch`` for a
            batch size that followed the shape, or the name of a Method that only tells its figures.
        operations: What to do, in order; none where a Method looked and left everything as it is.
        figures: What the Method noticed on the occasion, for the record.
    """

    kind: str
    operations: tuple[Operation, ...]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """What became of a space's channels since it last grew.

    Args:
        origins: The channel before that growth that each channel comes from, int64 (C,).
    """

    origins: Tensor

    @classmethod
    def fresh(cls, size: int) -> Lineage:
        """Make the lineage of channels that are no copies."""
        return cls(torch.arange(size))

    @property
    def copied(self) -> Tensor:
        """Whether each channel has a copy beside it, bool (C,)."""
        return torch.bincount(self.origins, minlength=1)[self.origins] > 1

    def after(self, index: Tensor) -> Lineage:
        """Give the lineage of the channels that a remap makes: the old channel of every new one (C',)."""
        grown = bool((torch.bincount(index) > 1).any())
        return Lineage(index if grown else self.origins[index])
