"""A process knows how long others kept it from its core."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paretosearch.training.rundelay import RunDelay

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not count it")


def busy(seconds: float) -> float:
    """Compute for so many seconds of this thread; gives those that went by."""
    start, end = time.perf_counter(), time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return time.perf_counter() - start


def test_a_rival_for_the_core_shows_as_delay() -> None:
    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])  # takes over the affinity
    try:
        delay = RunDelay()
        delay.look_for_threads()
        delay.seconds()
        took = busy(0.5)
        assert took - delay.seconds() == pytest.approx(0.5, rel=0.1)
        assert delay.seconds() > 0.2
    finally:
        rival.kill()
        rival.wait()
        os.sched_setaffinity(0, before)


def test_sleep_is_no_delay() -> None:
    delay = RunDelay()
    delay.look_for_threads()
    delay.seconds()
    time.sleep(0.2)
    assert delay.seconds() < 0.1


def test_nothing_is_counted_before_threads_are_looked_for() -> None:
    assert RunDelay().seconds() == 0
