"""Locks that the kernel releases when their holder dies, with the holder's name."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from paretosearch.errors import LockedError


class Lock:
    """An exclusive lock on a file.

    Args:
        path: The lock file; its folder must exist.
        what: What is locked, for the message.

    Raises:
        LockedError: If another process holds it, with that process's number and host.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._lock = FileLock(path, thread_local=False)
        self._holder = path.with_suffix(".holder")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LockedError(f"{what} is in use by {self._read_holder()}; wait for it or stop it") from None
        self._holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")

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
    """Give the folder of this user's device locks on this machine."""
    folder = Path(tempfile.gettempdir()) / f"paretosearch-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
