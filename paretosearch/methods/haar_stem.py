"""Haar stem: the network reads bands of half the edge, or a quarter, in the place of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paretosearch.axis import Choice, Value
from paretosearch.errors import RecipeError
from paretosearch.geometry import pair
from paretosearch.method import Method, Slot
from paretosearch.run import Sight
from paretosearch.wavelets import FixedBands, band_filters

#: Images that the size of the bands is measured on: two thousand have more pixels than that needs.
IMAGES = 2000

#: Those that are in memory at once.
IMAGES_AT_ONCE = 250

#: Least root mean square of a band, in deviations of a pixel: a step of one byte is more, so that a band below it holds
#: nothing that should be blown up.
LEAST_SIZE = 0.01


def band_sizes(images: Tensor, filters: Tensor, sight: Sight) -> Tensor:
    """Measure the root mean square of bands over images, taken at equal distances.

    Args:
        images: Pixels (N, C, H, W), uint8.
        filters: What makes the bands (B, C, s, s).
        sight: How a network sees the images.

    Returns:
        One for each band (B,), `LEAST_SIZE` or more. The mean of a band, which is next to nothing, stays in it.
    """
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (sight.mean, sight.std))
    count, bands = min(len(images), IMAGES), FixedBands(filters)
    chosen = images[torch.arange(count) * len(images) // count]
    squares = [
        bands((some.float() / 255 - mean) / std).double().square().mean((2, 3)).sum(0)
        for some in torch.split(chosen, IMAGES_AT_ONCE)
    ]
    return (torch.stack(squares).sum(0) / count).sqrt().clamp_min(LEAST_SIZE).float()


class HaarStem(Method):
    """Let the network read the bands of a Haar wavelet, which are half as high and half as wide as the images.

    The network is the one that it is for images of half the edge with so many channels, so that all of its maps have a
    quarter of the pixels. Nothing is lost but by ``haar_no_hh``: the transform is orthonormal. The low band is halved,
    and has the range of the images again; then each band is divided by its root mean square over some training images.
    The measuring is on the clock; the filters are fixed. Images are augmented, resized and looked at in several views
    as ever: the network begins with the transform. It must not have a stride in its first convolution besides.

    With two levels the halved low band is transformed again, and the other bands of the first level come as the four
    pixels of each 2x2 window: 16 channels for each one, of a quarter of the edge. Methods-structure, section 9, has
    that for images of 64 pixels or more. Smaller ones are not refused: how much a network still learns from so small
    maps depends on it and on the images, is measured as all else is, and one that cannot take them says so itself.

    How wide a network should be that reads four times the channels, or sixteen times, is for the recipe to say. That
    ``haar`` is better than ``unshuffle``, its control, is not known; methods-structure, section 9, whose idea the stem
    is, expects them to be alike.

    Args:
        kind: ``haar`` reads all bands of every channel; ``haar_no_hh`` all but HH of each level, which leaves 3 of 4 or
            11 of 16 channels; ``unshuffle`` the pixels of each window as they are, 2x2 or 4x4; ``off`` is off.
        levels: Of the transform; each further one transforms the low band of the one before.
    """

    name = "haar_stem"
    summary = "smaller wavelet bands in the place of images"
    slot = Slot.STEM
    space = {
        "kind": Choice(("off", "haar", "haar_no_hh", "unshuffle"), default="off"),
        "levels": Choice((1, 2), default=1),
    }
    switch = "kind"
    off = "off"

    kind: str
    levels: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._sight: Sight | None = None
        self._channels = 0
        self._sizes: Tensor | None = None

    def see(self, sight: Sight) -> None:
        """Learn how the network sees the images."""
        self._sight = sight

    def edit_data(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Measure the bands; the images stay."""
        if self.kind != self.off and not images.shape[2] % self._shrinkage:
            assert self._sight is not None
            self._sizes = band_sizes(images, self._filters(images.shape[1]), self._sight)
        return images, labels

    def edit_input(self, channels: int, image_size: int) -> tuple[int, int]:
        """Have a network built for the bands."""
        if self.kind == self.off:
            return channels, image_size
        if image_size % self._shrinkage:
            raise RecipeError(self._unfit(image_size))
        self._channels = channels
        return len(self._filters(channels)), image_size // self._shrinkage

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Put the transform before the network; one that is only to be looked at has bands of any size."""
        if self.kind == self.off:
            return model
        path, conv = next(((p, m) for p, m in model.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
        if conv is not None and max(pair(conv.stride)) > 1:
            raise RecipeError(
                f'haar_stem.kind = "{self.kind}" makes images smaller, and {path}, the first convolution of this '
                "network, has a stride besides, which would drop bands again; use a network without, or set it to off"
            )
        filters = self._filters(self._channels)
        if self._sizes is not None:
            filters = filters / self._sizes.view(-1, 1, 1, 1)
        return nn.Sequential(FixedBands(filters), model)

    @property
    def _shrinkage(self) -> int:
        """How many pixels of an image side by side there are for one of a band."""
        return int(2**self.levels)

    def _filters(self, channels: int) -> Tensor:
        return band_filters(self.kind, channels, self.levels)

    def _unfit(self, image_size: int) -> str:
        fewer = "haar_stem.levels to 1, " if self.levels > 1 and not image_size % 2 else ""
        return (
            f'haar_stem.kind = "{self.kind}" with levels = {self.levels} needs images whose edge is a multiple of '
            f"{self._shrinkage}, and theirs has {image_size} pixels; set image_size to a multiple, {fewer}or "
            'haar_stem.kind to "off"'
        )
