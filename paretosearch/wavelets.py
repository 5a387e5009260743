"""The Haar wavelet on maps and on images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Shapes: N images, C channels, H and W of a map, B bands of a channel.

#: The orthonormal transform of the four pixels of a 2x2 window, row by row: LL, then LH (upper minus lower), HL (left
#: minus right) and HH, in the order of methods-structure, section 9.
HAAR = 0.5 * torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])

#: What the low band is multiplied by, so that it has the range of the images again: it is twice the mean of a window.
#: The next level transforms what this gives.
LOW_SCALE = 0.5


def haar(x: Tensor, levels: int = 1) -> Tensor:
    """Transform maps into their bands, without loss.

    Args:
        x: Maps (N, C, H, W); H and W are multiples of ``2 ** levels``.
        levels: Of the transform; each further one transforms the low band of the one before.

    Returns:
        Bands (N, 4 ** levels * C, H / 2 ** levels, W / 2 ** levels), those of a channel next to each other: LL, LH, HL,
        HH. With a second level they are those of LL; LH, HL and HH of the first level follow, each as the pixels of its
        2x2 windows, row by row; and so on.
    """
    windows = torch.unflatten(F.pixel_unshuffle(x, 2), 1, (x.shape[1], 4))
    bands = torch.einsum("bk,nckhw->ncbhw", HAAR.to(x), windows)
    if levels == 1:
        return bands.flatten(1, 2)
    low = haar(bands[:, :, 0], levels - 1)
    others = F.pixel_unshuffle(bands[:, :, 1:].flatten(1, 2), 2 ** (levels - 1))
    return torch.cat([torch.unflatten(part, 1, (x.shape[1], -1)) for part in (low, others)], 2).flatten(1, 2)


def inverse_haar(bands: Tensor, levels: int = 1) -> Tensor:
    """Give the maps (N, C, H, W) whose bands `haar` gave."""
    of_channels = torch.unflatten(bands, 1, (-1, 4**levels))
    if levels > 1:
        low, others = (part.flatten(1, 2) for part in of_channels.tensor_split([4 ** (levels - 1)], 2))
        low, others = inverse_haar(low, levels - 1), F.pixel_shuffle(others, 2 ** (levels - 1))
        of_channels = torch.cat([low[:, :, None], torch.unflatten(others, 1, (-1, 3))], 2)
    return F.pixel_shuffle(torch.einsum("bk,ncbhw->nckhw", HAAR.to(bands), of_channels).flatten(1, 2), 2)


def band_filters(kind: str, channels: int, levels: int = 1) -> Tensor:
    """Make the filters that give bands of images at a stride of ``2 ** levels``.

    Args:
        kind: ``haar`` with the low band of each level scaled by `LOW_SCALE`, ``haar_no_hh`` without HH of any level, or
            ``unshuffle``, the pixels of a window as they are.
        channels: Channels of an image, C.
        levels: Of the transform; each further one transforms the low band of the one before.

    Returns:
        Filters (B * C, C, 2 ** levels, 2 ** levels), float32, in the order of `haar`; each reads one channel.
    """
    windows = _window_filters(kind, levels)
    return torch.kron(torch.eye(channels), windows.flatten(1)).view(-1, channels, *windows.shape[1:])


def _window_filters(kind: str, levels: int) -> Tensor:
    """Make those of one channel (B, 2 ** levels, 2 ** levels)."""
    edge = 2**levels
    if kind == "unshuffle":
        return torch.eye(edge**2).view(-1, edge, edge)
    low, *others = (HAAR * torch.tensor([[LOW_SCALE], [1.0], [1.0], [1.0]])).view(4, 2, 2)
    others = others[:2] if kind == "haar_no_hh" else others
    if levels == 1:
        return torch.stack([low, *others])
    places = _window_filters("unshuffle", levels - 1)
    of_low = torch.kron(_window_filters(kind, levels - 1), low)
    return torch.cat([of_low, *(torch.kron(places, other) for other in others)])


class FixedBands(nn.Module):
    """Makes bands of images, which are smaller by the edge of the filters, which are fixed.

    The filters are a buffer, as those of `FixedFilters` are.

    Args:
        weight: The filters (B * C, C, s, s), float32.

    Attributes:
        stride: By how much the images become smaller, s.
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.stride = weight.shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Give the bands (N, B * C, H / s, W / s) of images (N, C, H, W)."""
        return F.conv2d(x, self.weight, stride=self.stride)
