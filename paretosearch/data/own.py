"""A data set that an installed package brings, as an ImageSet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretosearch import plugins
from paretosearch.data.cache import VERSION, Decoded, cached
from paretosearch.data.imageset import ImageSet
from paretosearch.data.named import resized
from paretosearch.data.splits import TEST_SHARE, VALIDATION_SHARE, divide
from paretosearch.errors import DataError
from paretosearch.files import NAME
from paretosearch.plugins import Plugin


@dataclass(frozen=True)
class Arrays:
    """The images of a data set, as a package brings them.

    A part of the training images, the same for everybody, becomes the validation split; without test images another
    part becomes the test split.

    Args:
        classes: Name of each class, in the order of the labels.
        images: Training images (N, H, H, C), uint8, of 1 or 3 channels.
        labels: Class of each (N,), from 0.
        test_images: Images of the test split, of the same shape; None takes them out of the training images.
        test_labels: Their classes.
        flip: Whether a mirrored image is still of its class.

    Raises:
        ValueError: If they do not belong together.
    """

    classes: tuple[str, ...]
    images: NDArray[np.uint8]
    labels: NDArray[Any]
    test_images: NDArray[np.uint8] | None = None
    test_labels: NDArray[Any] | None = None
    flip: bool = True

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or not all(isinstance(name, str) for name in self.classes):
            raise ValueError(f"classes are two names or more, not {self.classes!r}")
        _check("images", self.images, "labels", self.labels, len(self.classes))
        if (self.test_images is None) != (self.test_labels is None):
            raise ValueError("test_images and test_labels belong together; give both or neither")
        if self.test_images is not None:
            _check("test_images", self.test_images, "test_labels", self.test_labels, len(self.classes))
            if self.test_images.shape[1:] != self.images.shape[1:]:
                raise ValueError(f"test_images are {_shape(self.test_images)}, and images {_shape(self.images)}")


def _check(what: str, images: Any, which: str, labels: Any, classes: int) -> None:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise ValueError(f"{what} must be an array of uint8, not {getattr(images, 'dtype', type(images).__name__)}")
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] not in (1, 3) or not images.size:
        raise ValueError(f"{what} must be (N, H, H, C), square and of 1 or 3 channels, not {_shape(images)}")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise ValueError(f"{which} must be ({len(images)},), whole numbers, not {_shape(labels)}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{which} must be 0 to {classes - 1}, not {labels.min()} to {labels.max()}")


def _shape(array: Any) -> str:
    return f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__


def find_own(name: str) -> Plugin | None:
    """Find the data set that a package brings under a name; None if none does.

    Raises:
        DataError: If several do, or the name would not do for a folder.
    """
    found = plugins.find(plugins.DATASETS, name, "data set", DataError)
    if found is not None and not re.fullmatch(NAME, name):
        raise found.complaint("has a name that is not of 1 to 100 letters, digits, dots, hyphens and underscores")
    return found


def load_own(plugin: Plugin, image_size: int) -> ImageSet:
    """Load a data set that a package brings; its function is called once for each version of its source code.

    Args:
        plugin: The data set.
        image_size: Edge of the images in pixels; 0 is the data set's own.

    Returns:
        The data set.

    Raises:
        DataError: If it is not to be had, or its arrays do not belong together.
    """
    name = plugin.entry.name
    group = f"own-{name}-{f'{image_size}px' if image_size else 'as-it-is'}"
    return cached(name, group, f"{VERSION}-{plugin.digest}", lambda _: _decoded(plugin, image_size), private=True)


def _decoded(plugin: Plugin, image_size: int) -> Decoded:
    arrays = plugin.call()
    if not isinstance(arrays, Arrays):
        raise plugin.complaint(f"gave a value of type {type(arrays).__name__}, not paretosearch.data.Arrays")
    images, labels = arrays.images, arrays.labels.astype(np.int64)
    shares = [VALIDATION_SHARE] if arrays.test_images is not None else [VALIDATION_SHARE, TEST_SHARE]
    try:
        validation, *test, kept = divide(labels, shares)
    except ValueError as error:
        raise plugin.complaint(f"has too few images: {error}") from None
    if arrays.test_images is not None and arrays.test_labels is not None:
        test = [np.arange(len(images), len(images) + len(arrays.test_images))]
        images = np.concatenate([images, arrays.test_images])
        labels = np.concatenate([labels, arrays.test_labels.astype(np.int64)])
    parts = {"train": kept, "validation": validation, "test": test[0]}
    pixels = resized(images, image_size or images.shape[1])
    digest = _digest(tuple(arrays.classes), images, labels, parts)
    return Decoded(tuple(arrays.classes), pixels, labels, parts, arrays.flip, digest=digest)


def _digest(
    classes: tuple[str, ...], images: NDArray[np.uint8], labels: NDArray[np.int64], parts: Mapping[str, NDArray[Any]]
) -> str:
    """Name what trainings see, whatever the image size."""
    content = hashlib.sha256(repr((classes, images.shape, sorted(parts))).encode())
    for array in (images, labels, *(parts[part] for part in sorted(parts))):
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()
