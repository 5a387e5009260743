"""What the filters of a convolution see of some images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.geometry import Geometry, pair


def is_ordinary(conv: nn.Conv2d) -> bool:
    """Whether `patches` can read for a convolution: no groups, no dilation, borders of zeros of a given width."""
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return plain and conv.groups == 1 and pair(conv.dilation) == (1, 1)


def patches(x: Tensor, conv: nn.Conv2d, most: int, generator: torch.Generator) -> Tensor:
    """Draw some of the patches that a convolution multiplies with its filters, without two of one place.

    Args:
        x: Images (N, C, H, W), as they come to the convolution.
        conv: One of those that are `is_ordinary`.
        most: How many, if there are as many.
        generator: Source of the choice, on the CPU.

    Returns:
        Patches (P, C, kh, kw) in the format of the images.
    """
    (down, right), (above, beside), _, _ = Geometry.of(conv)
    height, width = pair(conv.kernel_size)
    padded = F.pad(x, [beside, beside, above, above])
    windows = padded.unfold(2, height, down).unfold(3, width, right)  # a view (N, C, H', W', kh, kw)
    n, _, rows, columns = windows.shape[:4]
    chosen = torch.randperm(n * rows * columns, generator=generator)[:most].sort().values.to(x.device)
    place = chosen % (rows * columns)
    return windows[chosen // (rows * columns), :, place // columns, place % columns]
