"""Image files of any kind to pixels of one kind."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from paretosearch.data.cache import Progress

#: Files that a thread takes at once.
FILES_AT_ONCE = 32


def decode(path: Path, size: int) -> NDArray[np.uint8]:
    """Read an image file: first frame, upright, RGB on white, centre square, ``size`` pixels wide.

    Args:
        path: The file.
        size: Edge of the result in pixels.

    Returns:
        Pixels (size, size, 3), uint8.

    Raises:
        Exception: Whatever Pillow raises on a file that is no image, or damaged.
    """
    with Image.open(path) as image:
        image.draft(None, (2 * size, 2 * size))  # JPEGs alone: decode at a fraction, still twice as fine as needed
        upright = ImageOps.exif_transpose(image)
        fitted = ImageOps.fit(_rgb(_eight_bits(upright)), (size, size), Image.Resampling.BILINEAR)
        return np.asarray(fitted)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and real pixels to 0..255, where Pillow would clip."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        values = np.asarray(image)
        scale = 255 if values.max() <= 1 else 1
        return Image.fromarray((values * scale).clip(0, 255).astype(np.uint8))
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def decode_all(files: Sequence[Path], size: int, out: Path, progress: Progress | None) -> Sequence[bytes]:
    """Decode files with all cores that this process may use.

    Args:
        files: The image files.
        size: Edge of the result in pixels.
        out: File to write the pixels (N, size, size, 3) to; what could not be read is left undefined.
        progress: Told about every few files.

    Returns:
        SHA-256 of each file (N,), empty where it could not be read.

    Raises:
        OSError: If ``out`` cannot be written.
    """
    sums: list[bytes] = []
    with out.open("wb") as target, ThreadPoolExecutor(_cores()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files are no news to the user
        os.truncate(target.fileno(), len(files) * size * size * 3)
        work = partial(_decode_some, files, size, target.fileno())
        try:
            for some in pool.map(work, range(0, len(files), FILES_AT_ONCE)):
                sums += some
                if progress is not None:
                    progress("decoding images", len(sums), len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sums


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_some(files: Sequence[Path], size: int, target: int, start: int) -> list[bytes]:
    sums = []
    for number, path in enumerate(files[start : start + FILES_AT_ONCE], start):
        try:
            pixels = decode(path, size)
            sums.append(_sum(path))
        except Exception:  # Pillow raises nearly anything on a damaged file
            sums.append(b"")
            continue
        _write_at(target, memoryview(pixels.tobytes()), number * size * size * 3)
    return sums


def _sum(path: Path) -> bytes:
    with path.open("rb") as file:  # which is in memory, as it has just been decoded
        return hashlib.file_digest(file, "sha256").digest()


def _write_at(target: int, data: memoryview, offset: int) -> None:
    while data:  # a disk that fills up takes a part before it raises
        written = os.pwrite(target, data, offset)
        data, offset = data[written:], offset + written
