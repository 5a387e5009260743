"""Whitening: fixed filters that the images themselves give stand before the first convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paretosearch.axis import Choice, Value
from paretosearch.errors import RecipeError
from paretosearch.filters import FixedFilters
from paretosearch.method import Method, Slot
from paretosearch.run import Sight

#: Pixels of the images that the filters are computed from: those of 5000 images of CIFAR, of which airbench takes them.
PIXELS = 5000 * 32 * 32

#: Those whose patches are in memory at once.
PIXELS_AT_ONCE = 100 * 32 * 32

#: Added to every variance, as in airbench: the least of them, which are noise, would be blown up otherwise.
EPSILON = 5e-4


def second_moments(images: Tensor, size: int, sight: Sight) -> Tensor:
    """Give the mean of ``p p^T`` over the patches p of images as a network sees them.

    Args:
        images: Pixels (N, C, H, W), uint8.
        size: Edge of a patch, s.
        sight: How the network sees them.

    Returns:
        A matrix (C * s * s, C * s * s), float64. The mean of the patches, which is next to nothing, stays in it.
    """
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (sight.mean, sight.std))
    length = images.shape[1] * size * size
    total, patches = torch.zeros(length, length, dtype=torch.float64), 0
    for some in torch.split(images, max(1, PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))):
        x = (some.float() / 255 - mean) / std
        rows = x.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, length)
        total += rows.T @ rows
        patches += len(rows)
    return total / patches


def whitening_filters(moments: Tensor, channels: int, size: int, epsilon: float = EPSILON) -> Tensor:
    """Make filters whose answers to the patches have variance 1 and nothing in common, and the negatives of all.

    Args:
        moments: What `second_moments` gives.
        channels: Channels of an image, C.
        size: Edge of a patch, s.
        epsilon: Added to every variance.

    Returns:
        Filters (2 * C * s * s, C, s, s), float32: first those of the positive sign, from the least variance on.
    """
    variances, directions = torch.linalg.eigh(moments)
    scaled = directions.T / (variances.clamp(min=0)[:, None] + epsilon).sqrt()
    return torch.cat([scaled, -scaled]).reshape(-1, channels, size, size).float()


def spread_out(images: Tensor) -> Tensor:
    """Give as many images (N, C, H, W) as have `PIXELS` pixels, at equal distances: they may be in order of class."""
    count = max(1, min(len(images), PIXELS // (images.shape[2] * images.shape[3])))
    return images[torch.arange(count) * len(images) // count]


class Whitening(Method):
    """Put whitening filters with a ReLU before the network's first convolution, which then reads their maps.

    The filters are the principal directions of the patches of training images, each divided by its standard deviation,
    with both signs, so that a ReLU loses nothing; there are ``2 C s^2``. They are computed before the training, on the
    clock, and stay as they are. The first convolution reads so many channels, with fresh weights; it is that of the
    network in all else.

    Airbench has a GELU behind the filters, as everywhere, no border, and a bias that is trained in the first epochs;
    here are a ReLU, a border of zeros, so that the maps keep their size, and no bias.

    Paper: Jordan 2024, arXiv:2404.00498, after Page 2019 (cifar10-fast); filters and epsilon are those of the code
    (github.com/KellerJordan/cifar10-airbench).

    Args:
        size: Edge of a filter in pixels; 0 is off. Airbench has 2.
    """

    name = "whitening"
    summary = "fixed filters from the images before the first layer"
    paper = "Jordan 2024, arXiv:2404.00498"
    slot = Slot.STEM
    space = {"size": Choice((0, 2, 3), default=0)}
    switch = "size"
    off = 0

    size: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._sight: Sight | None = None
        self._filters: Tensor | None = None

    def see(self, sight: Sight) -> None:
        """Learn how the network sees the images."""
        self._sight = sight

    def edit_data(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the filters; the images stay."""
        if self.size:
            assert self._sight is not None
            moments = second_moments(spread_out(images), self.size, self._sight)
            self._filters = whitening_filters(moments, images.shape[1], self.size)
        return images, labels

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Put the filters before the first convolution; one that is only to be looked at gets zeros."""
        if not self.size:
            return model
        path, conv = _first_convolution(model)
        filters = self._filters
        if filters is None:
            filters = torch.zeros(2 * conv.in_channels * self.size**2, conv.in_channels, self.size, self.size)
        if filters.shape[1] != conv.in_channels:
            raise RecipeError(
                f"whitening.size = {self.size} needs a network whose first convolution reads the images; {path}, the "
                f"first one, reads {conv.in_channels} channels and images have {filters.shape[1]}; set it to 0"
            )
        model.set_submodule(path, nn.Sequential(FixedFilters(filters), _reading(conv, len(filters))))
        return model


def _first_convolution(model: nn.Module) -> tuple[str, nn.Conv2d]:
    """Find the first convolution, which in all networks that we know reads the images."""
    found = ((path, module) for path, module in model.named_modules() if path and isinstance(module, nn.Conv2d))
    path, conv = next(found, ("", None))
    if conv is None or conv.groups != 1:
        raise RecipeError("whitening.size needs a network that begins with an ordinary convolution; set it to 0")
    return path, conv


def _reading(conv: nn.Conv2d, inputs: int) -> nn.Conv2d:
    """Make a convolution that reads other channels and is the same in all else, with weights as `nets` draws them."""
    made = nn.Conv2d(
        inputs,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]  # torch says that it may have any length
        conv.stride,  # type: ignore[arg-type]  # as above
        conv.padding,  # type: ignore[arg-type]  # as above
        conv.dilation,  # type: ignore[arg-type]  # as above
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    )
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made
