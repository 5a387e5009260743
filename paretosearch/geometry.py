"""How a convolution slides over its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from torch import nn


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
