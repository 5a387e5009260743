"""Batch norm with ReLU as one operation of autograd."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from paretosearch.training.fused.library import library

# Shapes: N images, C channels, H and W of a map, R = N * H * W rows, K rows of an image in a row of a table.

#: Names of the types of number in the library.
KINDS = {torch.float32: "float", torch.bfloat16: "bf16"}

#: Numbers in a vector, and channels that the library can sum; as in kernels.c.
VECTOR, MOST_CHANNELS = 16, 1024

#: Numbers in a row of a table that keep all of a core busy.
WIDE_ROW = 128

#: Rows that are worth a thread of their own.
ROWS_OF_A_THREAD = 1024


class NormRelu(nn.Module):
    """``relu(norm(x) + shortcut)`` with as few passes over memory as there can be, in training and evaluation.

    Args:
        norm: The batch norm, which stays the network's own.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Normalise (N, C, H, W), add a shortcut of the same shape if there is one, and clip at 0."""
        norm = self.norm
        y: Tensor
        if _is_possible(norm, x, shortcut):
            if norm.training:
                assert norm.num_batches_tracked is not None
                norm.num_batches_tracked.add_(1)
                y = _NormRelu.apply(x, norm.weight, norm.bias, shortcut, norm)
                return y
            if not torch.is_grad_enabled():
                return _evaluated(norm, x, shortcut)
        y = norm(x)
        return F.relu(y if shortcut is None else y + shortcut)


def _is_possible(norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> bool:
    tensors = [x] if shortcut is None else [x, shortcut]
    rows = x.numel() // x.shape[1]
    return (
        isinstance(library(), ctypes.CDLL)
        and x.dtype in KINDS
        and x.shape[1] <= MOST_CHANNELS
        and rows > 1  # batch norm itself says what is wrong with one
        and norm.weight.dtype == torch.float32
        and norm.momentum is not None
        and all(t.shape == x.shape and t.dtype == x.dtype for t in tensors)
        and all(t.device.type == "cpu" and t.is_contiguous(memory_format=torch.channels_last) for t in tensors)
    )


def _evaluated(norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    table, y = _Table(x), torch.empty_like(x)
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    offset = norm.bias - norm.running_mean * scale
    table.each("apply", (x, shortcut, y), scale.repeat(table.folds), offset.repeat(table.folds))
    return y


class _NormRelu(torch.autograd.Function):
    """The formulas are those of Ioffe & Szegedy 2015, arXiv:1502.03167, section 3."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None, norm: nn.BatchNorm2d
    ) -> Tensor:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        table = _Table(x)
        shift = norm.running_mean.repeat(table.folds)
        sums = table.sum("sums", (x,), shift)
        mean, scale, offset = torch.empty(3, table.columns).unbind()
        deviation = torch.empty_like(norm.running_mean)
        statistics = (norm.running_mean, norm.running_var, mean, scale, offset, deviation)
        table.finish("statistics", sums, weight, bias, norm.eps, norm.momentum, *statistics)
        y = torch.empty_like(x)
        table.each("apply", (x, shortcut, y), scale, offset)
        ctx.save_for_backward(x, y, weight, mean, scale, deviation)
        ctx.table, ctx.has_shortcut = table, shortcut is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, mean, scale, deviation = ctx.saved_tensors
        table: _Table = ctx.table
        grad = grad.to(x.dtype).contiguous(memory_format=torch.channels_last)
        sums = table.sum("grad_sums", (grad, y, x), mean)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(weight)
        a, b = torch.empty(2, table.columns).unbind()
        table.finish("grad_statistics", sums, weight, deviation, grad_weight, grad_bias, a, b)
        grad_x, grad_shortcut = torch.empty_like(x), torch.empty_like(x) if ctx.has_shortcut else None
        table.each("grad_apply", (grad, y, x, grad_x, grad_shortcut), mean, scale, a, b)
        return grad_x, grad_weight, grad_bias, grad_shortcut, None


class _Table:
    """How a tensor is gone through: as rows that fill whole vectors, shared among threads.

    Args:
        x: Images (N, C, H, W), channels last.
    """

    def __init__(self, x: Tensor) -> None:
        self.channels = x.shape[1]
        self.image_rows = x.numel() // self.channels
        self.folds = _folds(self.channels, self.image_rows)
        self.columns = self.channels * self.folds
        self._kind = KINDS[x.dtype]
        self._rows = self.image_rows // self.folds
        self._parts = max(1, min(torch.get_num_threads(), self.image_rows // ROWS_OF_A_THREAD))

    def sum(self, name: str, tensors: tuple[Tensor, ...], shift: Tensor) -> Tensor:
        """Sum something twofold over the rows: (parts, 2, columns), float64."""
        sums = torch.zeros(self._parts, 2, self.columns, dtype=torch.float64)
        self._run(name, tensors, shift, sums)
        return sums

    def each(self, name: str, tensors: tuple[Tensor | None, ...], *constants: Tensor) -> None:
        """Compute something for every number."""
        self._run(name, tensors, *constants)

    def finish(self, name: str, sums: Tensor, *arguments: Tensor | float | None) -> None:
        """Draw conclusions from the sums, channel by channel."""
        given = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
        sizes = self._parts, self.folds, self.channels, self.image_rows
        getattr(library(), name)(sums.data_ptr(), *sizes, *given)

    def _run(self, name: str, tensors: tuple[Tensor | None, ...], *others: Tensor) -> None:
        pointers = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
        sizes = self._rows, self.columns, self._parts
        function = getattr(library(), f"{name}_{self._kind}")
        function(*pointers, *sizes, *(other.data_ptr() for other in others))


def _folds(channels: int, rows: int) -> int:
    """Give how many rows of an image are one of the table.

    A table's row should be made of whole vectors, and of several: each is added to a sum of its own, and an addition
    waits for the one before it to the same sum.
    """
    whole = VECTOR // math.gcd(channels, VECTOR)
    wanted = [whole * 2**n for n in range(4) if n == 0 or whole * 2 ** (n - 1) * channels < WIDE_ROW]
    possible = [n for n in wanted if rows % n == 0 and channels * n <= MOST_CHANNELS]
    return max(possible, default=1)
