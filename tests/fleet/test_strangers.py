"""A GPU on which somebody else computes is refused, and what was timed beside one is marked."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from paretosearch import nvml
from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet import devices
from paretosearch.fleet.strangers import Watch, refuse

GPU = Device("cuda", "GPU-1", "Some GPU", 8 << 30, "here", 0)
NOBODY = 2**22 + 1  # larger than any process number of Linux


class Driver:
    """A driver that knows some programs: process, memory, and share of the GPU at each look, the last one for ever."""

    def __init__(self, **programs: Sequence[int]) -> None:
        self.programs = {int(name[1:]): shares for name, shares in programs.items()}
        self.looks = 0

    def nvmlDeviceGetComputeRunningProcesses(self, _: object) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=1 << 30) for pid in self.programs]

    def nvmlDeviceGetProcessUtilization(self, _: object, since: int) -> list[Any]:  # noqa: N802
        assert since > 1e15  # microseconds
        self.looks += 1
        return [
            SimpleNamespace(pid=pid, smUtil=shares[min(self.looks, len(shares)) - 1])
            for pid, shares in [*self.programs.items(), (7, (50,))]  # the last one draws a desktop
        ]


def installed(monkeypatch: pytest.MonkeyPatch, **programs: Sequence[int]) -> Driver:
    driver = Driver(**programs)
    monkeypatch.setattr(nvml, "ask", lambda _, question, *__: question(driver, "gpu"))
    return driver


def test_a_gpu_on_which_somebody_computes_is_refused_with_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, **{f"p{os.getpid()}": (90,)})
    said = rf"^gpu 0 is in use by process {os.getpid()} \(.+, 1\.0 GiB\), beside which .* choose another device$"
    with pytest.raises(DeviceError, match=said):
        refuse(GPU, patience=0.0)


def test_a_process_that_cannot_be_seen_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, **{f"p{NOBODY}": (90,)})
    with pytest.raises(DeviceError, match=rf"process {NOBODY} \(of another user or container, 1.0 GiB\)"):
        refuse(GPU, patience=0.0)


def test_a_worker_that_was_killed_a_moment_ago_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = installed(monkeypatch, **{f"p{NOBODY}": (90, 40, 0)})
    refuse(GPU)
    assert driver.looks == 3


def test_who_only_holds_memory_or_draws_a_desktop_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, **{f"p{NOBODY}": (0,)})
    refuse(GPU, patience=0.0)


def test_a_reservation_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, **{f"p{NOBODY}": (90,)})
    monkeypatch.setattr(refuse, "__defaults__", (0.0,))
    with pytest.raises(DeviceError, match="is in use by process"):
        devices.Reservation(devices.Wish((GPU,), ()))
    devices.Reservation(devices.Wish((), ())).release()


@pytest.mark.parametrize(
    ("programs", "disturbed"),
    [
        ({os.getpid(): (90,)}, False),
        ({os.getpid(): (90,), NOBODY: (0,)}, False),
        ({os.getpid(): (90,), NOBODY: (0, 5, 0)}, True),  # in the middle
        ({NOBODY: (90,)}, False),  # maybe this very process, in a container
    ],
)
def test_what_was_timed_beside_another_program_is_marked(
    monkeypatch: pytest.MonkeyPatch, programs: dict[int, Sequence[int]], disturbed: bool
) -> None:
    installed(monkeypatch, **{f"p{pid}": shares for pid, shares in programs.items()})
    watch = Watch(GPU)
    for _ in range(3):
        watch.look()
    assert watch.disturbed is disturbed


def test_without_a_driver_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "ask", lambda *_: ())
    refuse(GPU, patience=0.0)


COMPUTES = """
import time

import torch
x, begun = torch.randn(4096, 4096, device="cuda"), time.monotonic()
while True:
    x = (x @ x).clamp(-1, 1)
    torch.cuda.synchronize()
    if begun and time.monotonic() > begun + 2:  # the driver has seen it
        begun = print("computing", flush=True)
"""


@pytest.fixture
def _stranger() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", COMPUTES], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


@pytest.mark.gpu
@pytest.mark.usefixtures("_stranger")
def test_a_real_program_on_a_real_gpu_is_seen() -> None:
    import torch

    gpu, watch = devices.gpus()[0], Watch(devices.gpus()[0])
    with pytest.raises(DeviceError, match=r"^gpu 0 is in use by process \d+ \(python.*, \d+\.\d GiB\)"):
        refuse(gpu)
    x, begun = torch.randn(4096, 4096, device="cuda"), time.monotonic()
    while time.monotonic() < begun + 2:
        x = (x @ x).clamp(-1, 1)
        torch.cuda.synchronize()
    watch.look()
    assert watch.disturbed
