"""How a convolution slides over its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

from torch import nn

Conv = TypeVar("Conv", bound=nn.Conv2d)


class Geometry(NamedTuple):
    """How a convolution slides: each pair is vertical, horizontal."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Geometry:
        """Read it off a convolution whose padding is of zeros and given in numbers."""
        return cls(pair(conv.stride), pair(cast(Sequence[int], conv.padding)), pair(conv.dilation), conv.groups)


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Give a number for both directions, or a sequence of one or two, as a pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def unfilled(kind: type[Conv], conv: nn.Conv2d) -> Conv:
    """Make a convolution of another kind that slides as one does; it has no bias, no weights yet, and draws nothing."""
    return kind(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]  # two numbers, as everywhere below
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        conv.groups,
        bias=False,
        padding_mode=conv.padding_mode,
        device="meta",
    )
