"""S3Pool: max pooling whose downsampling keeps random rows with random columns."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from paretosearch.axis import Choice
from paretosearch.method import Method, Slot, fill_pools


class _MaxWithNext(torch.autograd.Function):
    """Keep some lines along a dimension, each as the maximum of itself and the line after it.

    The backward remembers a byte for each element that is kept.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, lines: Tensor, edge: int) -> Tensor:
        after = (lines + 1).clamp_max(edge - 1)
        here, there = x.index_select(dim, lines), x.index_select(dim, after)
        out = torch.maximum(here, there)
        ctx.save_for_backward(lines, after, here.ge_(there).to(torch.int8))
        ctx.dim, ctx.size = dim, x.shape[dim]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        lines, after, is_here = ctx.saved_tensors
        shape = list(grad.shape)
        shape[ctx.dim] = ctx.size
        to_here = is_here.to(grad.dtype).mul_(grad)
        out = grad.new_zeros(shape).index_copy_(ctx.dim, lines, to_here)
        return out.index_add_(ctx.dim, after, grad - to_here), None, None, None


def s3_pool(x: Tensor, grid: int) -> Tensor:
    """Take the maximum of 2x2 windows at stride 1, then keep random rows with random columns of it.

    Of every ``grid`` rows in a strip half are drawn and stay in order, and so with columns. One draw holds for all
    images and channels. The random numbers come from the global generator of the device.

    A maximum over a window is one over rows, then over columns, so that only what is kept is ever computed.

    Paper: Zhai et al. 2017, arXiv:1611.05138.

    Args:
        x: Activations (N, C, H, W).
        grid: Largest strip; see `strip` for the one that fits. A last odd row or column is left out.

    Returns:
        Activations (N, C, H // 2, W // 2).
    """
    height, width = _even(x)
    rows, columns = kept_lines(height, grid, x.device), kept_lines(width, grid, x.device)
    if x.is_contiguous(memory_format=torch.channels_last):  # index_select would hand it on as channels first
        return _pooled(x.permute(0, 2, 3, 1), 1, (rows, height), (columns, width)).permute(0, 3, 1, 2)
    return _pooled(x, 2, (rows, height), (columns, width))


def s3_pool_evaluation(x: Tensor) -> Tensor:
    """Take the maximum of 2x2 windows at stride 1, then the mean of 2x2 windows of it.

    This is the expectation of `s3_pool` where the grid is 2, and the paper's choice for any grid.

    Args:
        x: Activations (N, C, H, W).

    Returns:
        Activations (N, C, H // 2, W // 2).
    """
    height, width = _even(x)
    padded = F.pad(x[:, :, :height, :width], (0, 1, 0, 1), value=-torch.inf)
    return F.avg_pool2d(F.max_pool2d(padded, 2, stride=1), 2)


def strip(edge: int, grid: int) -> int:
    """Give the largest even number up to ``grid`` that divides ``edge``, an even number."""
    return max(size for size in range(2, min(grid, edge) + 1, 2) if edge % size == 0)


def kept_lines(edge: int, grid: int, device: torch.device) -> Tensor:
    """Draw the lines to keep of an even number ``edge``, half of each strip, in rising order."""
    size = strip(edge, grid)
    drawn = torch.rand(edge // size, size, device=device).argsort(1)[:, : size // 2].sort(1).values
    return (drawn + torch.arange(0, edge, size, device=device).unsqueeze(1)).flatten()


# A graph of the network shows a pooling as one step, however it is computed.
torch.fx.wrap("s3_pool")
torch.fx.wrap("s3_pool_evaluation")


class S3Pool(nn.Module):
    """`s3_pool` while training, `s3_pool_evaluation` otherwise.

    Args:
        grid: Largest strip.
    """

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        return s3_pool(x, self.grid) if self.training else s3_pool_evaluation(x)


class S3Pooling(Method):
    """Pool by the maximum at stride 1, then keep random rows and columns, which distorts the map at random.

    Paper: Zhai et al. 2017, arXiv:1611.05138. They used a grid of 16, then 8, for the two places of a CIFAR-10 network.

    Args:
        grid: Rows or columns of which half are kept; on each map the largest even number up to it that divides the
            map's edge. 2 distorts least.
    """

    name = "s3"
    summary = "max at stride 1, then random rows and columns"
    paper = "Zhai et al. 2017, arXiv:1611.05138"
    slot = Slot.POOLING
    space = {"grid": Choice((2, 4, 8, 16), default=2)}

    grid: int

    def edit_model(self, model: nn.Module) -> nn.Module:
        return fill_pools(model, partial(S3Pool, self.grid), self.name)


def _even(x: Tensor) -> tuple[int, int]:
    return x.shape[2] // 2 * 2, x.shape[3] // 2 * 2


def _pooled(x: Tensor, dim: int, rows: tuple[Tensor, int], columns: tuple[Tensor, int]) -> Tensor:
    out: Tensor = _MaxWithNext.apply(_MaxWithNext.apply(x, dim, *rows), dim + 1, *columns)
    return out
