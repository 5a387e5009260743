"""A disk that is full when a test wants it to be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def why_no_small_disk() -> str | None:
    """Say why there can be none; None if there can."""
    return None if os.geteuid() == 0 and Path("/bin/mount").exists() else "to mount a file system takes root"


class SmallDisk:
    """A file system in memory.

    Args:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def clear(self) -> None:
        """Give back what `fill` has taken."""
        self._ballast.unlink()


@contextmanager
def small_disk(size: int) -> Iterator[SmallDisk]:
    """Mount one of some bytes for as long as the context lasts."""
    with TemporaryDirectory() as name:
        subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name], check=True)
        try:
            yield SmallDisk(Path(name))
        finally:
            subprocess.run(["/bin/umount", "--lazy", name], check=True)
