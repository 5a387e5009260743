"""Convolutions that learn length and direction of their filters apart."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from paretosearch.geometry import unfilled
from paretosearch.moments import variance_and_mean

# Shapes: N images, C channels that are read, O that are written, kh and kw of a kernel, H and W of a map.

#: Smallest standard deviation that an initial length makes up for: less is the noise of a filter that sees nothing.
LEAST_DEVIATION = 1e-3


def with_lengths(direction: Tensor, length: Tensor) -> Tensor:
    """Give the filters ``length * direction / |direction|``, computed in fp32 at least.

    Args:
        direction: Filters of any length but 0 (O, C, kh, kw); ``v`` in the paper.
        length: Their lengths (O,), of any sign; ``g`` there.

    Returns:
        Filters (O, C, kh, kw) in the format of ``direction``.
    """
    wide = direction.to(torch.promote_types(direction.dtype, torch.float32))
    factor = length.to(wide.dtype).view(-1, 1, 1, 1) / torch.linalg.vector_norm(wide, dim=(1, 2, 3), keepdim=True)
    filters: Tensor = (wide * factor).to(direction.dtype)
    return filters


class WeightNormConv2d(nn.Conv2d):
    """A convolution whose filters are ``gain * weight / |weight|``, with a bias.

    Paper: Salimans & Kingma 2016, arXiv:1602.07868.

    Attributes:
        weight: Directions (O, C, kh, kw), of any length.
        gain: Lengths (O,).
    """

    gain: nn.Parameter

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """Make one that computes what a convolution does; its weight and its bias are that one's own."""
        made = unfilled(cls, conv)
        made.weight = conv.weight
        made.gain = nn.Parameter(torch.linalg.vector_norm(conv.weight.detach(), dim=(1, 2, 3)))
        made.bias = nn.Parameter(torch.zeros_like(made.gain)) if conv.bias is None else conv.bias
        return made

    @property
    def filters(self) -> Tensor:
        """The filters that images meet (O, C, kh, kw)."""
        return with_lengths(self.weight, self.gain)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as a convolution calls it
        """Convolve (N, C, H, W)."""
        y: Tensor = self._conv_forward(input, self.filters, self.bias)
        return y

    @torch.no_grad()
    def initialise(self, x: Tensor, deviation: float = 1.0) -> None:
        """Choose lengths and biases so that what a batch gives has the mean 0 and a standard deviation.

        Args:
            x: Images (N, C, H, W), as they come here.
            deviation: The standard deviation, over images and places, of each channel.
        """
        y = self._conv_forward(x, with_lengths(self.weight, torch.ones_like(self.gain)), None)
        wide = y.to(torch.promote_types(y.dtype, torch.float32))
        variance, mean = (moment.flatten() for moment in variance_and_mean(wide, (0, 2, 3)))
        gain = deviation / variance.sqrt().clamp_min(LEAST_DEVIATION)
        self.gain.copy_(gain)
        self._centre(mean * gain)

    def _centre(self, mean: Tensor) -> None:
        assert self.bias is not None
        self.bias.copy_(-mean)

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
        made.weight, made.bias = nn.Parameter(self.filters), nn.Parameter(self._final_bias())
        return made

    def _final_bias(self) -> Tensor:
        assert self.bias is not None
        return self.bias.clone()


class MeanOnlyConv2d(WeightNormConv2d):
    """A weight-normalised convolution whose channels have their mean over the batch taken away before the bias.

    In evaluation the mean is a running average, with the names and the verbs that batch norm has for its own.

    Paper: Salimans & Kingma 2016, arXiv:1602.07868.
    """

    running_mean: Tensor
    num_batches_tracked: Tensor
    track_running_stats = True
    momentum: float | None = 0.1

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """Make one of a convolution, whose weight and bias it takes over."""
        made = super().of(conv)
        made.register_buffer("running_mean", torch.zeros_like(made.gain.detach()))
        made.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64, device=made.gain.device))
        return made

    def reset_running_stats(self) -> None:
        """Forget the running average."""
        self.running_mean.zero_()
        self.num_batches_tracked.zero_()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as a convolution calls it
        """Convolve (N, C, H, W)."""
        assert self.bias is not None
        y: Tensor = self._conv_forward(input, self.filters, None)
        mean = self._taken(y) if self.training else self.running_mean
        return y + (self.bias - mean).to(y.dtype)[:, None, None]

    def _taken(self, y: Tensor) -> Tensor:
        """Take the mean of each channel, and move the running average towards it."""
        mean = y.mean((0, 2, 3), dtype=torch.promote_types(y.dtype, torch.float32))
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        return mean

    def _centre(self, mean: Tensor) -> None:
        assert self.bias is not None
        self.bias.zero_()
        self.running_mean.copy_(mean)

    def _final_bias(self) -> Tensor:
        assert self.bias is not None
        return self.bias - self.running_mean
