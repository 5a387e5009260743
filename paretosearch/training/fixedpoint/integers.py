"""The back end that multiplies mantissas as the integers that they are."""

from __future__ import annotations

from torch import Tensor

from paretosearch.geometry import Geometry
from paretosearch.training.fixedpoint import kernel
from paretosearch.training.fixedpoint.convolution import Fast, Rounded


class Integers(Fast):
    """Computes with integers what the kernels know, the rest as `Fast` does.

    Args:
        headroom: Bits of every mantissa that are free.
    """

    wants_values = False

    def __init__(self, headroom: int) -> None:
        self._headroom = headroom

    def _is_possible(self, x: Rounded, weight: Rounded, geometry: Geometry) -> bool:
        return kernel.is_possible(x.fixed.mantissas, weight.fixed.mantissas, *geometry, self._headroom)

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        if not self._is_possible(x, weight, geometry):
            return super().forward(x, weight, geometry)
        scale = x.fixed.scale * weight.fixed.scale
        mantissas = x.fixed.mantissas, weight.fixed.mantissas
        return kernel.forward(*mantissas, geometry.stride, geometry.padding, scale, self._headroom)

    def backward(
        self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        if not self._is_possible(x, weight, geometry):
            return super().backward(grad, x, weight, geometry, wanted)
        of_x, of_weight = wanted
        return (
            self._grad_x(grad, x, weight, geometry) if of_x else None,
            self._grad_weight(grad, x, weight, geometry) if of_weight else None,
        )

    def _grad_x(self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor | None:
        edges = weight.fixed.mantissas.shape[2:]
        if geometry.stride != (1, 1) or any(pad >= edge for pad, edge in zip(geometry.padding, edges, strict=True)):
            return super().backward(grad, x, weight, geometry, (True, False))[0]
        scale, shape = grad.fixed.scale * weight.fixed.scale, tuple(x.fixed.mantissas.shape)
        mantissas = grad.fixed.mantissas, weight.fixed.mantissas
        return kernel.grad_input(*mantissas, shape, geometry.padding, scale, self._headroom)

    def _grad_weight(self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        tall, wide = weight.fixed.mantissas.shape[2:]
        scale, mantissas = x.fixed.scale * grad.fixed.scale, (x.fixed.mantissas, grad.fixed.mantissas)
        slides = (tall, wide), geometry.stride, geometry.padding
        return kernel.grad_weight(*mantissas, *slides, scale, self._headroom)
