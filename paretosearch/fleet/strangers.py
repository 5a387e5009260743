"""Programs of others on a GPU: no training can be timed beside one that computes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import psutil

from paretosearch import nvml
from paretosearch.device import Device
from paretosearch.errors import DeviceError

#: A Worker of a launch that was killed may compute for a moment; a stranger does so for longer.
PATIENCE_SECONDS = 5.0

#: The driver keeps how busy each program was for a few seconds, and looks a few times in each.
WINDOW_SECONDS = 1.5


@dataclass(frozen=True)
class Stranger:
    """A program that holds memory of a GPU.

    Args:
        pid: Its process, as the driver numbers it.
        memory_bytes: What it holds, or None where the driver does not tell.
    """

    pid: int
    memory_bytes: int | None

    def __str__(self) -> str:
        return f"process {self.pid} ({', '.join(filter(None, (self._name(), self._memory())))})"

    def _name(self) -> str:
        try:
            return str(psutil.Process(self.pid).name())
        except psutil.Error:
            return "of another user or container"

    def _memory(self) -> str:
        return f"{self.memory_bytes / 2**30:.1f} GiB" if self.memory_bytes else ""


def computing(uuid: str, since: float) -> tuple[Stranger, ...]:
    """Give the programs that have computed on a GPU, and not only drawn, since a moment.

    Args:
        uuid: Of the GPU.
        since: The moment, in seconds of `time.time`; the driver remembers a few seconds.
    """

    def question(driver: Any, gpu: Any) -> tuple[Stranger, ...]:
        found = driver.nvmlDeviceGetComputeRunningProcesses(gpu)
        samples = driver.nvmlDeviceGetProcessUtilization(gpu, int(since * 1e6))
        busy = {sample.pid for sample in samples if sample.smUtil}
        return tuple(Stranger(program.pid, program.usedGpuMemory) for program in found if program.pid in busy)

    return nvml.ask(uuid, question, ())


def refuse(device: Device, patience: float = PATIENCE_SECONDS) -> None:
    """Make sure that nobody computes on a GPU, before it is used; a program that only holds memory may stay.

    Raises:
        DeviceError: If somebody does, and goes on.
    """
    until = time.monotonic() + patience
    while device.kind == "cuda" and (busy := computing(device.uuid, time.time() - WINDOW_SECONDS)):
        if time.monotonic() >= until:
            raise DeviceError(
                f"{device.label} is in use by {busy[0]}, beside which no training could be timed; stop that, or choose"
                " another device"
            )
        time.sleep(0.2)


class Watch:
    """Looks now and then whether somebody else computes on this process's GPU.

    Args:
        device: The device; on a CPU, where the clock leaves out what others take, there is nothing to see.

    Attributes:
        disturbed: Whether somebody did.
    """

    def __init__(self, device: Device) -> None:
        self._device, self._since = device, time.time()
        self.disturbed = False

    def look(self) -> None:
        """Look back to the last time."""
        if self._device.kind != "cuda":
            return
        pids = {program.pid for program in computing(self._device.uuid, self._since)}
        self._since = time.time()
        # Where this process itself is not among them, it has another number for the driver, as in a container.
        if os.getpid() in pids and len(pids) > 1:
            self.disturbed = True
