"""Convolution of 16-bit integers on a CPU, forward and backward."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib.resources import files

import torch
from torch import Tensor

from paretosearch.training import native

# Shapes: x (N, C, H, W), weight (O, C, kh, kw), y and its gradient (N, O, Ho, Wo); mantissas are int16, results fp32.

_P, _N = ctypes.c_void_p, ctypes.c_size_t

_FUNCTIONS = {
    "forward_space": (_P, _N, _P),
    "forward": (_P, _P, _P, _P, _P, _N, _N, _P, _P),
    "grad_weight_space": (_P, _N, _N, _N, _P),
    "grad_weight": (_P, _P, _P, _P, _N, _N, _N, _P, _P, _P),
}

#: Slices of a batch that a weight's gradient has at least, each the work of one thread.
LEAST_SLICES = 8

#: Places of a map, over all images, in a slice at most: rounding of a longer sum in fp32 shows.
PLACES_OF_A_SLICE = 24_576

#: Headrooms with which two products fit into 32 bits at the least.
HEADROOMS = (1, 2)

#: Products of a kernel with a pixel that are worth a thread of their own.
PRODUCTS_OF_A_THREAD = 1 << 20


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | str:
    """Load the kernels; gives why there are none, in one line, where they cannot be built."""
    source = files(__package__).joinpath("conv.c")
    found = native.load(source, {"isa": (ctypes.c_char_p,)})
    if isinstance(found, str):
        return found
    if _isa(found) == "none":
        return "the processor multiplies no vectors of 16-bit integers that the kernels know (AVX2 and later)"
    return native.load(source, _FUNCTIONS)


def isa() -> str:
    """Name the instructions the kernels were built for: avx512-vnni, avx-vnni, avx2 or none."""
    found = library()
    return _isa(found) if isinstance(found, ctypes.CDLL) else "none"


def _isa(loaded: ctypes.CDLL) -> str:
    name = ctypes.create_string_buffer(16)
    loaded.isa(name)
    return name.value.decode()


def chain(headroom: int) -> int:
    """Give how many pairs of products of mantissas up to 2^(15 - headroom) surely fit into 32 bits."""
    return int((2**31 - 1) // 2 ** (30 - 2 * headroom)) // 2


def slices(images: int, places: int) -> int:
    """Give into how many slices a weight's gradient divides the pairs of images.

    Args:
        images: How many there are.
        places: Pixels of one image of the output.
    """
    return min(-(-images // 2), max(LEAST_SLICES, -(-images * places // PLACES_OF_A_SLICE)))


def is_possible(
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    headroom: int = 2,
) -> bool:
    """Say whether the kernels compute a convolution and its gradient for the weight.

    The gradient for the input wants a stride of 1 and a padding less than the kernel besides.
    """
    padded = [size + 2 * zeros for size, zeros in zip(x.shape[2:], padding, strict=True)]
    return (
        isinstance(library(), ctypes.CDLL)
        and headroom in HEADROOMS
        and tuple(dilation) == (1, 1)
        and groups == 1
        and x.device.type == weight.device.type == "cpu"
        and min(stride) > 0
        and min(x.shape) > 0
        and min(weight.shape) > 0
        and all(size >= kernel for size, kernel in zip(padded, weight.shape[2:], strict=True))
    )


def forward(
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    scale: float | Tensor,
    headroom: int,
) -> Tensor:
    """Convolve mantissas.

    The sum over kernel row, kernel column and channel, with a channel of zeros if their number is odd, is cut into
    chains of `chain(headroom)` pairs; the exact sums of the chains are rounded to fp32, then added in fp32.

    Args:
        x: Images (N, C, H, W), int16, at most 2^(15 - headroom).
        weight: (O, C, kh, kw), likewise.
        stride: Vertical, horizontal.
        padding: Zeros on every side, likewise.
        scale: What a product is worth, a power of two.
        headroom: Bits of every mantissa that are free, 1 or 2.

    Returns:
        Images (N, O, Ho, Wo), fp32.
    """
    strides = weight.stride()
    return _convolve(x, weight.data_ptr(), tuple(weight.shape), strides, (stride, padding), scale, headroom)


def grad_input(
    grad: Tensor,
    weight: Tensor,
    input_shape: tuple[int, ...],
    padding: tuple[int, int],
    scale: float | Tensor,
    headroom: int,
) -> Tensor:
    """Compute the gradient (N, C, H, W) of the input of a convolution of stride 1.

    It is the convolution of the gradient (N, O, Ho, Wo) with the weight (O, C, kh, kw) turned by half a turn.
    """
    out, inputs, kh, kw = weight.shape
    of_out, of_in, of_row, of_column = weight.stride()
    last = weight.data_ptr() + weight.element_size() * ((kh - 1) * of_row + (kw - 1) * of_column)
    around = kh - 1 - padding[0], kw - 1 - padding[1]
    turned = of_in, of_out, -of_row, -of_column
    found = _convolve(grad, last, (inputs, out, kh, kw), turned, ((1, 1), around), scale, headroom)
    assert found.shape == input_shape
    return found


def grad_weight(
    x: Tensor,
    grad: Tensor,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    scale: float | Tensor,
    headroom: int,
) -> Tensor:
    """Compute the gradient (O, C, kh, kw) of the weight of a convolution.

    A pair of products is from two images, the second of which is zero where the last has no other. Pairs of images are
    divided evenly among `slices(N, Ho * Wo)` slices. In a slice, chains follow each other over pairs of images and rows
    of the output: as many whole rows of an image as fit into a chain, or each row cut evenly into as few chains as can
    be. The exact sums of the chains are rounded to fp32 and added in fp32, then the slices, in order.
    """
    x, grad = _images(x), _images(grad)
    kernel = (grad.shape[1], x.shape[1], *kernel_size)
    sizes, shape = _sizes(x, kernel, stride, padding)
    assert shape == grad.shape
    found = torch.empty(kernel, memory_format=torch.channels_last)
    count, pairs = slices(x.shape[0], grad.shape[2] * grad.shape[3]), chain(headroom)
    parts = _parts(count, found.numel() * grad.numel() // grad.shape[1])
    kernels, worth, strides = _loaded(), _pointed(scale), _strides(found.stride())
    space = _space(kernels.grad_weight_space, sizes, pairs, count, parts)
    pointers = x.data_ptr(), grad.data_ptr(), worth.data_ptr()
    kernels.grad_weight(sizes, *pointers, pairs, count, parts, space.data_ptr(), found.data_ptr(), strides)
    return found


def _convolve(
    x: Tensor,
    weight: int,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    sliding: tuple[tuple[int, int], tuple[int, int]],
    scale: float | Tensor,
    headroom: int,
) -> Tensor:
    x = _images(x)
    sizes, shape = _sizes(x, kernel, *sliding)
    y = torch.empty(shape, memory_format=torch.channels_last)
    kernels, worth = _loaded(), _pointed(scale)
    parts = _parts(y.numel(), y.numel() // shape[1] * kernel[0] * kernel[1] * kernel[2] * kernel[3])
    space = _space(kernels.forward_space, sizes, parts)
    pointers = x.data_ptr(), weight, _strides(strides), worth.data_ptr()
    kernels.forward(sizes, *pointers, chain(headroom), parts, space.data_ptr(), y.data_ptr())
    return y


def _sizes(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[ctypes.Array[ctypes.c_size_t], tuple[int, ...]]:
    """Give what the kernels call Conv, with the shape of the output."""
    edges = zip(x.shape[2:], kernel[2:], stride, padding, strict=True)
    height, width = ((size + 2 * zeros - edge) // step + 1 for size, edge, step, zeros in edges)
    sizes = (*x.shape, kernel[0], *kernel[2:], *stride, *padding, height, width)
    return (_N * len(sizes))(*sizes), (x.shape[0], kernel[0], height, width)


def _images(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _pointed(scale: float | Tensor) -> Tensor:
    """Give the scale as a tensor, so that one that is computed need not be waited for."""
    return scale if isinstance(scale, Tensor) else torch.tensor(scale, dtype=torch.float32)


def _strides(strides: tuple[int, ...]) -> ctypes.Array[ctypes.c_ssize_t]:
    return (ctypes.c_ssize_t * len(strides))(*strides)


def _parts(most: int, products: int) -> int:
    return max(1, min(torch.get_num_threads(), most, products // PRODUCTS_OF_A_THREAD))


def _space(measure: ctypes._NamedFuncPointer, *arguments: object) -> Tensor:
    needed = _N()
    measure(*arguments, ctypes.byref(needed))
    return torch.empty(needed.value, dtype=torch.uint8)


def _loaded() -> ctypes.CDLL:
    found = library()
    assert isinstance(found, ctypes.CDLL), found
    return found
