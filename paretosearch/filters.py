"""A first layer whose filters are computed from the images, and stay."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FixedFilters(nn.Module):
    """Convolves images with fixed filters, and clips at 0; the size of the map stays.

    The filters are a buffer: they are saved, copied and moved with the network, and nobody trains, decays, prunes or
    rounds them.

    Args:
        weight: The filters (O, C, s, s), float32.
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        before, behind = (weight.shape[3] - 1) // 2, weight.shape[3] // 2
        self._edges = [before, behind, before, behind]

    def forward(self, x: Tensor) -> Tensor:
        """Give the maps (N, O, H, W) of images (N, C, H, W), whose border is zeros: the mean of the data set."""
        return F.relu(F.conv2d(F.pad(x, self._edges), self.weight))
