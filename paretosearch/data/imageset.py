"""The values that hold the images of a data set."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Some images with their labels.

    Args:
        images: Pixels (N, C, H, W), uint8; as loaded, the channels of a pixel stand together in memory.
        labels: Class of each image (N,), int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set, divided once and for everybody.

    Args:
        name: Name as a study file writes it.
        classes: Name of each class, in the order of the labels.
        train: What a training learns from.
        validation: What the search sees.
        test: What nobody sees before the end.
        mean: Mean of each channel of ``train``, in [0, 1].
        std: Standard deviation of each channel of ``train``, in units of [0, 1], never 0.
        flip: Whether a mirrored image is still of its class.
        left_out: Files of a folder that could not be read, relative to it.
        digest: Name of its content: the same wherever trainings see the same images in the same splits.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    left_out: tuple[str, ...] = ()
    digest: str = ""

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train.images.shape[1])

    @property
    def image_size(self) -> int:
        """Edge of an image in pixels."""
        return int(self.train.images.shape[2])
