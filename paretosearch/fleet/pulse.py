"""Notices Workers that have stopped doing anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

#: Less CPU time than this is what an idle process takes to notice that it is idle.
IDLE_SECONDS = 0.2


@dataclass(frozen=True)
class Limits:
    """How long a Worker may be silent.

    Args:
        start: Seconds until it is ready: imports over a slow network take minutes.
        idle: Seconds with an Attempt and without CPU time. A training always takes some, be it to feed a GPU.
        epoch: Seconds without an epoch, for a Worker that is busy with nothing, from its second epoch on.
        epochs: The same in its longest epochs so far; the longer one of the two counts.
    """

    start: float = 900.0
    idle: float = 300.0
    epoch: float = 3600.0
    epochs: float = 20.0


#: Who did not look for longer was away, as is a Launcher that waits for its database or is paused with its machine.
AWAY_SECONDS = 10.0

LIMITS = Limits()


class Pulse:
    """Whether one Worker is alive.

    Args:
        pid: Its process.
        limits: How long it may be silent.
        clock: Monotonic seconds; those of a suspended machine are not counted.
    """

    def __init__(self, pid: int, limits: Limits = LIMITS, clock: Callable[[], float] = time.monotonic) -> None:
        self._pid, self._limits, self._clock = pid, limits, clock
        self._begun = self._looked_at = clock()
        self._cpu_seconds, self._busy_at = 0.0, self._begun
        self._news_at: float | None = None  # of the Attempt
        self._longest: float | None = None

    def begin(self) -> None:
        """Note that an Attempt begins."""
        self._busy_at = self._news_at = self._looked_at = self._clock()
        self._longest = None

    def epoch(self) -> None:
        """Note that an epoch is over."""
        now = self._clock()
        if self._news_at is not None:
            self._longest = max(self._longest or 0.0, now - self._news_at)
        self._news_at = now

    def stall(self, is_ready: bool) -> str | None:
        """Say in one line why a Worker should be replaced; None while it is alive.

        Args:
            is_ready: Whether it has started.
        """
        now, limits = self._clock(), self._limits
        self._leave_out_absence(now)
        if not is_ready:
            return f"it did not start within {limits.start:.0f} s" if now - self._begun > limits.start else None
        self._look(now)
        if now - self._busy_at > limits.idle:
            return f"it stalled: no CPU time for {limits.idle:.0f} s"
        if self._longest is not None and self._news_at is not None:
            most = max(limits.epoch, limits.epochs * self._longest)
            if now - self._news_at > most:
                return f"it stalled: no epoch for {most:.0f} s"
        return None

    def _leave_out_absence(self, now: float) -> None:
        """Count only time in which somebody could have heard the Worker."""
        absence, self._looked_at = now - self._looked_at, now
        if absence > AWAY_SECONDS:
            self._begun += absence
            self._busy_at += absence
            if self._news_at is not None:
                self._news_at += absence

    def _look(self, now: float) -> None:
        used = cpu_seconds(self._pid)
        if used > self._cpu_seconds + IDLE_SECONDS:
            self._cpu_seconds, self._busy_at = used, now


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has had, by all its threads; none of one that has ended, as its socket tells."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
