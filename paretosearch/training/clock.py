"""The training clock: what `train_seconds` means.

A training is a sequence of phases of equal shapes, each made of equal steps. The clock reads the time after every step
and says, for a phase, ``steps x median step``; what happens once, such as a change of shape, is an event with its own
measured seconds. An interruption by another process therefore moves the wall time, and hardly the training time.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

#: Steps are averaged over blocks of at least this long before the median: below it the timer and the scheduler show.
BLOCK_SECONDS = 0.02

#: A block has at least this many steps, so that what a Method does every second or fourth step is in every block.
BLOCK_STEPS = 8

#: Steps at the start of a phase that build kernels and fill caches; a tenth of the phase where that is fewer.
WARM_UP_STEPS = 5

#: Relative difference between mean and median above which a training counts as disturbed.
NOISY_ABOVE = 0.05


@dataclass
class Phase:
    """Seconds of every step between two changes of shape.

    Args:
        steps: The seconds.
        is_first: Whether it begins the training. What its warm-up takes longer is the process's doing, and another
            training in the same process would not pay for it; later warm-ups are the doing of a change of shape.
    """

    steps: list[float] = field(default_factory=list)
    is_first: bool = True

    @property
    def _warm_up(self) -> int:
        return min(WARM_UP_STEPS, len(self.steps) // 10 + 1) if len(self.steps) > 1 else 0

    @property
    def settled(self) -> list[float]:
        """The steps without the warm-up."""
        return self.steps[self._warm_up :]

    @property
    def seconds(self) -> float:
        """Robust seconds of the whole phase: a warm-up that a change of shape caused counts as it was."""
        if not self.steps:
            return 0.0
        step = statistics.median(_block_means(self.settled))
        warm_up = self._warm_up * step if self.is_first else sum(self.steps[: self._warm_up])
        return warm_up + len(self.settled) * step


@dataclass
class Event:
    """Something that happens once, and its measured seconds when it is over."""

    seconds: float = 0.0


def _block_means(steps: list[float]) -> list[float]:
    """Mean step of each block; a rest that is too short for one joins the block before it."""
    blocks: list[list[float]] = [[]]
    for seconds in steps:
        if _is_whole(blocks[-1]):
            blocks.append([])
        blocks[-1].append(seconds)
    if len(blocks) > 1 and not _is_whole(blocks[-1]):
        rest = blocks.pop()
        blocks[-1].extend(rest)
    return [statistics.fmean(block) for block in blocks]


def _is_whole(block: list[float]) -> bool:
    return len(block) >= BLOCK_STEPS and sum(block) >= BLOCK_SECONDS


class Clock:
    """Measures a training by phases, steps and events; whatever happens outside them costs nothing.

    Args:
        device: Where the steps run. On a GPU the marks are events on its stream, read when the clock is stopped.
        now: Monotonic seconds of the host, for everything else.
    """

    def __init__(self, device: torch.device, now: Callable[[], float] = time.perf_counter) -> None:
        self._device = device
        self._now = now
        self._phases = [Phase()]
        self._events = 0.0

    def new_phase(self) -> None:
        """Say that the shapes change here."""
        if self._phases[-1].steps:
            self._phases.append(Phase(is_first=False))

    @contextmanager
    def event(self) -> Iterator[Event]:
        """Count what happens inside as a cost of its own."""
        self._synchronize()
        event, start = Event(), self._now()
        yield event
        self._synchronize()
        event.seconds = self._now() - start
        self._events += event.seconds

    @contextmanager
    def steps(self) -> Iterator[Callable[[], None]]:
        """Time a run of steps: call the given function after each.

        Yields:
            A function without arguments that marks the end of a step. It never waits for the device.
        """
        marks: list[float | torch.cuda.Event] = []

        def mark() -> None:
            marks.append(self._mark())

        mark()
        yield mark
        self._synchronize()
        self._phases[-1].steps.extend(_between(a, b) for a, b in itertools.pairwise(marks))

    def _mark(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return self._now()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch does not annotate it
        event.record()
        return event

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def state_dict(self) -> dict[str, Any]:
        """Give all that was measured so far, as JSON can hold it."""
        return {"events": self._events, "phases": [asdict(phase) for phase in self._phases]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what another process measured."""
        self._events, self._phases = state["events"], [Phase(**phase) for phase in state["phases"]]

    @property
    def train_seconds(self) -> float:
        """Robust seconds so far."""
        return self._events + sum(phase.seconds for phase in self._phases)

    @property
    def wall_seconds(self) -> float:
        """Plain sum of all steps and events so far."""
        return self._events + sum(sum(phase.steps) for phase in self._phases)

    @property
    def noisy(self) -> bool:
        """Whether the settled steps took, together, over 5 % more or less than their median says."""
        settled = [phase.settled for phase in self._phases if phase.steps]
        mean = sum(map(sum, settled))
        robust = sum(len(steps) * statistics.median(_block_means(steps)) for steps in settled)
        return abs(mean - robust) > NOISY_ABOVE * robust

    def latest(self, steps: int) -> tuple[float, float]:
        """Median and interquartile range of the last ``steps`` steps, in seconds."""
        phase = next((phase for phase in reversed(self._phases) if phase.steps), Phase())
        last = phase.steps[-steps:]
        if len(last) < 2:
            return (last[0] if last else 0.0), 0.0
        low, middle, high = statistics.quantiles(last, n=4)
        return middle, high - low


def _between(start: float | torch.cuda.Event, end: float | torch.cuda.Event) -> float:
    if isinstance(start, float) and isinstance(end, float):
        return end - start
    assert isinstance(start, torch.cuda.Event)
    assert isinstance(end, torch.cuda.Event)
    return float(start.elapsed_time(end)) / 1000  # milliseconds
