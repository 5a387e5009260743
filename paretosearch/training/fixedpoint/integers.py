"""Convolution of mantissas by integer arithmetic, on processors that have it."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib.resources import files

import torch
from torch import Tensor

from paretosearch.training import native
from paretosearch.training.fixedpoint.convolution import Fast, Geometry, Rounded

# Shapes as in convolution.py; K = kh * kw * C products make a number of y.

_P = ctypes.c_void_p

_FUNCTIONS = {"isa": (_P,), "forward": (_P,) * 5, "grad_weight": (_P,) * 5}

#: Instructions by the number that the library gives.
INSTRUCTIONS = ("none", "AVX2", "AVX-VNNI", "AVX512-VNNI")

#: Channels of y that the kernels compute at once; as in integers.c.
BLOCK = 16

#: Images that are worth a thread of their own.
IMAGES_OF_A_THREAD = 8


class _Sizes(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("images", "height", "width", "channels", "outputs", "rows", "columns"),
            *("kernel_height", "kernel_width", "stride", "pad_height", "pad_width", "chain", "parts"),
        )
    ]


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | str:
    """Load the kernels; gives why there are none, in one line, where they cannot be built or run."""
    found = native.load(files(__package__).joinpath("integers.c"), _FUNCTIONS)
    if isinstance(found, str):
        return found
    return found if _isa(found) else "this processor has neither AVX2 nor VNNI"


def instructions() -> str:
    """Name the instructions that the kernels use."""
    found = library()
    return INSTRUCTIONS[0 if isinstance(found, str) else _isa(found)]


def _isa(loaded: ctypes.CDLL) -> int:
    number = ctypes.c_int()
    loaded.isa(ctypes.byref(number))
    return int(number.value)


def chain_of(headroom: int) -> int:
    """Give how many pairs of products fit into 32 bits whatever the mantissas: 15, 3 or, without headroom, none.

    Das et al. 2018, arXiv:1802.00930, add up such chains in integers, and the chains in fp32.
    """
    return ((1 << 31) - 1 >> 30 - 2 * headroom) // 2


class Integers(Fast):
    """Computes with integers what the kernels cover, the rest as `Fast` does.

    Args:
        headroom: Bits of every mantissa that are free.
    """

    wants_values = False

    def __init__(self, headroom: int) -> None:
        self._chain = chain_of(headroom)

    def covers(self, geometry: Geometry, x: Rounded) -> bool:
        """Whether the kernels know such a convolution."""
        (down, right), _, dilation, groups = geometry
        is_plain = down == right and dilation == (1, 1) and groups == 1
        return is_plain and self._chain > 0 and x.fixed.mantissas.device.type == "cpu"

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        if not self.covers(geometry, x):
            return super().forward(x, weight, geometry)
        scale = x.fixed.scale * weight.fixed.scale
        return forward(x.fixed.mantissas, weight.fixed.mantissas, geometry, scale, self._chain)

    def backward(
        self, grad: Rounded, x: Rounded, weight: Rounded, geometry: Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        of_x, of_weight = wanted
        if not self.covers(geometry, x):
            return super().backward(grad, x, weight, geometry, wanted)
        # Behind a stride most of what a kernel would add up are zeros.
        grad_x = self._grad_x(grad, weight, geometry) if of_x and geometry.stride == (1, 1) else None
        if of_x and grad_x is None:
            grad_x, _ = super().backward(grad, x, weight, geometry, (True, False))
        if not of_weight:
            return grad_x, None
        shape, scale = weight.fixed.mantissas.shape, x.fixed.scale * grad.fixed.scale
        return grad_x, grad_weight(x.fixed.mantissas, grad.fixed.mantissas, shape, geometry, scale, self._chain)

    def _grad_x(self, grad: Rounded, weight: Rounded, geometry: Geometry) -> Tensor | None:
        """Give the gradient of x: what the turned weight makes of that of y; None where the padding is too wide."""
        turned = weight.fixed.mantissas.transpose(0, 1).flip(2, 3)
        padding = tuple(size - 1 - pad for size, pad in zip(turned.shape[2:], geometry.padding, strict=True))
        if min(padding) < 0:
            return None
        scale = grad.fixed.scale * weight.fixed.scale
        around = geometry._replace(padding=(padding[0], padding[1]))
        return forward(grad.fixed.mantissas, turned, around, scale, self._chain)


def forward(x: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor, chain: int) -> Tensor:
    """Convolve mantissas.

    Args:
        x: Images (N, C, H, W), int16.
        weight: The weight (O, C, kh, kw), int16.
        geometry: Of one stride, without dilation and groups.
        scale: What a product of mantissas is worth, a scalar in fp32.
        chain: Pairs of products that are added up in integers.

    Returns:
        Images (N, O, H', W'), fp32, channels last.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    sizes = _sizes(x, weight.shape, geometry, chain)
    y = torch.empty(sizes.images, sizes.outputs, sizes.rows, sizes.columns).to(memory_format=torch.channels_last)
    table = _table(weight)
    _call("forward", x, table, sizes, scale, y)
    return y


def grad_weight(x: Tensor, grad: Tensor, shape: torch.Size, geometry: Geometry, scale: Tensor, chain: int) -> Tensor:
    """Give the gradient of a weight.

    Args:
        x: Images (N, C, H, W), int16.
        grad: Gradient of y (N, O, H', W'), int16.
        shape: Of the weight, (O, C, kh, kw).
        geometry: Of one stride, without dilation and groups.
        scale: What a product of mantissas is worth, a scalar in fp32.
        chain: Pairs of products that are added up in integers.

    Returns:
        The gradient (O, C, kh, kw), fp32, channels last.
    """
    x, grad = (images.contiguous(memory_format=torch.channels_last) for images in (x, grad))
    gradient = torch.empty(shape).to(memory_format=torch.channels_last)
    _call("grad_weight", x, grad, _sizes(x, shape, geometry, chain), scale, gradient)
    return gradient


def _call(name: str, one: Tensor, other: Tensor, sizes: _Sizes, scale: Tensor, result: Tensor) -> None:
    pointers = one.data_ptr(), other.data_ptr(), ctypes.addressof(sizes), scale.data_ptr(), result.data_ptr()
    getattr(library(), name)(*pointers)


def _sizes(x: Tensor, weight: torch.Size, geometry: Geometry, chain: int) -> _Sizes:
    n, channels, height, width = x.shape
    outputs, _, tall, broad = weight
    stride, (down, right) = geometry.stride[0], geometry.padding
    rows, columns = (height + 2 * down - tall) // stride + 1, (width + 2 * right - broad) // stride + 1
    parts = max(1, min(torch.get_num_threads(), n // IMAGES_OF_A_THREAD))
    kernel = tall, broad, stride, down, right
    return _Sizes(n, height, width, channels, outputs, rows, columns, *kernel, chain, parts)


def _table(weight: Tensor) -> Tensor:
    """Order a weight as it is read: blocks of outputs, then pairs of channels under one place, then outputs."""
    outputs, channels, tall, broad = weight.shape
    blocks, even = -(-outputs // BLOCK), channels + channels % 2
    whole = weight.new_zeros(blocks * BLOCK, tall, broad, even)
    whole[:outputs, ..., :channels] = weight.permute(0, 2, 3, 1)
    return whole.reshape(blocks, BLOCK, tall * broad * even // 2, 2).transpose(1, 2).contiguous()
