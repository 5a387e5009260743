"""The value that a network is made for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetSpec:
    """What a network must fit.

    Args:
        classes: Number of classes, the length of its output.
        channels: Channels of an image.
        image_size: Edge of the square images in pixels.
        width: Factor on the channel counts.
    """

    classes: int
    channels: int
    image_size: int
    width: float = 1.0

    def scaled(self, channels: int) -> int:
        """Apply the width factor to a channel count.

        From 8 on the result is a multiple of 8: a vector register of a CPU and a tensor core of a GPU compute whole
        groups of 8 channels, so that the channels up to the next multiple would cost time and be thrown away. Below 8
        it is exact, or else all narrow networks would be one.
        """
        wanted = channels * self.width
        return 8 * int(wanted / 8 + 0.5) if wanted >= 8 else max(1, int(wanted + 0.5))
