"""The low band of a Haar wavelet at every place of the network."""

import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.method import Method, Slot, fill_pools


class LowBand(nn.Module):
    """Gives the low band of one level of the Haar transform, which is twice the mean of each 2x2 window."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C, H // 2, W // 2)."""
        return 2.0 * F.avg_pool2d(x, 2)


class LowBandPooling(Method):
    """Give the low band of a Haar wavelet, instead of a stride too.

    Wavelet pooling transforms a map twice, leaves out the details of the first level and goes back by one. With an
    orthonormal wavelet and an exact inverse that is the low band of the first level, of which this is the direct way;
    the equivalence is derived in methods-structure, section 9, and tested. Its gradient, too, is twice that of ``avg``;
    where batch norm follows, the two differ in nothing else.

    Paper: Williams & Li, ICLR 2018; no result of it could be verified.
    """

    name = "ll"
    summary = "low band of a Haar wavelet, twice the mean of a window"
    paper = "Williams & Li 2018, ICLR"
    slot = Slot.POOLING

    def edit_model(self, model: nn.Module) -> nn.Module:
        return fill_pools(model, LowBand, self.name)
