"""One Worker process, as its Launcher sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from paretosearch.device import Device
from paretosearch.environment import for_programs
from paretosearch.files import private_file
from paretosearch.fleet.pulse import LIMITS, Limits, Pulse

#: Returning activations to the system and faulting them in again costs a CPU training a quarter of its time.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

#: A Worker that has closed its socket may hang in the driver; it is killed after this long.
PATIENCE_SECONDS = 5.0

#: One that outlives a SIGKILL for so long hangs in the kernel, and nobody can tell for how long.
UNDEAD_SECONDS = 30.0

#: How much of the end of its log is kept with a Worker that died.
LAST_WORDS_BYTES = 4000


class WorkerProcess:
    """A started Worker and the socket to it.

    Args:
        device: What it trains on.
        folder: Spool folder; its log goes there too.
        limits: How long it may be silent.

    Attributes:
        connection: The Launcher's end of the socket.
        pulse: Whether it is alive.
    """

    def __init__(self, device: Device, folder: Path, limits: Limits = LIMITS) -> None:
        self._log = folder / f"worker-{device.label.replace(' ', '-')}.log"
        self._unread = b""
        self.connection, theirs = socket.socketpair()
        start = [sys.executable, "-m", "paretosearch.fleet.start"]
        arguments = [os.getpid(), theirs.fileno(), json.dumps(device.to_plain()), folder]
        with private_file(self._log, append=True) as log:
            self._spoken = log.tell()
            self._process = subprocess.Popen(
                [*start, *map(str, arguments)],
                pass_fds=[theirs.fileno()],
                env=worker_environment(device),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        theirs.close()
        self.pulse = Pulse(self._process.pid, limits)
        self._killed_because = ""
        self._killed_at: float | None = None

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; one to a Worker that is gone is lost."""
        with suppress(OSError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Read the messages that have come; None if the Worker has closed its end."""
        try:
            received = self.connection.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        if not received:
            return None
        *lines, self._unread = (self._unread + received).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> tuple[str, str]:
        """Wait for a Worker that has closed its end, killing it if it hangs; gives how it ended and its last words."""
        self.connection.close()
        how = self._end_within(PATIENCE_SECONDS)
        if how is None:
            self.kill()
            how = self._end_within(UNDEAD_SECONDS) or "the Worker cannot be killed"
        return how + (f", as {self._killed_because}" if self._killed_because else ""), self._last_words()

    @property
    def was_shot(self) -> bool:
        """Whether it was ended by somebody else, such as a kernel short of memory; its Device is not to blame."""
        return self._process.returncode in (-signal.SIGKILL, -signal.SIGTERM) and self._killed_at is None

    def _end_within(self, seconds: float) -> str | None:
        try:
            return _how_it_ended(self._process.wait(seconds))
        except subprocess.TimeoutExpired:
            return None

    def _last_words(self) -> str:
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._spoken, size - LAST_WORDS_BYTES))
                return log.read().decode(errors="replace")
        except OSError:  # somebody has made room
            return ""

    def is_undead(self) -> bool:
        """Whether it has outlived a SIGKILL, as a process does that hangs in a driver."""
        return self._killed_at is not None and time.monotonic() > self._killed_at + UNDEAD_SECONDS

    def kill(self, because: str = "") -> None:
        """Kill the Worker and what it started, if it still runs; the reason goes with the news of its end."""
        self._killed_because = because
        self._killed_at = self._killed_at or time.monotonic()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the Worker and forget it."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(UNDEAD_SECONDS)
        self.connection.close()


def worker_environment(device: Device) -> dict[str, str]:
    """Give a Worker's environment: its Device alone, its threads, its allocator, and not the database's password."""
    threads = str(max(1, len(device.cores)))
    gpu = device.uuid if device.kind == "cuda" else ""
    return {
        **for_programs(),
        **ALLOCATOR,
        "CUDA_VISIBLE_DEVICES": gpu,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"the Worker left with exit code {code}"
    return f"the Worker was killed by {signal.Signals(-code).name}"
