"""The constant that a removed residual branch leaves behind."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelConstant(nn.Module):
    """Add a learned number to every channel.

    Args:
        value: The numbers (C,).
    """

    def __init__(self, value: nn.Parameter) -> None:
        super().__init__()
        self.value = value
        self.channels = len(value)

    def forward(self, x: Tensor) -> Tensor:
        """Shift (N, C, H, W)."""
        return x + self.value[:, None, None]
