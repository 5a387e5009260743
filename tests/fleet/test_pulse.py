"""A Worker that does nothing any more is noticed, one that is slow is not."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from paretosearch.fleet import pulse
from paretosearch.fleet.base import Assignment, Lost, Progress
from paretosearch.fleet.local import LocalFleet
from paretosearch.fleet.pulse import Limits
from paretosearch.recipe import Recipe
from paretosearch.testing.fleet import cpu_device, run, wait_for
from paretosearch.testing.images import image_folder

LIMITS = Limits(start=900, idle=300, epoch=3600, epochs=20)


class Bench:
    """A clock that goes when it is told to, and a process that works when it is told to."""

    def __init__(self) -> None:
        self.now, self.used = 5000.0, 0.0
        self.pulse = pulse.Pulse(1, LIMITS, lambda: self.now)

    def wait(self, seconds: float, busy: bool, is_ready: bool = True) -> None:
        """Let time go by, while somebody looks every few seconds."""
        end = self.now + seconds
        while self.now < end:
            self.pulse.stall(is_ready)
            step = min(5.0, end - self.now)
            self.now += step
            self.used += step * busy


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(pulse, "cpu_seconds", lambda _: bench.used)
    return bench


@pytest.fixture
def alive(bench: Bench) -> pulse.Pulse:
    return bench.pulse


def test_a_busy_worker_is_alive(alive: pulse.Pulse, bench: Bench) -> None:
    alive.begin()
    for _ in range(3):
        bench.wait(250, busy=True)
        assert alive.stall(is_ready=True) is None


def test_a_worker_without_cpu_time_has_stalled(alive: pulse.Pulse, bench: Bench) -> None:
    alive.begin()
    bench.wait(10, busy=True)
    assert alive.stall(is_ready=True) is None
    bench.wait(299, busy=False)
    assert alive.stall(is_ready=True) is None
    bench.wait(2, busy=False)
    assert alive.stall(is_ready=True) == "it stalled: no CPU time for 300 s"


@pytest.mark.parametrize(("epoch", "limit"), [(10, 3600), (1000, 20_000)])
def test_a_worker_that_is_busy_with_nothing_has_stalled(
    alive: pulse.Pulse, bench: Bench, epoch: float, limit: float
) -> None:
    alive.begin()
    bench.wait(epoch, busy=True)
    alive.epoch()
    bench.wait(limit - 1, busy=True)
    assert alive.stall(is_ready=True) is None
    bench.wait(2, busy=True)
    assert alive.stall(is_ready=True) == f"it stalled: no epoch for {limit} s"


def test_the_first_epoch_may_take_as_long_as_it_likes(alive: pulse.Pulse, bench: Bench) -> None:
    alive.begin()
    bench.wait(50_000, busy=True)
    assert alive.stall(is_ready=True) is None


def test_time_in_which_nobody_looked_is_not_the_workers(alive: pulse.Pulse, bench: Bench) -> None:
    alive.begin()
    bench.wait(250, busy=False)
    assert alive.stall(is_ready=True) is None
    bench.now += 5000  # the Launcher waits for its database, or the machine is paused
    assert alive.stall(is_ready=True) is None
    bench.wait(49, busy=False)
    assert alive.stall(is_ready=True) is None
    bench.wait(2, busy=False)
    assert alive.stall(is_ready=True) == "it stalled: no CPU time for 300 s"


def test_a_worker_that_does_not_start_is_given_up(alive: pulse.Pulse, bench: Bench) -> None:
    bench.wait(899, busy=False, is_ready=False)
    assert alive.stall(is_ready=False) is None
    bench.wait(2, busy=False, is_ready=False)
    assert alive.stall(is_ready=False) == "it did not start within 900 s"


def test_cpu_time_is_that_of_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        while pulse.cpu_seconds(busy.pid) < 0.2:
            pass
        busy.send_signal(signal.SIGSTOP)
        while psutil.Process(busy.pid).status() != psutil.STATUS_STOPPED:
            pass
        before = pulse.cpu_seconds(busy.pid)
        time.sleep(0.3)
        assert pulse.cpu_seconds(busy.pid) == before
        busy.kill()
    assert pulse.cpu_seconds(busy.pid) == 0.0


def test_a_stopped_worker_is_killed_and_its_attempt_is_lost(
    tmp_path: Path, note_fault: Callable[[str, str], None]
) -> None:
    images = image_folder(tmp_path / "stripes")
    recipe = Recipe(f"folder:{images}", "convnet", image_size=16, epochs=2, batch_size=16)
    with closing(LocalFleet([cpu_device()], tmp_path, Limits(idle=8.0))) as fleet:
        fleet.start()
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=10_000)))
        wait_for(fleet, Progress)
        (worker,) = (p for p in psutil.Process().children() if "paretosearch.fleet.start" in p.cmdline())
        worker.suspend()
        lost = wait_for(fleet, Lost)
        assert isinstance(lost, Lost)
        assert lost.message == "the Worker was killed by SIGKILL, as it stalled: no CPU time for 8 s"
        run(fleet, Assignment(2, 1, recipe))
    note_fault("F17", "stopped Workers detected 1 of 1")
