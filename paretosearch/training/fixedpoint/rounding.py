"""Rounds tensors to numbers of few bits that share a power of two."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import torch
from torch import Tensor

from paretosearch.training import native

_P, _N, _I, _U = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint32

_FUNCTIONS = {
    "nearest": (_P, _N, _N, _I, _I, _P, _P, _P),
    "values_of": (_P, _N, _N, _P, _P),
    "stochastic": (_P, _N, _N, _N, _I, _U, _P),
}

#: Exponent of the smallest float that is no denormal: no scale is below it.
LEAST_EXPONENT = -126

#: Numbers that are worth a thread of their own.
NUMBERS_OF_A_THREAD = 1 << 14


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | str:
    """Load the kernels; gives why there are none, in one line, where they cannot be built."""
    return native.load(files(__package__).joinpath("rounding.c"), _FUNCTIONS)


@dataclass(frozen=True)
class Fixed:
    """A tensor of integers and what one of them is worth.

    Args:
        mantissas: Of any shape, int16.
        scale: A power of two, a scalar on the same device; NaN if a number was not finite.
    """

    mantissas: Tensor
    scale: Tensor

    def values(self) -> Tensor:
        """Give the numbers in fp32, which holds them exactly."""
        kernels = _kernels(self.mantissas)
        if kernels is None:
            return self.mantissas * self.scale
        values = torch.empty_like(self.mantissas, dtype=torch.float32)
        size, parts = _work(values)
        kernels.values_of(self.mantissas.data_ptr(), size, parts, self.scale.data_ptr(), values.data_ptr())
        return values


def scale_of(largest: Tensor, word_length: int, headroom: int) -> Tensor:
    """Give the power of two that the last bit of a mantissa stands for (Das et al. 2018, arXiv:1802.00930).

    Args:
        largest: Largest magnitude of every block, fp32.
        word_length: Bits of a mantissa, its sign included.
        headroom: Bits of it that stay free.
    """
    exponent = torch.frexp(largest).exponent - (word_length - 1 - headroom)
    bits = (exponent.clamp(min=LEAST_EXPONENT).to(torch.int32) + 127) << 23
    scale = bits.view(torch.float32)  # exact, which a power need not be on every device
    scale = torch.where(largest < 2.0**LEAST_EXPONENT, 1.0, scale)
    return torch.where(torch.isfinite(largest), scale, torch.nan)


def to_nearest(x: Tensor, word_length: int, headroom: int, with_values: bool) -> tuple[Fixed, Tensor | None]:
    """Round to the nearest, ties to even, with one exponent for the tensor.

    Args:
        x: Of any shape, fp32, dense.
        word_length: Bits of a mantissa, its sign included, up to 16.
        headroom: Bits of it that stay free: the largest magnitude is at most ``2**(word_length - 1 - headroom)``, or
            one less without headroom.
        with_values: Whether to give the rounded numbers in fp32 as well.

    Returns:
        The mantissas with their scale, and the numbers.
    """
    kernels = _kernels(x)
    if kernels is None:
        scale = scale_of(x.abs().amax(), word_length, headroom)
        q = (x / scale).round_().clamp_(*_limits(word_length))
        fixed = Fixed(q.to(torch.int16), scale)
        return fixed, q.mul_(scale) if with_values else None
    mantissas, scale = torch.empty_like(x, dtype=torch.int16), torch.empty((), dtype=torch.float32)
    values = torch.empty_like(x) if with_values else None
    size, parts = _work(x)
    out = None if values is None else values.data_ptr()
    kernels.nearest(x.data_ptr(), size, parts, word_length, headroom, out, mantissas.data_ptr(), scale.data_ptr())
    return Fixed(mantissas, scale), values


def at_random(x: Tensor, word_length: int, generator: torch.Generator, by_first: bool = False) -> Tensor:
    """Round up or down at random, so that the mean is the number itself (Yang et al. 2019, arXiv:1904.11943).

    Args:
        x: Of any shape, fp32, dense.
        word_length: Bits of a mantissa, its sign included, up to 16.
        generator: Of the tensor's device.
        by_first: Whether every place of the first dimension has an exponent of its own, or the tensor has one.

    Returns:
        The rounded numbers in fp32.
    """
    blocks = x.shape[0] if by_first else 1
    kernels = _kernels(x)
    if kernels is None:
        largest = x.abs().reshape(blocks, -1).amax(1)
        scale = scale_of(largest, word_length, 0).reshape(-1, *[1] * (x.ndim - 1)) if by_first else None
        scale = scale_of(largest, word_length, 0)[0] if scale is None else scale
        up = torch.empty_like(x).uniform_(generator=generator)
        exact = x / scale
        down = exact.floor()  # to add a random number first would round the sum
        return down.add_(up < exact - down).clamp_(*_limits(word_length)).mul_(scale)
    values = torch.empty_like(x)
    size, parts = _work(x)
    seed = int(torch.randint(2**32, (), generator=generator).item())
    kernels.stochastic(x.data_ptr(), blocks, size // blocks, parts, word_length, seed, values.data_ptr())
    return values


def dense(x: Tensor) -> Tensor:
    """Give a tensor whose numbers fill a stretch of memory, in the order that it has if it does."""
    if x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.contiguous_format)


def _limits(word_length: int) -> tuple[int, int]:
    return -(2 ** (word_length - 1)), 2 ** (word_length - 1) - 1


def _kernels(x: Tensor) -> ctypes.CDLL | None:
    found = library() if x.device.type == "cpu" else None
    return found if isinstance(found, ctypes.CDLL) else None


def _work(x: Tensor) -> tuple[int, int]:
    """Give how many numbers there are, and among how many threads to share them."""
    return x.numel(), max(1, min(torch.get_num_threads(), x.numel() // NUMBERS_OF_A_THREAD))
