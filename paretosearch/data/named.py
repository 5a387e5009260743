"""A data set that torchvision reads, as an ImageSet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from paretosearch.data.cache import VERSION, Decoded, cached
from paretosearch.data.imageset import ImageSet
from paretosearch.data.known import Known
from paretosearch.data.sources import obtain
from paretosearch.data.splits import VALIDATION_SHARE, divide

#: Images that are resized at once.
RESIZED_AT_ONCE = 1024


def load_known(known: Known, image_size: int) -> ImageSet:
    """Load a data set that torchvision reads.

    Args:
        known: Which one.
        image_size: Edge of the images in pixels; 0 is the data set's own.

    Returns:
        The data set.

    Raises:
        DataError: If it is not to be had.
    """
    size = image_size or known.image_size
    images = cached(known.name, f"{known.name}-{size}px", str(VERSION), lambda _: _decode(known, size))
    return replace(images, digest=known.digest)


def _decode(known: Known, size: int) -> Decoded:
    train, test = obtain(known)
    images = np.concatenate([train.images, test.images])
    validation, kept = divide(train.labels, [VALIDATION_SHARE])
    parts = {"train": kept, "validation": validation, "test": np.arange(len(train.labels), len(images))}
    labels = np.concatenate([train.labels, test.labels])
    return Decoded(train.classes, resized(images, size), labels, parts, known.flip)


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Give square images (N, H, H, C) another edge; the same array where they have it."""
    if images.shape[1] == size:
        return images
    from torchvision.transforms.v2.functional import resize  # takes a second, which most processes need not wait

    out = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for start in range(0, len(images), RESIZED_AT_ONCE):
        some = slice(start, start + RESIZED_AT_ONCE)
        pixels = torch.from_numpy(images[some]).permute(0, 3, 1, 2)
        out[some] = resize(pixels, [size, size], antialias=True).permute(0, 2, 3, 1).numpy()
    return out
