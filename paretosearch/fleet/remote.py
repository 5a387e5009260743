"""Workers on the nodes of a Ray cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from paretosearch.device import Device
from paretosearch.errors import DeviceError, ParetosearchError
from paretosearch.files import replacing
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Done, Event, Joined, Lost, Retired, Waiting
from paretosearch.fleet.checkpoints import files_of, forget
from paretosearch.fleet.local import MOST_FAILED_STARTS
from paretosearch.fleet.nodes import Berth, dismiss, is_alive, post, reason
from paretosearch.fleet.reports import Report, Told

#: How long a Station waits for news of its Worker before it says that there are none; orders wait as long at most.
TURN_SECONDS = 0.5

#: A Station that was waited for this long is given up. Ray notices by itself what dies, and in a minute a node that
#: is cut off; this is for the rest.
SILENT_SECONDS = 120.0

#: The same, once the user wants an end.
PATIENCE_SECONDS = 10.0


@dataclass
class _Slot:
    berth: Berth
    device: Device
    assignment: Assignment | None = None
    unwritten: Told | None = None  # an Outcome that the disk has not taken yet
    calls: deque[Any] = field(default_factory=deque)
    is_idle: bool = False
    is_busy: bool = False
    has_started: bool = False
    failed_starts: int = 0
    silent_seconds: float = 0.0

    @property
    def is_there(self) -> bool:
        return self.berth.station is not None

    def dismiss(self) -> None:
        """End the Station, and forget what it was to do."""
        dismiss(self.berth)
        self.calls.clear()
        self.is_idle = self.is_busy = False

    def order(self, verb: str, *arguments: object) -> None:
        """Have the Station do something, after what it has to do already; its Report is a reply among others."""
        if self.is_there:
            self.calls.append(getattr(self.berth.station, verb).remote(*arguments))


class RayFleet:
    """A Worker process for every Device of the cluster, kept by an actor on the Device's node.

    Whatever becomes of a Worker its Station reports as a `LocalFleet` would. This Fleet brings Outcomes to the
    Launcher's spool, and knows what to do when a Station or a whole node is gone.

    Args:
        berths: Devices and their Stations; those that are replaced are replaced there.
        folder: Spool folder of the study, on this machine.
        remote_folder: Name of the folder of each node for what Workers write there.
        newcomers: Gives the Devices, with their Stations, of nodes that have come since its last call.
    """

    def __init__(
        self,
        berths: Sequence[Berth],
        folder: Path,
        remote_folder: str,
        newcomers: Callable[[], Iterable[Berth]] = tuple,
    ) -> None:
        self._slots = {berth.device.uuid: _Slot(berth, berth.device) for berth in berths if berth.device is not None}
        self._folder, self._remote_folder = folder, remote_folder
        self._newcomers = newcomers
        self._welcoming = self._replacing = True
        self._obituary = ""

    @property
    def devices(self) -> Sequence[Device]:
        return [slot.device for slot in self._slots.values()]

    def start(self) -> None:
        for slot in self._slots.values():
            self._start(slot)
            slot.is_idle = True  # it has just answered; what it is given waits until its Worker is there

    def _start(self, slot: _Slot) -> None:
        slot.is_idle, slot.is_busy, slot.has_started, slot.silent_seconds = False, True, False, 0.0
        slot.order("start", slot.device, self._remote_folder)

    def idle(self) -> Sequence[Device]:
        if self._obituary:
            raise DeviceError(self._obituary)
        return [s.device for s in self._slots.values() if s.is_there and s.is_idle and s.assignment is None]

    def is_busy(self) -> bool:
        return any(s.is_there and (s.is_busy or s.assignment is not None) for s in self._slots.values())

    def assign(self, device: Device, assignment: Assignment) -> None:
        slot = self._slots[device.uuid]
        assert slot.is_idle
        assert slot.assignment is None
        slot.assignment = assignment
        slot.order("assign", assignment, self._checkpoint(assignment))

    def _checkpoint(self, assignment: Assignment) -> bytes | None:
        if assignment.checkpoint_seconds is None:
            return None
        newest, _ = files_of(self._folder, assignment.trial, assignment.recipe.seed)
        return newest.read_bytes() if newest.exists() else None

    def poll(self, seconds: float) -> Sequence[Event]:
        joined = [event for berth in self._newcomers() for event in self._join(berth)] if self._welcoming else []
        written = [event for slot in self._slots.values() if slot.unwritten for event in self._written(slot)]
        for slot in self._slots.values():
            if not slot.calls:
                slot.order("poll", TURN_SECONDS)
        events: list[Event] = [
            *joined,
            *written,
            *(event for slot in self._heard(seconds) for event in self._news(slot)),
        ]
        retired = [event for event in events if isinstance(event, Retired)]
        if retired and not any(slot.is_there for slot in self._slots.values()):
            self._obituary = retired[-1].message
        return events

    def _join(self, berth: Berth) -> Iterator[Event]:
        """Start the Worker of a Device of a new node, which may be one that has come back."""
        assert berth.device is not None
        before = self._slots.get(berth.device.uuid)
        if before is not None:
            yield from self._retired(before, f"node {before.berth.node.name} has come back as another")
        slot = self._slots[berth.device.uuid] = _Slot(berth, berth.device)
        self._start(slot)
        yield Joined(slot.device)

    def _heard(self, seconds: float) -> Sequence[_Slot]:
        """Wait for a Station to answer; gives those that have, and those that have not for too long."""
        waiting = {slot.calls[0]: slot for slot in self._slots.values() if slot.calls}
        if not waiting:
            return []
        begin = time.monotonic()
        ray.wait(list(waiting), num_returns=1, timeout=seconds)
        waited = time.monotonic() - begin
        answered, silent = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        limit = SILENT_SECONDS if self._replacing else PATIENCE_SECONDS
        for call in silent:
            waiting[call].silent_seconds += waited
        return [waiting[c] for c in (*answered, *silent) if c in answered or waiting[c].silent_seconds > limit]

    def _news(self, slot: _Slot) -> Iterator[Event]:
        who = f"the actor of {slot.device.label} on {slot.device.host}"
        try:
            wire = ray.get(slot.calls[0], timeout=0)
            report = Report.from_wire(wire, slot.device, slot.assignment)
        except ray.exceptions.GetTimeoutError:
            yield from self._gone(slot, f"{who} has not answered for {slot.silent_seconds:.0f} s", "")
        except ray.exceptions.RayTaskError as error:
            yield from self._gone(slot, f"{who} failed: {reason(error)}", str(error))
        except ray.exceptions.RayError as error:
            yield from self._gone(slot, f"{who} died", str(error))
        except ParetosearchError as error:
            yield from self._gone(slot, f"{who} is not to be understood: {error}", "")
        else:
            slot.calls.popleft()
            yield from self._reported(slot, report)

    def _reported(self, slot: _Slot, report: Report) -> Iterator[Event]:
        slot.has_started, slot.failed_starts, slot.silent_seconds = True, 0, 0.0
        slot.is_idle, slot.is_busy = report.is_idle, report.is_busy
        if report.checkpoint is not None and slot.assignment is not None:
            self._keep(slot.assignment, report.checkpoint)
        for told in report.told:
            if isinstance(told.event, Retired):
                yield from self._retired(slot, told.event.message)
                return
            if isinstance(told.event, Done | Lost):
                slot.unwritten = told
                yield from self._written(slot)
            else:
                yield told.event

    def _written(self, slot: _Slot) -> Iterator[Event]:
        """Bring the Outcome of an Attempt that has ended to the spool, or say that its disk does not take it yet."""
        told, assignment = slot.unwritten, slot.assignment
        assert told is not None
        assert assignment is not None
        try:
            self._ended(told)
        except OSError as error:
            yield Waiting(slot.device, assignment, f"{self._folder}: {error.strerror}; make some room")
            return
        slot.unwritten = slot.assignment = None
        yield told.event

    def _keep(self, assignment: Assignment, checkpoint: bytes) -> None:
        """Keep a checkpoint here, from where it gets to whichever node goes on with the training."""
        newest, _ = files_of(self._folder, assignment.trial, assignment.recipe.seed)
        with suppress(OSError), replacing(newest, private=True) as file:  # it is worth less than the training
            file.write(checkpoint)

    def _ended(self, told: Told) -> None:
        """Bring an Outcome to the spool of this machine; one that is not to be gone on with needs no checkpoint."""
        assert isinstance(told.event, Done | Lost)
        assignment = told.event.assignment
        if told.outcome is None:
            return
        spool.write(self._folder, assignment.attempt, told.outcome)
        if told.outcome.status != "stopped":
            forget(self._folder, assignment.trial, assignment.recipe.seed)

    def _gone(self, slot: _Slot, how: str, detail: str) -> Iterator[Event]:
        """Replace a Station that is gone, unless its node is; what it was training is lost."""
        node = slot.berth.node
        is_node_gone = not is_alive(node)
        how = f"node {node.name} is gone" if is_node_gone else how
        slot.dismiss()
        yield from self._lost(slot, how, detail)
        if not self._replacing:
            return
        slot.failed_starts += not slot.has_started
        if is_node_gone or slot.failed_starts >= MOST_FAILED_STARTS:
            yield from self._retired(slot, f"{slot.device.label} gets no more trials: {how}")
        else:
            slot.berth.station = post(node, slot.berth.cores)
            self._start(slot)

    def _lost(self, slot: _Slot, how: str, detail: str) -> Iterator[Event]:
        if slot.unwritten is not None:
            return  # its Attempt had ended
        if slot.assignment is not None:
            yield Lost(slot.device, slot.assignment, how, detail)
        slot.assignment = None

    def _retired(self, slot: _Slot, message: str) -> Iterator[Event]:
        slot.dismiss()
        yield from self._lost(slot, message, "")
        yield Retired(slot.device, message)

    def cut(self, device: Device, why: str) -> None:
        slot = self._slots[device.uuid]
        if slot.assignment is not None:
            slot.order("cut", why)

    def stop(self, now: bool) -> None:
        self._welcoming, self._replacing = False, self._replacing and not now
        for slot in self._slots.values():
            slot.order("stop", now)

    def close(self) -> None:
        """End the Workers; the Stations, which hold the Devices, stay."""
        calls = [slot.berth.station.close.remote() for slot in self._slots.values() if slot.is_there]
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=PATIENCE_SECONDS)
