"""The training clock: what `train_seconds` means.

A training is a sequence of phases of equal steps. The clock reads the time after every step and says, for a phase,
``steps x median step``; what happens once, such as a change of shape, is an event with its own measured seconds. Time
in which a thread waited for its core does not count. An interruption therefore moves the wall time, and hardly the
training time.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from paretosearch.training.phases import Phase, Setting
from paretosearch.training.rundelay import RunDelay

#: Relative difference between wall and robust seconds above which a training counts as disturbed.
NOISY_ABOVE = 0.05


@dataclass
class Event:
    """Something that happens once, and its measured seconds when it is over."""

    seconds: float = 0.0


#: A moment of the host: monotonic seconds, and how many of them this process has waited for its core so far.
_Moment = tuple[float, float]


class Clock:
    """Measures a training by phases, steps and events; whatever happens outside them costs nothing.

    Args:
        device: Where the steps run. On a GPU the marks are events on its stream, read when the clock is stopped.
        now: Monotonic seconds of the host, for everything else.
        delay: How long this process was kept from its cores.

    Attributes:
        phases: The steps that were measured, in order.
        event_seconds: Seconds of all events.
    """

    def __init__(
        self,
        device: torch.device,
        now: Callable[[], float] = time.perf_counter,
        delay: RunDelay | None = None,
    ) -> None:
        self._device = device
        self._now = now
        self._delay = delay or RunDelay()
        self.event_seconds, self._events_waited = 0.0, 0.0
        self._rebuild_seconds = 0.0  # since the last phase began
        self._marks: list[_Moment | torch.cuda.Event] = []  # of the steps in progress
        self._apart: dict[int, tuple[float, float]] = {}  # what was counted apart in one of them, by its mark
        self.phases: list[Phase] = []

    def set(self, setting: Setting, epoch: int) -> None:
        """Say how the coming steps are made, and how many epochs are done; another setting begins a new phase."""
        if not self.phases or self.phases[-1].setting != setting:
            self.phases.append(Phase(setting, epoch, not self.phases, self._rebuild_seconds))
            self._rebuild_seconds = 0.0

    @contextmanager
    def event(self, share: float = 1.0) -> Iterator[Event]:
        """Count what happens inside as a cost of its own, or a share of it."""
        self._synchronize()
        event, (start, waited_before) = Event(), self._moment()
        yield event
        self._synchronize()
        end, waited = self._moment()
        event.seconds = share * max(0.0, end - start - (waited - waited_before))
        self.event_seconds += event.seconds
        self._events_waited += share * (waited - waited_before)

    @contextmanager
    def rebuild(self) -> Iterator[None]:
        """Say, within an event, that what happens inside makes the training what it is in the coming phase."""
        self._synchronize()
        start, waited_before = self._moment()
        yield
        self._synchronize()
        end, waited = self._moment()
        self._rebuild_seconds += max(0.0, end - start - (waited - waited_before))

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Count a part of a step as an event, and not as a part of the step: the median of all steps would lose it."""
        waited_before = self._events_waited
        with self.event() as event:
            yield
        seconds, waited = self._apart.get(len(self._marks), (0.0, 0.0))
        self._apart[len(self._marks)] = seconds + event.seconds, waited + self._events_waited - waited_before

    @contextmanager
    def steps(self) -> Iterator[Callable[[], None]]:
        """Time a run of steps: call the given function after each.

        Yields:
            A function without arguments that marks the end of a step. It never waits for the device.
        """
        marks = self._marks = []
        self._apart = {}

        def mark() -> None:
            marks.append(self._mark())

        self._delay.look_for_threads()
        self._delay.seconds()
        mark()
        yield mark
        self._synchronize()
        phase = self.phases[-1]
        for number, (seconds, waited) in enumerate(itertools.starmap(_between, itertools.pairwise(marks)), 1):
            seconds_apart, waited_apart = self._apart.get(number, (0.0, 0.0))
            phase.steps.append(max(0.0, seconds - seconds_apart))
            phase.waited += max(0.0, waited - waited_apart)

    def _mark(self) -> _Moment | torch.cuda.Event:
        if self._device.type != "cuda":
            return self._moment()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch does not annotate it
        event.record()
        return event

    def _moment(self) -> _Moment:
        return self._now(), self._delay.seconds()

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def state_dict(self) -> dict[str, Any]:
        """Give all that was measured so far, as JSON can hold it."""
        events = {"seconds": self.event_seconds, "waited": self._events_waited, "rebuild": self._rebuild_seconds}
        return {"events": events, "phases": [asdict(phase) for phase in self.phases]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what another process measured."""
        events = state["events"]
        self.event_seconds, self._events_waited = events["seconds"], events["waited"]
        self._rebuild_seconds = events["rebuild"]
        self.phases = [Phase(**{**phase, "setting": Setting(**phase["setting"])}) for phase in state["phases"]]

    @property
    def train_seconds(self) -> float:
        """Robust seconds so far."""
        return self.event_seconds + sum(phase.seconds for phase in self.phases)

    @property
    def wall_seconds(self) -> float:
        """Plain sum of all steps and events so far, with what they waited."""
        steps = sum(sum(phase.steps) + phase.waited for phase in self.phases)
        return self.event_seconds + self._events_waited + steps

    @property
    def noisy(self) -> bool:
        """Whether the settled steps took, together and as they were, over 5 % more or less than their median says."""
        robust = sum(len(phase.settled) * phase.step_seconds for phase in self.phases)
        wall = sum(sum(phase.settled) + phase.waited for phase in self.phases)
        return abs(wall - robust) > NOISY_ABOVE * robust

    def latest(self, steps: int) -> tuple[float, float]:
        """Median and interquartile range of the last ``steps`` steps, in seconds."""
        last = self.phases[-1].steps[-steps:] if self.phases else []
        if len(last) < 2:
            return (last[0] if last else 0.0), 0.0
        low, middle, high = statistics.quantiles(last, n=4)
        return middle, high - low


def _between(start: _Moment | torch.cuda.Event, end: _Moment | torch.cuda.Event) -> tuple[float, float]:
    """Give the seconds between two marks in which the device was this training's, and those in which it was not."""
    if isinstance(start, tuple) and isinstance(end, tuple):
        waited = end[1] - start[1]
        return max(0.0, end[0] - start[0] - waited), waited
    assert isinstance(start, torch.cuda.Event)
    assert isinstance(end, torch.cuda.Event)
    return float(start.elapsed_time(end)) / 1000, 0.0  # milliseconds
