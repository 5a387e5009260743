"""The Haar wavelet, of one level, on maps and on images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Shapes: N images, C channels, H and W of a map, B bands of a channel.

#: The orthonormal transform of the four pixels of a 2x2 window, row by row: LL, then LH (upper minus lower), HL (left
#: minus right) and HH, in the order of methods-structure, section 9.
HAAR = 0.5 * torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])

#: What the low band is multiplied by, so that it has the range of the images again: it is twice the mean of a window.
LOW_SCALE = 0.5


def haar(x: Tensor) -> Tensor:
    """Transform maps into their bands, without loss.

    Args:
        x: Maps (N, C, H, W); H and W are even.

    Returns:
        Bands (N, 4 * C, H / 2, W / 2), those of a channel next to each other: LL, LH, HL, HH.
    """
    windows = torch.unflatten(F.pixel_unshuffle(x, 2), 1, (x.shape[1], 4))
    return torch.einsum("bk,nckhw->ncbhw", HAAR.to(x), windows).flatten(1, 2)


def inverse_haar(bands: Tensor) -> Tensor:
    """Give the maps (N, C, H, W) of bands (N, 4 * C, H / 2, W / 2)."""
    of_channels = torch.unflatten(bands, 1, (bands.shape[1] // 4, 4))
    return F.pixel_shuffle(torch.einsum("bk,ncbhw->nckhw", HAAR.to(bands), of_channels).flatten(1, 2), 2)


def band_filters(kind: str, channels: int) -> Tensor:
    """Make the filters that give bands of images at a stride of 2.

    Args:
        kind: ``haar`` with its low band scaled by `LOW_SCALE`, ``haar_no_hh`` without its last band, or ``unshuffle``,
            the four pixels of a window as they are.
        channels: Channels of an image, C.

    Returns:
        Filters (B * C, C, 2, 2), float32; each reads one channel.
    """
    rows = torch.eye(4) if kind == "unshuffle" else HAAR * torch.tensor([[LOW_SCALE], [1.0], [1.0], [1.0]])
    rows = rows[:3] if kind == "haar_no_hh" else rows
    return torch.kron(torch.eye(channels), rows).view(-1, channels, 2, 2)


class FixedBands(nn.Module):
    """Makes bands of half the size of images, by fixed filters.

    The filters are a buffer, as those of `FixedFilters` are.

    Args:
        weight: The filters (B * C, C, 2, 2), float32.

    Attributes:
        stride: By how much the images become smaller.
    """

    stride = 2
    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """Give the bands (N, B * C, H / 2, W / 2) of images (N, C, H, W)."""
        return F.conv2d(x, self.weight, stride=self.stride)
