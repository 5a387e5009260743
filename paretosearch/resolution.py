"""Smaller images for a part of a training: which sizes suit a network, and until when."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from paretosearch import growth
from paretosearch.errors import RecipeError
from paretosearch.recipe import Recipe
from paretosearch.run import Anatomy

#: Much less than an epoch, and more than what rounding does to shares of a training.
_ROUNDING = 1e-6


def resized(x: Tensor, edge: int) -> Tensor:
    """Resize square images, by means over pixels where they become smaller; on a device that is done there.

    Args:
        x: Images (N, C, H, H), float32.
        edge: The new H.

    Returns:
        Images (N, C, edge, edge), channels last; ``x`` itself where they have that size.
    """
    if x.shape[-1] == edge:
        return x
    small = F.interpolate(x, size=(edge, edge), mode="bilinear", antialias=True, align_corners=False)
    return small.contiguous(memory_format=torch.channels_last)


def suited_edge(anatomy: Anatomy, share: float) -> int:
    """Choose the size of images that is the nearest to a share of the full one.

    Args:
        anatomy: The shape of a network, with images of full size.
        share: Share of the edge, in (0, 1].

    Returns:
        A multiple of the network's total stride, so that no map loses a border, on which it can work; the full edge
        where there is no smaller one.
    """
    full = int(anatomy.images.shape[-1])
    if share >= 1:
        return full
    stride = anatomy.total_stride
    nearest = max(1, math.floor(share * full / stride + 0.5)) * stride
    return next((edge for edge in range(nearest, full, stride) if anatomy.takes(edge)), full)


def whole_epochs(share: float, epochs: int) -> int:
    """Give the whole epochs that are in a share of a training."""
    return math.floor(share * epochs + _ROUNDING)


def plain_share(count: int, epochs: int, default: float) -> float:
    """Give the default share if so many whole epochs are in it, else the one with the fewest digits that has them."""
    if whole_epochs(default, epochs) == count:
        return default
    shares = (math.ceil(count / epochs * 10**digits - _ROUNDING) / 10**digits for digits in range(1, 7))
    return next((share for share in shares if whole_epochs(share, epochs) == count), count / epochs)


def check_apart_from_growth(method: str, epochs: Iterable[int], recipe: Recipe) -> None:
    """Refuse a change of size at the moment at which the network grows (methods-structure, section 11).

    Args:
        method: Name of the Method, with the parameter that says when.
        epochs: Epochs that are done at its changes.
        recipe: The Recipe.

    Raises:
        RecipeError: If the network grows at one of them.
    """
    grown = growth.growth_epochs(growth.schedule_of(recipe), recipe.total_epochs)
    both = next((epoch for epoch in epochs if epoch in grown), None)
    if both is not None:
        raise RecipeError(
            f"{method} changes the size of images after epoch {both} of {recipe.total_epochs}, at which net2net grows "
            "the network; what either does would not be told apart, so move one of them, or turn one off"
        )
