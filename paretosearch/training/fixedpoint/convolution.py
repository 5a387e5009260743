"""Convolution in 16-bit dynamic fixed point, forward and backward."""

from __future__ import annotations

from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from paretosearch.geometry import Geometry
from paretosearch.training.fixedpoint.rounding import Fixed, dense, to_nearest

# Shapes: x (N, C, H, W), weight (O, C / groups, kh, kw), y and its gradient (N, O, H', W').

WORD_LENGTH = 16

#: Places of a map, over all images, whose products go into one sum of a weight's gradient in fp32; with more, as one
#: sum of 100 000 has them, the error of the sum grows to several 1e-6 of the result.
PLACES_OF_A_SUM = 24_576


class BackEnd(Protocol):
    """Multiplies and adds mantissas.

    Attributes:
        wants_values: Whether it computes with the numbers in fp32, which then need not be made again.
    """

    wants_values: bool

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        """Give y in fp32."""

    def backward(
        self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Give the gradients of x and of the weight in fp32, where wanted."""


class Rounded:
    """A rounded tensor, as the mantissas that are kept for the backward and as numbers."""

    def __init__(self, fixed: Fixed, values: Tensor | None = None) -> None:
        self.fixed = fixed
        self._values = values

    @property
    def values(self) -> Tensor:
        """The numbers in fp32."""
        if self._values is None:
            self._values = self.fixed.values()
        return self._values


class Fast:
    """Computes in fp32, as the device does best.

    A mantissa of up to 16 bits is exact in fp32, and so is its product with a power of two. Only products and sums are
    rounded, by less than 2e-6 of the result, which is two orders below what the rounding to 16 bits does.
    """

    wants_values = True

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        return _convolve(x.values, weight.values, geometry)

    def backward(
        self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        of_x, of_weight = wanted
        grad_x, _ = _gradients(grad.values, x.values, weight.values, geometry, (of_x, False))
        if not of_weight:
            return grad_x, None
        slices = zip(_slices(grad.values, grad.values), _slices(x.values, grad.values), strict=True)
        parts = [_gradients(g, part, weight.values, geometry, (False, True))[1] for g, part in slices]
        return grad_x, reduce(torch.add, parts)  # type: ignore[arg-type]  # all are wanted


class Exact:
    """Computes in float64, where no sum of fewer than 8 million products is rounded; for tests."""

    wants_values = False

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        return _convolve(_exact(x), _exact(weight), geometry).float()

    def backward(
        self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        found = _gradients(_exact(grad), _exact(x), _exact(weight), geometry, wanted)
        return tuple(None if grad is None else grad.float() for grad in found)  # type: ignore[return-value]  # two of two


def _slices(images: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """Divide images among the sums of a weight's gradient."""
    places = grad.numel() // grad.shape[1]
    return images.tensor_split(max(1, -(-places // PLACES_OF_A_SUM)))


def _exact(rounded: Rounded) -> Tensor:
    return rounded.fixed.mantissas.double() * rounded.fixed.scale.double()


def _convolve(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return torch.nn.functional.conv2d(x, weight, None, *geometry)


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    stride, padding, dilation, groups = geometry
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, [0, 0], groups, [*wanted, False]
    )
    return grad_x, grad_weight


def convolve(x: Tensor, weight: Tensor, geometry: Geometry, headroom: int, back_end: BackEnd) -> Tensor:
    """Convolve images (N, C, H, W) with a weight (O, C / groups, kh, kw), both fp32, by way of rounded ones.

    Args:
        x: The images.
        weight: The weight.
        geometry: How it slides over them.
        headroom: Bits of every mantissa that stay free, 0 to 2.
        back_end: How mantissas are multiplied and added.

    Returns:
        Images (N, O, H', W'), fp32, whose gradient is rounded as well, once for both of its uses.
    """
    y: Tensor = _FixedPointConvolution.apply(x, weight, geometry, headroom, back_end)
    return y


def _rounded(x: Tensor, headroom: int, back_end: BackEnd) -> Rounded:
    return Rounded(*to_nearest(dense(x), WORD_LENGTH, headroom, back_end.wants_values))


class _FixedPointConvolution(torch.autograd.Function):
    """The rounding counts as no operation of its own: its derivative is taken to be 1 ."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry, headroom: int, back_end: BackEnd) -> Tensor:
        images, kernel = _rounded(x, headroom, back_end), _rounded(weight, headroom, back_end)
        ctx.save_for_backward(images.fixed.mantissas, images.fixed.scale, kernel.fixed.mantissas, kernel.fixed.scale)
        ctx.geometry, ctx.headroom, ctx.back_end = geometry, headroom, back_end
        return back_end.forward(images, kernel, geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, x_scale, weight, weight_scale = ctx.saved_tensors
        images, kernel = Rounded(Fixed(x, x_scale)), Rounded(Fixed(weight, weight_scale))
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        grads = ctx.back_end.backward(_rounded(grad, ctx.headroom, ctx.back_end), images, kernel, ctx.geometry, wanted)
        return (*grads, None, None, None)
