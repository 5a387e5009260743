"""Convolutions whose filters stay while their strengths are learned."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from paretosearch.geometry import unfilled
from paretosearch.moments import variance_and_mean

# Shapes: N images, C channels that are read, O that are written, kh and kw of a kernel, H and W of a map.

#: Smallest standard deviation that filters are scaled for: less is the noise of one that sees nothing.
LEAST_DEVIATION = 1e-3


class StrengthConv2d(nn.Conv2d):
    """A convolution of ``strength * (weight convolved with x) + bias``, whose weight is not trained at first.

    The strength multiplies what the filters give, and not the filters: its gradient then needs no gradient of the
    filters, and that work is not done while they have none.

    Paper: Keshari et al. 2018, arXiv:1803.11405.

    Attributes:
        weight: The structure (O, C, kh, kw); it ``requires_grad`` only if somebody says so.
        strength: One number for each filter (O,), 1 at first.
    """

    strength: nn.Parameter

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """Make one that computes what a convolution does; its weight and its bias are that one's own."""
        made = unfilled(cls, conv)
        made.weight = conv.weight
        made.weight.requires_grad_(False)
        made.strength = nn.Parameter(torch.ones_like(conv.weight.detach()[:, 0, 0, 0]))
        made.bias = nn.Parameter(torch.zeros_like(made.strength)) if conv.bias is None else conv.bias
        return made

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as a convolution calls it
        """Convolve (N, C, H, W)."""
        y = self._conv_forward(input, self.weight, None)
        assert self.bias is not None
        strength, bias = self.strength.to(y.dtype), self.bias.to(y.dtype)
        answer: Tensor = torch.addcmul(bias[:, None, None], y, strength[:, None, None])
        return answer

    @torch.no_grad()
    def initialise(self, x: Tensor, deviation: float = 1.0) -> None:
        """Scale the filters and choose the biases so that what some images give has the mean 0 and a deviation.

        Args:
            x: Images (N, C, H, W), as they come here.
            deviation: The standard deviation, over images and places, of each channel.
        """
        wide = torch.promote_types(x.dtype, torch.float32)
        y = self._conv_forward(x.to(wide), self.weight.to(wide), None)
        variance, mean = (moment.flatten() for moment in variance_and_mean(y, (0, 2, 3)))
        scale = deviation / variance.sqrt().clamp_min(LEAST_DEVIATION)
        self.weight.copy_(self.weight.to(wide) * scale[:, None, None, None])
        assert self.bias is not None
        self.bias.copy_(-mean * scale)

    @torch.no_grad()
    def plain(self) -> nn.Conv2d:
        """Make the convolution that it is in evaluation."""
        made = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            self.stride,  # type: ignore[arg-type]
            self.padding,  # type: ignore[arg-type]
            self.dilation,  # type: ignore[arg-type]
            self.groups,
            padding_mode=self.padding_mode,
            device="meta",
        )
        assert self.bias is not None
        made.weight = nn.Parameter(self.weight * self.strength[:, None, None, None])
        made.bias = nn.Parameter(self.bias.clone())
        return made
