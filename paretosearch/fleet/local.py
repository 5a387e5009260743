"""Worker processes on this machine."""

from __future__ import annotations

import selectors
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paretosearch.device import Device, share_cores
from paretosearch.errors import DeviceError
from paretosearch.fleet.base import Assignment, Done, Event, Lost, Progress, Retired, Waiting
from paretosearch.fleet.process import WorkerProcess
from paretosearch.fleet.pulse import LIMITS, Limits
from paretosearch.outcome import EpochResult

#: A Device whose Worker dies this often in a row before it is ready gets no more.
MOST_FAILED_STARTS = 2
#: One on which so many trials in a row are lost gets no more either; of a single one the Recipe may be the cause.
MOST_LOST_TRIALS = 3


@dataclass
class _Slot:
    device: Device
    worker: WorkerProcess | None = None
    assignment: Assignment | None = None
    failed_starts: int = 0
    lost_trials: set[int] = field(default_factory=set)
    ready: bool = False
    leaving: bool = False
    turn: int = 0

    @property
    def is_idle(self) -> bool:
        return self.worker is not None and self.assignment is None and not self.leaving

    def waits_for(self, other: _Slot) -> bool:
        """Whether another Attempt has cores of this Device."""
        return other.assignment is not None and not set(self.device.cores).isdisjoint(other.device.cores)


class LocalFleet:
    """A Worker process for every Device of this machine. Devices that have cores in common take turns.

    Args:
        devices: What to train on, reserved by the caller.
        folder: Spool folder of the study; the Workers' logs go there too.
        limits: How long a Worker may be silent.
    """

    def __init__(self, devices: Sequence[Device], folder: Path, limits: Limits = LIMITS) -> None:
        self._slots = {device.uuid: _Slot(device) for device in devices}
        self._folder, self._limits = folder, limits
        self._selector = selectors.DefaultSelector()
        self._replacing = True
        self._retired = ""  # why the last Device was that was
        self._lost_before: set[int] = set()

    @property
    def devices(self) -> Sequence[Device]:
        return [slot.device for slot in self._slots.values()]

    def start(self) -> None:
        for slot in self._slots.values():
            self._spawn(slot)

    def _spawn(self, slot: _Slot) -> None:
        slot.worker = WorkerProcess(slot.device, self._folder, self._limits)
        slot.ready, slot.leaving = False, False
        self._selector.register(slot.worker.connection, selectors.EVENT_READ, slot)

    def idle(self) -> Sequence[Device]:
        if self._replacing and self._retired and all(slot.worker is None for slot in self._slots.values()):
            raise DeviceError(self._retired)
        slots = self._slots.values()
        free = [slot for slot in slots if slot.is_idle and not any(map(slot.waits_for, slots))]
        return [slot.device for slot in sorted(free, key=lambda slot: slot.turn)]

    def is_busy(self) -> bool:
        return any(slot.worker is not None and not slot.is_idle for slot in self._slots.values())

    def assign(self, device: Device, assignment: Assignment) -> None:
        slot = self._slots[device.uuid]
        assert slot.is_idle
        assert slot.worker is not None
        if share_cores(self.devices):
            slot.turn = 1 + max(other.turn for other in self._slots.values())
        slot.assignment = assignment
        slot.worker.pulse.begin()
        slot.worker.send({"train": assignment.to_plain()})

    def poll(self, seconds: float) -> Sequence[Event]:
        events = [event for key, _ in self._selector.select(seconds) for event in self._news(key.data)]
        self._kill_stalled()  # after what they have said was heard
        undead = [slot for slot in self._slots.values() if slot.worker is not None and slot.worker.is_undead()]
        return [*events, *(event for slot in undead for event in self._given_up(slot))]

    def _kill_stalled(self) -> None:
        for slot in self._slots.values():
            if slot.worker is None or (slot.ready and slot.assignment is None):
                continue
            stall = slot.worker.pulse.stall(slot.ready)
            if stall:
                slot.worker.kill(stall)  # SIGKILL: one that is stopped, or hangs in a driver, hears nothing else

    def _news(self, slot: _Slot) -> Iterator[Event]:
        assert slot.worker is not None
        messages = slot.worker.receive()
        if messages is None:
            yield from self._died(slot, slot.worker)
            return
        for message in messages:
            yield from self._heard(slot, slot.worker, message)

    def _heard(self, slot: _Slot, worker: WorkerProcess, message: dict[str, Any]) -> Iterator[Event]:
        if "ready" in message:
            slot.ready, slot.failed_starts = True, 0
            worker.pulse.begin()  # an Attempt may have waited for the start
            return
        assert slot.assignment is not None
        if "epoch" in message:
            worker.pulse.epoch()
            yield Progress(slot.device, slot.assignment, EpochResult(**message["epoch"]))
        elif "waiting" in message:
            worker.pulse.begin()
            yield Waiting(slot.device, slot.assignment, message["waiting"])
        else:
            if message["suspect"]:
                self._suspect(slot, slot.assignment)
            else:
                slot.lost_trials.clear()
            done = Done(slot.device, slot.assignment)
            slot.assignment, slot.leaving = None, message["leaving"]  # the next Attempt is its successor's
            yield done

    def _died(self, slot: _Slot, worker: WorkerProcess) -> Iterator[Event]:
        """Replace a Worker that is gone; what it was training is lost."""
        self._selector.unregister(worker.connection)
        how, last_words = worker.end()
        slot.worker, assignment, slot.assignment = None, slot.assignment, None
        if assignment is not None:
            if slot.ready and not worker.was_shot:
                self._suspect(slot, assignment)
            yield Lost(slot.device, assignment, how, last_words, has_begun=slot.ready)
        if not self._replacing:
            return
        slot.failed_starts += not slot.ready
        why = _why_retired(slot)
        if not why:
            self._spawn(slot)
            return
        last = (last_words.strip().splitlines() or ["it wrote nothing"])[-1]
        self._retired = f"{why} ({how}): {last}"
        yield Retired(slot.device, self._retired)

    def _suspect(self, slot: _Slot, assignment: Assignment) -> None:
        """Note that a trial was lost on a Device; of one that was lost before, the Recipe may be the cause."""
        if assignment.trial not in self._lost_before:
            self._lost_before.add(assignment.trial)
            slot.lost_trials.add(assignment.trial)

    def _given_up(self, slot: _Slot) -> Iterator[Event]:
        """Leave a Device alone whose driver keeps a dead Worker."""
        assert slot.worker is not None
        self._selector.unregister(slot.worker.connection)
        slot.worker.connection.close()
        slot.worker, assignment, slot.assignment = None, slot.assignment, None
        how = "the Worker cannot be killed, so its driver hangs"
        if assignment is not None:
            yield Lost(slot.device, assignment, how, "", has_begun=slot.ready)
        self._retired = f"{slot.device.label} gets no more work: {how}; restart the machine"
        yield Retired(slot.device, self._retired)

    def cut(self, device: Device, why: str) -> None:
        slot = self._slots[device.uuid]
        if slot.worker is not None and slot.assignment is not None:
            slot.worker.send({"cut": why})

    def stop(self, now: bool) -> None:
        self._replacing = self._replacing and not now
        for slot in self._slots.values():
            if slot.worker is None:
                continue
            if now:
                slot.worker.kill()
            elif slot.assignment is not None:
                slot.worker.send({"stop": True})

    def close(self) -> None:
        for slot in self._slots.values():
            if slot.worker is not None:
                slot.worker.close()
        self._selector.close()


def _why_retired(slot: _Slot) -> str:
    if slot.failed_starts == MOST_FAILED_STARTS:
        return f"the Worker of {slot.device.label} does not start"
    if len(slot.lost_trials) == MOST_LOST_TRIALS:
        return f"{slot.device.label} gets no more work, since {MOST_LOST_TRIALS} trials in a row were lost on it"
    return ""
