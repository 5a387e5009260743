"""A network that answers for several views of an image at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class View:
    """One view of an image.

    Args:
        weight: Its share in the answer; those of all views add up to 1.
        mirrored: Whether it is mirrored from left to right.
        shift: Pixels by which the image moves up and to the left, -1 to 1; what comes in is a reflection of the border.
    """

    weight: float
    mirrored: bool = False
    shift: int = 0


def seen(x: Tensor, view: View) -> Tensor:
    """Give a view of images (N, C, H, W); they may be traced, so that nothing is asked of their sizes."""
    if view.shift:
        padded = F.pad(x, [1, 1, 1, 1], mode="reflect")
        x = padded[:, :, 2:, 2:] if view.shift > 0 else padded[:, :, :-2, :-2]
    return x.flip(3) if view.mirrored else x


def averaged(network: Callable[[Tensor], Tensor], views: Sequence[View], x: Tensor) -> Tensor:
    """Average the logits that a network gives for some views of images.

    One view after the other, since all at once would take so many times the memory.

    Args:
        network: Gives the logits (N, K) of images.
        views: What to look at, at least one.
        x: The images (N, C, H, W).

    Returns:
        The average (N, K), in fp32.
    """
    first, *others = views
    logits = network(seen(x, first)).float() * first.weight
    for view in others:
        logits = logits + network(seen(x, view)).float() * view.weight
    return logits


class Views(nn.Module):
    """Averages the logits that a network gives for some views of an image, as `averaged` does.

    Args:
        network: The network, which stays the owner of its weights.
        views: What to look at, at least one.
    """

    def __init__(self, network: nn.Module, views: tuple[View, ...]) -> None:
        super().__init__()
        self.network, self.views = network, views

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits (N, K) of images (N, C, H, W)."""
        return averaged(self.network, self.views, x)


def single(model: nn.Module) -> nn.Module:
    """Give the network that answers for one view, whether or not it is in a `Views`."""
    return model.network if isinstance(model, Views) else model
