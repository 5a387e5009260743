"""Decoded images on disk, mapped into memory by every process that wants them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path

from paretosearch.data.imageset import ImageSet, Split
from paretosearch.errors import DataError
from paretosearch.files import private_folder

#: What is being done, how many images are done, how many there are.
Progress = Callable[[str, int, int], None]

#: Part of every key: raise it whenever the same files would give other arrays.
VERSION = 1

PARTS = ("train", "validation", "test")

#: Bytes of images that are handled at once.
CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class Decoded:
    """The images of a source, before they are written to the cache.

    Args:
        classes: Name of each class.
        images: Pixels (N, H, W, C), uint8.
        labels: Class of each image (N,).
        parts: For each of ``PARTS``, the indices of its images.
        flip: Whether a mirrored image is still of its class.
        left_out: Files that could not be read.
        digest: See `ImageSet`; empty where that is known without a look at the images.
    """

    classes: tuple[str, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    parts: Mapping[str, NDArray[np.int64]]
    flip: bool
    left_out: tuple[str, ...] = ()
    digest: str = ""


def home() -> Path:
    """Say where data sets are kept: ``PARETOSEARCH_DATA``, or the user's cache folder."""
    chosen = os.environ.get("PARETOSEARCH_DATA")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("paretosearch")


def cached(name: str, group: str, key: str, make: Callable[[Path], Decoded], private: bool = False) -> ImageSet:
    """Open the arrays of a data set, after making them where they are missing.

    However many processes ask at once, one of them makes the arrays while the others wait.

    Args:
        name: Name of the data set as a study file writes it.
        group: Folder of the arrays; only its newest key is kept.
        key: Name of the content; any change of the source changes it.
        make: Reads the source; may use the empty folder that it is given.
        private: Whether the images are the user's own, so that nobody else may see them.

    Returns:
        The data set; its tensors are mapped from the files, and writing to them changes no file.

    Raises:
        DataError: If the arrays cannot be written or read.
    """
    entry = home() / "arrays" / group / key
    try:
        if not entry.is_dir():
            _make_group(entry.parent, private)
            with FileLock(f"{entry.parent}.lock"):
                if not entry.is_dir():
                    _make_entry(entry, make)
        elif private:
            with suppress(OSError):  # of an older version, and perhaps not ours: then it is as its owner wants it
                private_folder(entry.parent)
        return _open_entry(entry, name)
    except OSError as error:
        raise DataError(
            f"cannot keep the images of {name} under {home()}: {error.strerror or error}; "
            "set PARETOSEARCH_DATA to a folder that can be written and has room"
        ) from error


def _make_group(group: Path, private: bool) -> None:
    group.parent.mkdir(parents=True, exist_ok=True)
    if private:
        private_folder(group)
    else:
        group.mkdir(exist_ok=True)


def _make_entry(entry: Path, make: Callable[[Path], Decoded]) -> None:
    scratch = entry.with_name(".new")  # one name, so that what a killed process left is cleared by the next
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "source").mkdir(parents=True)
    try:
        decoded = make(scratch / "source")
        _write_entry(scratch, decoded)
        shutil.rmtree(scratch / "source")
        scratch.rename(entry)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for outdated in entry.parent.iterdir():
        if outdated != entry:
            shutil.rmtree(outdated, ignore_errors=True)


def _write_entry(folder: Path, decoded: Decoded) -> None:
    for part in PARTS:
        index = decoded.parts[part]
        _write_array(folder / f"{part}-images.npy", decoded.images, index)
        _write_array(folder / f"{part}-labels.npy", decoded.labels.astype(np.int64), index)
    mean, std = _statistics(decoded.images, decoded.parts["train"])
    kept = {name: getattr(decoded, name) for name in ("classes", "flip", "left_out", "digest")}
    facts = {**kept, "mean": mean, "std": std}
    with (folder / "facts.json").open("w") as file:
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())


def _write_array(path: Path, values: NDArray[Any], index: NDArray[np.int64]) -> None:
    shape = (len(index), *values.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in _chunks(index, values):
            file.write(np.ascontiguousarray(values[chunk]).data)
        file.flush()
        os.fsync(file.fileno())


def _statistics(images: NDArray[np.uint8], index: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Give mean and standard deviation of each channel, in [0, 1]; sums of whole numbers are exact in any order."""
    total = np.zeros(images.shape[3], np.uint64)
    squares = np.zeros_like(total)
    for chunk in _chunks(index, images):
        pixels = images[chunk].reshape(-1, images.shape[3])
        total += pixels.sum(axis=0, dtype=np.uint64)
        squares += np.square(pixels, dtype=np.uint16).sum(axis=0, dtype=np.uint64)
    count = len(index) * images.shape[1] * images.shape[2]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))  # a constant channel gets one grey level, not 0
    return (mean / 255).tolist(), (std / 255).tolist()


def _chunks(index: NDArray[np.int64], values: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    size = max(1, CHUNK_BYTES // values[:1].nbytes)
    for start in range(0, len(index), size):
        yield index[start : start + size]


def _open_entry(entry: Path, name: str) -> ImageSet:
    try:
        facts = json.loads((entry / "facts.json").read_text())
        splits = {part: Split(_mapped(entry / f"{part}-images.npy"), _labels(entry, part)) for part in PARTS}
        mean, std, classes, left_out = (tuple(facts[key]) for key in ("mean", "std", "classes", "left_out"))
        flip, digest = facts["flip"], facts.get("digest", "")
        return ImageSet(name, classes, mean=mean, std=std, flip=flip, left_out=left_out, digest=digest, **splits)
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise DataError(f"{name}: {entry} is damaged ({error}); delete this folder and try again") from error


def _mapped(path: Path) -> torch.Tensor:
    # Copy-on-write, since a tensor cannot be marked read-only: writing to a read-only map would kill the process.
    return torch.from_numpy(np.load(path, mmap_mode="c")).permute(0, 3, 1, 2)


def _labels(entry: Path, part: str) -> torch.Tensor:
    return torch.from_numpy(np.load(entry / f"{part}-labels.npy"))
