"""Gradients of a convolution's weight that cost less than the exact one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from paretosearch.geometry import Geometry

# Shapes: x (N, C, H, W), weight (O, C / groups, kh, kw), y and its gradient (N, O, H', W').

#: Makes the gradient of a weight from that of y, x and the weight; None leaves the weight without one.
Rule = Callable[[Tensor, Tensor, Tensor, Geometry], Tensor | None]


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, rule: Rule) -> Tensor:
    """Convolve images as ever, with another rule for the gradient of the weight; the other gradients are exact.

    Args:
        x: The images, in the number format to compute in, unless autocast says which.
        weight: The weight.
        bias: The bias, if there is one.
        geometry: How the weight slides over the images.
        rule: Makes the weight's gradient.

    Returns:
        y (N, O, H', W').
    """
    if torch.is_autocast_enabled(x.device.type):
        # Before our function, so that its backward gets all in one format and autograd converts the gradients back.
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    y: Tensor = _Convolution.apply(x, weight, bias, geometry, rule)
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, rule: Rule) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.rule = geometry, rule
        return torch.conv2d(x, weight, bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        grad_x = grad_bias = None
        if of_x or of_bias:
            grad_x, _, grad_bias = _backward(grad, x, weight, ctx.geometry, (of_x, False, of_bias))
        grad_weight = ctx.rule(grad, x, weight, ctx.geometry) if of_weight else None
        return grad_x, grad_weight, grad_bias, None, None


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Give the gradients of x, weight and bias that are wanted; the work for the others is not done."""
    stride, padding, dilation, groups = geometry
    found: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        grad, x, weight, [len(weight)], stride, padding, dilation, False, [0, 0], groups, list(wanted)
    )
    return found


def exact(grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Give the exact gradient."""
    _, found, _ = _backward(grad, x, weight, geometry, (False, True, False))
    assert found is not None
    return found


def none(*_: object) -> None:
    """Give no gradient, so that an optimizer passes the weight over."""


def zero(_grad: Tensor, _x: Tensor, weight: Tensor, _geometry: Geometry) -> Tensor:
    """Give a gradient of zeros, so that an optimizer goes on with its momentum and decay."""
    return torch.zeros_like(weight)


def random(_grad: Tensor, _x: Tensor, weight: Tensor, _geometry: Geometry, spread: Tensor) -> Tensor:
    """Give noise of mean 0 in place of a gradient.

    Args:
        weight: The weight.
        spread: Standard deviation, a scalar.
    """
    return torch.randn_like(weight).mul_(spread)


def measured(grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, factor: float, spread: Tensor) -> Tensor:
    """Give the exact gradient times a factor.

    Args:
        grad: Gradient of y.
        x: The images.
        weight: The weight.
        geometry: How it slides.
        factor: The factor.
        spread: Root mean square of the exact gradient, a scalar, written to; it stays as it was if one has overflowed.
    """
    found = exact(grad, x, weight, geometry)
    size = torch.linalg.vector_norm(found, dtype=spread.dtype) / math.sqrt(found.numel())
    spread.copy_(torch.where(size.isfinite(), size, spread))
    return found if factor == 1 else found.mul_(factor)


def of_channels(grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, keep: float) -> Tensor:
    """Give the exact gradient for the output channels with the largest sum of absolute gradients, 0 for the others.

    Args:
        grad: Gradient of y.
        x: The images.
        weight: The weight, of one group.
        geometry: How it slides.
        keep: Share of the channels that are computed, in (0, 1]; one at least is, and below 1 not all of several.
    """
    channels = kept(keep, len(weight))
    if channels == len(weight):
        return exact(grad, x, weight, geometry)
    size = torch.linalg.vector_norm(grad, 1, (0, 2, 3), dtype=torch.promote_types(grad.dtype, torch.float32))
    index = size.topk(channels, sorted=False).indices
    found = exact(_taken(grad, 1, index), x, weight.index_select(0, index), geometry)
    return torch.zeros_like(weight).index_copy_(0, index, found)


def of_samples(grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, keep: float) -> Tensor:
    """Estimate the gradient without bias from images that are drawn at random.

    Args:
        grad: Gradient of y.
        x: The images.
        weight: The weight.
        geometry: How it slides.
        keep: Share of the images that are drawn, in (0, 1]; one at least is, and below 1 not all of several. Their
            gradient counts for all.
    """
    images = kept(keep, len(x))
    if images == len(x):
        return exact(grad, x, weight, geometry)
    # The places of the largest of as many random numbers: unlike torch.randperm it waits for no device.
    index = torch.rand(len(x), device=x.device).topk(images, sorted=False).indices
    return exact(_taken(grad, 0, index), _taken(x, 0, index), weight, geometry).mul_(len(x) / images)


def kept(keep: float, count: int) -> int:
    """Give how many of some channels or images are used: one at least, and not all of them unless ``keep`` is 1."""
    most = count if keep == 1 else count - 1
    return max(1, min(round(keep * count), most))


def _taken(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Take some images, or channels, of (N, C, H, W); the result is channels-last, whose order indexing keeps."""
    return x.permute(0, 2, 3, 1).index_select({0: 0, 1: 3}[dim], index).permute(0, 3, 1, 2)
