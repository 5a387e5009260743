"""Stochastic pooling: draw one activation of each window with probability proportional to its value."""

from __future__ import annotations

from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from paretosearch.method import Method, Slot, fill_pools

# Where all of a window is 0, so is its sum of squares: any small divisor gives the 0 that is wanted.
SMALLEST_SUM = 1e-12


class _Draw(torch.autograd.Function):
    """`stochastic_pool` with a backward that remembers three bytes a window.

    A window (a, b, c, d) is laid out as intervals of these lengths, one after another, and a point is drawn uniformly
    from all of them. What is kept is whether the point lies in the first, the first two, the first three: all by
    comparisons that write 0 or 1 as floats, since `torch.where` branches on every element, which costs several times
    as much on a random mask.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        a, b, c, d = (corner.to(wide) for corner in _corners(x))
        ab = a + b
        abc = ab + c
        point = torch.rand_like(ab).mul_(abc + d)
        in_ab, in_abc, in_a = ab.gt_(point), abc.gt_(point), point.lt_(a)
        out = a.mul(in_a).addcmul_(b, in_ab - in_a).addcmul_(c, in_abc - in_ab).addcmul_(d, 1 - in_abc)
        ctx.save_for_backward(*(mask.to(torch.int8) for mask in (in_a, in_ab, in_abc)))
        ctx.shape = x.shape
        return out.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        to_a, to_ab, to_abc = (mask.to(grad.dtype).mul_(grad) for mask in ctx.saved_tensors)
        out = _empty(ctx.shape, grad)
        if out.numel() > 4 * grad.numel():  # an odd row or column that no window covers
            out.zero_()
        a, b, c, d = _corners(out)
        a.copy_(to_a)
        torch.sub(to_ab, to_a, out=b)
        torch.sub(to_abc, to_ab, out=c)
        torch.sub(grad, to_abc, out=d)
        return out


def stochastic_pool(x: Tensor) -> Tensor:
    """Draw one element of each 2x2 window with probability proportional to it; 0 where all are 0.

    The random numbers come from the global generator of the device, and the gradient goes to the drawn element alone.
    A last odd row or column is left out.

    Paper: Zeiler & Fergus 2013, arXiv:1301.3557, section 3.

    Args:
        x: Activations (N, C, H, W), none negative: every Pool of our networks stands behind a ReLU. This is not
            checked, as a look at the values would make the host wait for the GPU in every step.

    Returns:
        The drawn elements (N, C, H // 2, W // 2).
    """
    out: Tensor = _Draw.apply(x)
    return out


def probability_weighted_pool(x: Tensor) -> Tensor:
    """Give the expectation of `stochastic_pool`, the sum of squares over the sum of each 2x2 window.

    Paper: Zeiler & Fergus 2013, arXiv:1301.3557, section 3.1.

    Args:
        x: Activations (N, C, H, W), none negative.

    Returns:
        The expectations (N, C, H // 2, W // 2).
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = F.avg_pool2d(wide * wide, 2) / F.avg_pool2d(wide, 2).clamp_min(SMALLEST_SUM)
    return mean.to(x.dtype)


# A graph of the network shows a pooling as one step, however it is computed.
torch.fx.wrap("stochastic_pool")
torch.fx.wrap("probability_weighted_pool")


class StochasticPool(nn.Module):
    """`stochastic_pool` while training, `probability_weighted_pool` otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        return stochastic_pool(x) if self.training else probability_weighted_pool(x)


class StochasticPooling(Method):
    """Draw one activation of each 2x2 window with probability proportional to it, while training.

    Paper: Zeiler & Fergus 2013, arXiv:1301.3557.
    """

    name = "stochastic"
    summary = "one value of each 2x2 window, drawn in proportion to it"
    paper = "Zeiler & Fergus 2013, arXiv:1301.3557"
    slot = Slot.POOLING

    def edit_model(self, model: nn.Module) -> nn.Module:
        return fill_pools(model, StochasticPool, self.name)


def _corners(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """View (N, C, H, W) as the four elements of each 2x2 window, each (N, C, H // 2, W // 2)."""
    windows = x.unfold(2, 2, 2).unfold(3, 2, 2)
    top, bottom = windows.unbind(4)
    a, b = top.unbind(4)
    c, d = bottom.unbind(4)
    return a, b, c, d


def _empty(shape: torch.Size, like: Tensor) -> Tensor:
    channels_last = like.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=memory_format)
