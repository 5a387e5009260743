"""A data set made of a folder of image files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretosearch.data.cache import VERSION, Decoded, Progress, cached
from paretosearch.data.decode import decode_all
from paretosearch.data.imageset import ImageSet
from paretosearch.data.listing import Listing, list_folder
from paretosearch.data.splits import TEST_SHARE, VALIDATION_SHARE, divide
from paretosearch.errors import DataError

PREFIX = "folder:"

#: Edge of the images where a Recipe does not say.
DEFAULT_SIZE = 64

#: Part of every key: raise it when more is kept beside the arrays; entries of 1 have no digest.
_KEPT = 2

#: What is taken of every class for a split that the folder does not bring.
_SHARES = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}


def check_folder(name: str) -> Path:
    """Find the folder that ``folder:PATH`` names.

    Args:
        name: The name as a study file writes it.

    Returns:
        The folder.

    Raises:
        DataError: If there is no such folder.
    """
    path = Path(name.removeprefix(PREFIX)).expanduser()
    if name == PREFIX or not os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where a disk was pulled out
        raise DataError(f"{name!r}: there is no such folder; write folder:PATH, with one folder of images per class")
    return path


def load_folder(name: str, image_size: int, progress: Progress | None) -> ImageSet:
    """Load a folder of images, dividing by class and with a fixed seed what it does not divide itself.

    Args:
        name: ``folder:PATH``.
        image_size: Edge of the images in pixels; 0 is 64.
        progress: Told about every few files while they are decoded.

    Returns:
        The data set, in RGB.

    Raises:
        DataError: If the folder is missing, empty, of one class, or has too few images that can be read, or if its
            files change while they are decoded.
    """
    path = check_folder(name)
    size = image_size or DEFAULT_SIZE
    listing = _listed(name, path)
    if len(listing.classes) < 2:
        raise DataError(f"{name}: {_too_few(listing)}; give each of two or more classes its own folder of images in it")
    key = f"{VERSION}.{_KEPT}-{listing.digest[:32]}"

    def make(scratch: Path) -> Decoded:
        decoded = _decode(name, path, listing, size, scratch, progress)
        if _listed(name, path).digest != listing.digest:  # or what is kept under the key would be only a part of it
            raise DataError(f"{name}: files came, went or were written while they were decoded; try again after that")
        return decoded

    return cached(name, _group(path, size), key, make, private=True)


def _listed(name: str, path: Path) -> Listing:
    try:
        return list_folder(path)
    except OSError as error:
        raise DataError(f"{name}: {error.filename} cannot be read: {error.strerror}") from error


def _too_few(listing: Listing) -> str:
    if listing.classes:
        return f"there is only one class, {listing.classes[0]!r}"
    return "there are files, but no folder of a class" if listing.stray else "the folder is empty"


def _group(path: Path, size: int) -> str:
    place = path.resolve()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", place.name)[:40]
    return f"folder-{readable}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}-{size}px"


def _decode(name: str, path: Path, listing: Listing, size: int, scratch: Path, progress: Progress | None) -> Decoded:
    files = [path / file.relative for file in listing.files]
    sums = decode_all(files, size, scratch / "pixels", progress)
    readable = np.array([bool(content) for content in sums], np.bool_)
    if not readable.any():
        example = f", such as {listing.files[0].relative}" if files else ""
        raise DataError(f"{name}: none of its {len(files)} files is an image that can be read{example}")
    images = np.memmap(scratch / "pixels", np.uint8, "r", shape=(len(files), size, size, 3))
    labels = np.array([file.label for file in listing.files], np.int64)
    left_out = [file.relative for file, ok in zip(listing.files, readable, strict=True) if not ok]
    names = tuple(map(_printable, sorted([*left_out, *listing.stray])))
    parts = _parts(name, listing, labels, readable)
    return Decoded(listing.classes, images, labels, parts, True, names, _digest(listing, sums))


def _digest(listing: Listing, sums: Sequence[bytes]) -> str:
    """Name all that a training sees of the files: their bytes, order, class and split, and not their names and times.

    So a copy of the folder has the same digest on any machine, with any version of Pillow, and at any image size.
    """
    content = hashlib.sha256()
    for file, one in zip(listing.files, sums, strict=True):
        if one:
            content.update(f"{file.label} {file.pool} {one.hex()}\n".encode())
    return content.hexdigest()


def _parts(
    name: str, listing: Listing, labels: NDArray[np.int64], readable: NDArray[np.bool_]
) -> dict[str, NDArray[np.int64]]:
    pools = np.array([file.pool for file in listing.files])
    parts = {part: np.flatnonzero(readable & (pools == part)) for part in _SHARES if part in pools}
    for part, index in parts.items():
        if not len(index):
            raise DataError(f"{name}: no image of its {part} folder can be read")
    shares = {part: share for part, share in _SHARES.items() if part not in parts}
    source = np.flatnonzero(readable & np.isin(pools, ("all", "train")))
    _check_counts(name, listing.classes, labels[source], len(shares) + 1)
    divided = divide(labels[source], list(shares.values()))
    return parts | {part: source[index] for part, index in zip((*shares, "train"), divided, strict=True)}


def _check_counts(name: str, classes: Sequence[str], labels: NDArray[np.int64], needed: int) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    poorest = int(counts.argmin())
    if counts[poorest] < needed:
        raise DataError(
            f"{name}: class {classes[poorest]!r} has {counts[poorest]} images to divide and needs {needed} or more "
            "that can be read; add images, or move its folder away"
        )


def _printable(name: str) -> str:
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else "?" for c in text)  # a name can move the cursor of a terminal
