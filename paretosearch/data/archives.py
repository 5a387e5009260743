"""Takes the files out of an archive that are wanted, and writes nothing anywhere else."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import IO

#: The largest file of any data set of ours has 182 MB; what is larger is a bomb, or none of ours.
MOST_BYTES = 1 << 28


def check_sha256(path: Path, expected: str) -> None:
    """Compare a file with its sum.

    Raises:
        ValueError: If it is not what it should be.
    """
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise ValueError(f"{path.name} is damaged or changed: its SHA-256 is wrong")


def take(archive: Path, wanted: Collection[str], folder: Path) -> None:
    """Take files out of a tar archive.

    Args:
        archive: The archive, compressed or not.
        wanted: Names of the files, with their folders in the archive.
        folder: Where to put them, without these folders.

    Raises:
        ValueError: If the archive holds a link, a device, a path that leads out of a folder, or too large a file, which
            the archives of data sets do not, or lacks a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = set(wanted)
    with tarfile.open(archive) as tar:
        for member in tar:
            _check(member)
            if member.name in missing:
                missing.discard(member.name)
                source = tar.extractfile(member)
                assert source is not None
                with source, (folder / PurePosixPath(member.name).name).open("xb") as target:
                    shutil.copyfileobj(source, target)
    if missing:
        raise ValueError(f"{archive.name} has no {min(missing)}")


def _check(member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()) or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the archive holds {member.name!r}, which is no plain file in a folder of its own")
    if member.size > MOST_BYTES:
        raise ValueError(f"the archive holds {member.name!r} of {member.size} bytes, and {MOST_BYTES} are the most")


def unzip(packed: Path, target: Path) -> None:
    """Unpack one file that gzip has packed.

    Raises:
        ValueError: If it holds more than any file of ours.
    """
    with gzip.open(packed) as source, target.open("wb") as file:
        _copy(source, file, packed.name)


def _copy(source: gzip.GzipFile, target: IO[bytes], name: str) -> None:
    written = 0
    while piece := source.read(1 << 20):
        written += target.write(piece)
        if written > MOST_BYTES:
            raise ValueError(f"{name} holds more than {MOST_BYTES} bytes")
