"""Worker processes on this machine."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet.base import Assignment, Done, Event, Lost, Progress
from paretosearch.outcome import EpochResult

#: A Worker that dies this often before it is ready will not start at all.
MOST_FAILED_STARTS = 2

#: Returning activations to the system and faulting them in again costs a CPU training a quarter of its time.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@dataclass
class _Slot:
    device: Device
    process: subprocess.Popen[bytes] | None = None
    connection: socket.socket | None = None
    assignment: Assignment | None = None
    unread: bytes = b""
    failed_starts: int = 0
    ready: bool = False
    leaving: bool = False


class LocalFleet:
    """A Worker process for every Device of this machine.

    Args:
        devices: What to train on, reserved by the caller.
        folder: Spool folder of the study; the Workers' logs go there too.
    """

    def __init__(self, devices: Sequence[Device], folder: Path) -> None:
        self._slots = {device.uuid: _Slot(device) for device in devices}
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._closing = False

    @property
    def devices(self) -> Sequence[Device]:
        return [slot.device for slot in self._slots.values()]

    def start(self) -> None:
        for slot in self._slots.values():
            self._spawn(slot)

    def _spawn(self, slot: _Slot) -> None:
        ours, theirs = socket.socketpair()
        arguments = [str(theirs.fileno()), json.dumps(slot.device.to_plain()), str(self._folder)]
        with self._log(slot).open("ab") as log:
            slot.process = subprocess.Popen(
                [sys.executable, "-m", "paretosearch.fleet.worker", *arguments],
                pass_fds=[theirs.fileno()],
                env=worker_environment(slot.device),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        theirs.close()
        slot.connection, slot.unread, slot.ready, slot.leaving = ours, b"", False, False
        self._selector.register(ours, selectors.EVENT_READ, slot)

    def _log(self, slot: _Slot) -> Path:
        return self._folder / f"worker-{slot.device.label.replace(' ', '-')}.log"

    def idle(self) -> Sequence[Device]:
        return [slot.device for slot in self._slots.values() if slot.assignment is None and not slot.leaving]

    def assign(self, device: Device, assignment: Assignment) -> None:
        slot = self._slots[device.uuid]
        assert slot.assignment is None
        assert not slot.leaving
        slot.assignment = assignment
        self._send(slot, {"train": assignment.to_plain()})

    def _send(self, slot: _Slot, message: dict[str, Any]) -> None:
        assert slot.connection is not None
        with suppress(OSError):  # the Worker may be gone, which the next poll sees and says
            slot.connection.sendall(json.dumps(message).encode() + b"\n")

    def poll(self, seconds: float) -> Sequence[Event]:
        events: list[Event] = []
        for key, _ in self._selector.select(seconds):
            slot: _Slot = key.data
            assert slot.connection is not None
            try:
                received = slot.connection.recv(1 << 16)
            except ConnectionResetError:
                received = b""
            events.extend(self._heard(slot, received) if received else self._died(slot))
        return events

    def _heard(self, slot: _Slot, received: bytes) -> list[Event]:
        *lines, slot.unread = (slot.unread + received).split(b"\n")
        return [event for line in lines if (event := self._event(slot, json.loads(line))) is not None]

    def _event(self, slot: _Slot, message: dict[str, Any]) -> Event | None:
        if "ready" in message:
            slot.ready, slot.failed_starts = True, 0
            return None
        assert slot.assignment is not None
        if "epoch" in message:
            return Progress(slot.device, slot.assignment, EpochResult(**message["epoch"]))
        done = Done(slot.device, slot.assignment)
        slot.assignment, slot.leaving = None, message["leaving"]  # the next Attempt is its successor's
        return done

    def _died(self, slot: _Slot) -> list[Event]:
        """Replace a Worker that is gone; what it was training is lost."""
        assert slot.process is not None
        assert slot.connection is not None
        self._selector.unregister(slot.connection)
        slot.connection.close()
        message = _how_it_ended(slot.process.wait())
        lost = [Lost(slot.device, slot.assignment, message, self._last_words(slot))] if slot.assignment else []
        slot.assignment = None
        if not self._closing:
            self._count_failed_start(slot, message)
            self._spawn(slot)
        return list(lost)

    def _count_failed_start(self, slot: _Slot, message: str) -> None:
        slot.failed_starts += not slot.ready
        if slot.failed_starts >= MOST_FAILED_STARTS:
            last = self._last_words(slot).strip().splitlines()[-1:] or ["it wrote nothing"]
            raise DeviceError(f"the Worker of {slot.device.label} does not start ({message}): {last[0]}")

    def _last_words(self, slot: _Slot) -> str:
        return self._log(slot).read_bytes()[-4000:].decode(errors="replace")

    def stop(self, now: bool) -> None:
        for slot in self._slots.values():
            if now and slot.process is not None:
                self._closing = True
                os.killpg(slot.process.pid, signal.SIGKILL)
            elif slot.assignment is not None:
                self._send(slot, {"stop": True})

    def close(self) -> None:
        self._closing = True
        for slot in self._slots.values():
            if slot.process is not None and slot.process.poll() is None:
                os.killpg(slot.process.pid, signal.SIGKILL)
                slot.process.wait()
            if slot.connection is not None:
                slot.connection.close()
        self._selector.close()


def worker_environment(device: Device) -> dict[str, str]:
    """Give a Worker's environment: its Device alone, its threads, its allocator, and not the database's password."""
    own = {name: value for name, value in os.environ.items() if name != "PARETOSEARCH_STORAGE"}
    threads = str(max(1, len(device.cores)))
    gpu = device.uuid if device.kind == "cuda" else ""
    return {**own, **ALLOCATOR, "CUDA_VISIBLE_DEVICES": gpu, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"the Worker left with exit code {code}"
    return f"the Worker was killed by {signal.Signals(-code).name}"
