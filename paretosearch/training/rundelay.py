"""How long a process was kept from its cores."""

from __future__ import annotations

import os
from pathlib import Path


class RunDelay:
    """Adds up the seconds in which a thread of this process could have run, and another thread had its core.

    That is nearly always another process's, since a Worker has as many threads as cores. Only what reads ahead of a
    stream of images is a thread more.

    Linux counts them for every thread (``/proc/PID/task/TID/schedstat``, second number, nanoseconds); elsewhere they
    are always 0. Threads that share a step wait for the one that was kept the longest, so between two readings the
    longest delay of all threads counts.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._total = 0

    def seconds(self) -> float:
        """Read the sum since the first reading; a thread counts from the first reading that sees it."""
        now = self._read()
        kept = (delay - self._before[thread] for thread, delay in now.items() if thread in self._before)
        self._total += max(kept, default=0)
        self._before = now
        return self._total / 1e9

    def look_for_threads(self) -> None:
        """Find the threads that there are now; those that start later are not counted."""
        self.close()
        for folder in Path("/proc/self/task").glob("*"):
            try:
                self._files[folder.name] = os.open(folder / "schedstat", os.O_RDONLY)
            except OSError:  # it has ended, or this kernel does not count
                continue

    def close(self) -> None:
        """Let go of the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        self.close()

    def _read(self) -> dict[str, int]:
        delays = {}
        for thread, file in self._files.items():
            try:
                delays[thread] = int(os.pread(file, 100, 0).split()[1])
            except (OSError, IndexError):  # the thread has ended
                continue
        return delays
