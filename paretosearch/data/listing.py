"""What a folder of images holds, without opening a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Names that a folder may have for each split.
_NAMES = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test",)}

#: What file managers leave behind; so are all names with a leading dot.
_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True)
class ImageFile:
    """A file that may be an image.

    Args:
        relative: Path relative to the folder of the data set.
        label: Class, as a position in the sorted names of the classes.
        pool: Split that the folder gives it to; ``all`` where the folder gives none.
        size: Bytes.
        mtime_ns: Time of the last change, in nanoseconds.
    """

    relative: str
    label: int
    pool: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Args:
        classes: Sorted names of the classes.
        files: All files of all classes, in a fixed order.
        stray: What belongs to no class, or is no file.
    """

    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    stray: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Name of the content: changes when a file is added, removed, renamed, moved or written."""
        content = [[file.relative, file.pool, file.size, file.mtime_ns] for file in self.files]
        text = json.dumps([self.classes, self.stray, content])
        return hashlib.sha256(text.encode()).hexdigest()


def list_folder(path: Path) -> Listing:
    """List a folder of one folder per class, or of ``train`` and ``test`` (or ``validation``, or both) that are so.

    A lone ``validation`` folder counts as the test split: the search must not see the only images set apart.

    Args:
        path: The folder.

    Returns:
        What it holds.

    Raises:
        OSError: If a folder cannot be read.
    """
    pools = _pools(path)
    folders = sorted((entry.name, pool, entry.path) for pool, root in pools.items() for entry in _folders(root))
    classes = tuple(sorted({name for name, _, _ in folders}))
    files: list[ImageFile] = []
    stray = _outside(path, pools)
    for name, pool, folder in folders:
        for entry in _walk(folder):
            relative = os.path.relpath(entry.path, path)
            if entry.is_file():
                facts = entry.stat()
                files.append(ImageFile(relative, classes.index(name), pool, facts.st_size, facts.st_mtime_ns))
            else:  # a link to nowhere, or a pipe that would never end
                stray.append(relative)
    return Listing(classes, tuple(files), tuple(sorted(stray)))


def _pools(path: Path) -> Mapping[str, Path]:
    found = {part: path / name for part, names in _NAMES.items() for name in names if (path / name).is_dir()}
    if "train" not in found or len(found) == 1 or not _folders(found["train"]):
        return {"all": path}  # "train" may well be a class, of pictures of trains
    if "test" not in found:
        found["test"] = found.pop("validation")
    return found


def _outside(path: Path, pools: Mapping[str, Path]) -> list[str]:
    """Name what stands beside the folders of the classes."""
    stray = [entry for root in pools.values() for entry in _visible(root) if not entry.is_dir()]
    if "all" not in pools:
        stray += [entry for entry in _visible(path) if Path(entry.path) not in pools.values()]
    return [os.path.relpath(entry.path, path) for entry in stray]


def _visible(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER]
    return sorted(kept, key=lambda entry: entry.name)


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in _visible(folder) if entry.is_dir()]


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    for entry in _visible(folder):
        if entry.is_dir():
            yield from _walk(entry.path)
        else:
            yield entry
