"""Locks that the kernel releases when their holder dies, with the holder's name."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from paretosearch.errors import DeviceError, LockedError
from paretosearch.files import PRIVATE_FILE, private_file, private_folder

#: Name of the lock of a study's Launcher, in the spool folder.
LAUNCHER = "launcher.lock"


def seems_held(path: Path) -> bool | None:
    """Whether the process that has noted itself beside a lock still runs; None if it does so on another host.

    To try the lock would be surer, and keep a launch away that begins just now.
    """
    try:
        holder = json.loads(path.with_suffix(".holder").read_text(encoding="utf-8"))
        if holder["host"] != socket.gethostname():
            return None
        return bool(psutil.pid_exists(int(holder["pid"])))
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Lock:
    """An exclusive lock on a file.

    Args:
        path: The lock file; its folder must exist.
        what: What is locked, for the message.

    Raises:
        LockedError: If another process holds it, with that process's number and host.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._lock = FileLock(path, mode=PRIVATE_FILE, thread_local=False)
        self._holder = path.with_suffix(".holder")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LockedError(f"{what} is in use by {self._read_holder()}; wait for it or stop it") from None
        except OSError as error:  # a full disk, or a network's file system without locks
            raise LockedError(f"{what} cannot be locked by {path}: {error.strerror}; look at its disk") from None
        with suppress(OSError), private_file(self._holder) as file:  # it only serves the message
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())

    def _read_holder(self) -> str:
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']}"
        except (OSError, ValueError, KeyError):
            return "another process"

    def release(self) -> None:
        """Let others have it."""
        self._holder.unlink(missing_ok=True)
        self._lock.release()


def device_lock_folder() -> Path:
    """Give the folder of this user's device locks on this machine.

    Raises:
        DeviceError: If somebody else has made it, in a place where everybody may.
    """
    folder = Path(tempfile.gettempdir()) / f"paretosearch-{os.geteuid()}"
    try:
        return private_folder(folder)
    except OSError as error:
        raise DeviceError(f"cannot lock devices in {folder}: {error.strerror}; remove it, or set TMPDIR") from None
