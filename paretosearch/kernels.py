"""Kernels of convolutions that change their size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.geometry import pair

#: Smallest edge of a kernel that may begin smaller: a 3x3 one would become 1x1, and see no neighbours.
LEAST = 5

#: How many times larger the edge becomes, or near that: 3 to 5, 5 to 7, 7 to 11.
SCALE = 1.5

#: Where a convolution notes the edge that its kernel is to have in the end; copies of it take the note along.
_NOTE = "edge_in_the_end"


def smaller(edge: int) -> int:
    """Give the odd edge that a kernel begins with: 3 for 5, 5 for 7, 7 for 11."""
    return 2 * math.floor((edge / SCALE - 1) / 2 + 0.5) + 1


def large_kernels(model: nn.Module) -> dict[str, int]:
    """Find the kernels that may begin smaller, or have.

    Args:
        model: The network.

    Returns:
        Their edge in the end, by the name of the convolution: of square kernels of an odd edge of 5 or more, without
        dilation, padded by so many zeros that some are left for the smaller one.
    """
    convs = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    return {name: _edge_in_the_end(conv) for name, conv in convs.items() if hasattr(conv, _NOTE) or _may_shrink(conv)}


def unfinished(model: nn.Module) -> dict[str, int]:
    """Find the kernels that are still smaller than they are to be; gives their edge in the end by name."""
    found = large_kernels(model)
    return {name: edge for name, edge in found.items() if _edge(model.get_submodule(name)) != edge}


def begin_smaller(model: nn.Module) -> None:
    """Make all large kernels of a fresh network smaller.

    A kernel keeps the middle of its initial weights, times the ratio of the edges: what is drawn alike for each weight
    then has the variance that initialisation by fan has for the smaller kernel.

    Args:
        model: The network, changed in place.
    """
    for name, edge in large_kernels(model).items():
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        rim = (edge - smaller(edge)) // 2
        middle = conv.weight.detach()[:, :, rim : edge - rim, rim : edge - rim] * (edge / smaller(edge))
        conv.weight = nn.Parameter(_laid_out_as(conv.weight, middle))
        conv.kernel_size, conv.padding = (smaller(edge),) * 2, padding_for(conv, smaller(edge))
        setattr(conv, _NOTE, edge)


def padding_for(conv: nn.Conv2d, edge: int) -> tuple[int, int]:
    """Give the padding with which another edge of the kernel leaves the size of the map; some may be negative."""
    more = (edge - _edge(conv)) // 2
    vertical, horizontal = pair(conv.padding)  # type: ignore[arg-type]  # numbers, as `large_kernels` makes sure
    return vertical + more, horizontal + more


def scaled(kernels: Tensor, edge: int) -> Tensor:
    """Scale kernels up or down: bicubic interpolation times ``(old / new)^2``, so that the sum of the taps stays.

    The factor alone keeps the sum of a constant kernel, and that of any other one nearly: at the border interpolation
    counts some taps more often than others. What is missing is added in equal parts to all taps of a kernel, which is
    project-defined; then the answer to a constant image is the old one.

    Paper: Porto Buarque de Gusmao et al. 2016, arXiv:1610.03623; the formula is that of methods-structure, section 6,
    since the paper's details could not be verified.

    Args:
        kernels: Filters (O, C, k, k), or state of theirs that is linear in them.
        edge: The new k.

    Returns:
        Filters (O, C, edge, edge) in the format and the memory order of the old ones.
    """
    wide = kernels.detach().to(torch.promote_types(kernels.dtype, torch.float32))
    made = F.interpolate(wide, size=(edge, edge), mode="bicubic", align_corners=False)
    made = made * (kernels.shape[-1] / edge) ** 2
    missing = wide.sum((2, 3), keepdim=True) - made.sum((2, 3), keepdim=True)
    return _laid_out_as(kernels, (made + missing / edge**2).to(kernels.dtype))


def _laid_out_as(old: Tensor, new: Tensor) -> Tensor:
    channels_last = old.stride(3) > old.stride(1)  # strides also tell for 1x1 kernels
    return new.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _edge(conv: nn.Module) -> int:
    kernel: Sequence[int] = conv.kernel_size  # type: ignore[assignment]  # of a convolution
    return int(kernel[0])


def _edge_in_the_end(conv: nn.Conv2d) -> int:
    return int(getattr(conv, _NOTE, _edge(conv)))


def _may_shrink(conv: nn.Conv2d) -> bool:
    edge = _edge(conv)
    is_plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and pair(conv.dilation) == (1, 1)
    is_large = conv.kernel_size == (edge, edge) and edge % 2 == 1 and edge >= LEAST
    return is_plain and is_large and min(padding_for(conv, smaller(edge))) >= 0
