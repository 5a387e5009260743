"""Makes the convolutions of a network those of dynamic fixed point while it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from paretosearch.errors import RecipeError
from paretosearch.geometry import Geometry, pair
from paretosearch.training.fixedpoint.convolution import BackEnd, convolve


class FixedPointMode(TorchFunctionMode):
    """Rounds input, weight and gradient of every convolution but the first, which reads the images.

    It is the context of one pass: layers that compute their filters have other ones in the next, by which nobody could
    tell which one was the first.

    The last layer, what lies between convolutions, and the optimizer stay fp32, as in the training code of the authors
    of Das et al. 2018, arXiv:1802.00930.

    Args:
        headroom: Bits of every mantissa that stay free.
        back_end: How mantissas are multiplied and added.
    """

    def __init__(self, headroom: int, back_end: BackEnd) -> None:
        super().__init__()
        self._headroom, self._back_end = headroom, back_end
        self._first: tuple[Tensor, Tensor] | None = None  # what the first convolution of the pass reads, and its weight

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do what a function does, with the change to convolutions."""
        if func is not torch.conv2d:
            return func(*args, **(kwargs or {}))
        return self._convolution(*args, **(kwargs or {}))

    def _convolution(
        self,
        input: Tensor,  # noqa: A002 - may be given by this name
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor:
        images, first = self._first = self._first or (input, weight)
        if weight is first or input is images:  # the latter where a layer is looked at before it works, in one pass
            return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
        dilation = pair(dilation)
        padding = _zeros(padding, weight, dilation) if isinstance(padding, str) else pair(padding)
        geometry = Geometry(pair(stride), padding, dilation, groups)
        y = convolve(input, weight, geometry, self._headroom, self._back_end)
        return y if bias is None else y + bias.reshape(-1, 1, 1)


def _zeros(padding: str, weight: Tensor, dilation: tuple[int, int]) -> tuple[int, int]:
    """Give how many zeros a named padding puts on each side."""
    if padding == "valid":
        return 0, 0
    total = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True)]
    if any(zeros % 2 for zeros in total):
        size = "x".join(map(str, weight.shape[2:]))
        raise RecipeError(f'dfp16 cannot do padding = "same" for a {size} kernel; use odd kernels, or another format')
    return total[0] // 2, total[1] // 2
