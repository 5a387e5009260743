"""Files that are whole or not there, behind no link, and their owner's alone where they are private."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

#: A name that may become a file or a folder, whole: it leads nowhere else, and needs no quotes anywhere.
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

#: Modes of what nobody else may read.
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[IO[bytes]]:
    """Write a file beside its target, then put it in its place; a link there is replaced, and not followed.

    Args:
        path: The target; an older one stays until the new one is complete.
        private: Whether nobody else may read it.

    Yields:
        The file to write, in bytes.
    """
    # A name that nobody can guess, and a file that is new: in a shared folder somebody may have left a link there.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(part, flags, PRIVATE_FILE if private else 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def parts(folder: Path) -> Iterator[Path]:
    """Give what `replacing` has left in a folder where it was killed."""
    yield from folder.glob(".*.part")


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def leaving_none_empty(folder: Path) -> Iterator[None]:
    """Remove a folder and those above it, once the body is over, if they were made in it and are empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        with suppress(OSError):
            for path in new:
                path.rmdir()


def private_folder(folder: Path) -> Path:
    """Make a folder that nobody else can enter, or make one that is there so.

    Args:
        folder: The folder; those above it are made as well, and stay as they are if they are there.

    Returns:
        The same folder.

    Raises:
        OSError: If it cannot be made, is a link, or belongs to another user, who could put anything into it.
    """
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is a link, and must be a folder", str(folder))
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(folder))
    if found.st_mode & _OTHERS:
        folder.chmod(PRIVATE_FOLDER)
    return folder


def private_file(path: Path, append: bool = False) -> IO[bytes]:
    """Open a file to write that nobody else can read, and that is no link.

    Args:
        path: The file.
        append: Whether to keep what it holds.

    Returns:
        The open file.

    Raises:
        OSError: If it is a link, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
    descriptor = os.open(path, flags, PRIVATE_FILE)
    os.fchmod(descriptor, PRIVATE_FILE)  # one of an older version may be open to all
    return os.fdopen(descriptor, "ab" if append else "wb")


def opened(path: Path) -> IO[bytes]:
    """Open a file to read that somebody else may have put there.

    Args:
        path: The file.

    Returns:
        The open file.

    Raises:
        OSError: If there is none, or it is a link or no plain file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would never end
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return file


def content(path: Path, most_bytes: int) -> bytes:
    """Read a file that somebody else may have put there.

    Args:
        path: The file.
        most_bytes: What is larger is not read.

    Returns:
        All that it holds.

    Raises:
        OSError: If there is none, or it is a link, no plain file, or too large.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"it has {size} bytes, and at most {most_bytes} are read", str(path))
        return file.read(most_bytes)


def is_ours_alone(path: Path) -> bool:
    """Whether a file is there that this user owns and nobody else could have written; a link is none."""
    try:
        found = path.lstat()
    except OSError:
        return False
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not others_write
