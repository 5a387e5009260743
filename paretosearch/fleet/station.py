"""One Device on a node of a cluster, as the actor that takes it there and keeps its Workers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from paretosearch.device import Device
from paretosearch.errors import DeviceError, LockedError
from paretosearch.fleet import formats, spool
from paretosearch.fleet.base import Assignment, Done, Event, Lost, Retired
from paretosearch.fleet.checkpoints import files_of, forget
from paretosearch.fleet.devices import Reservation, Wish, hold, installed_gpus, visible
from paretosearch.fleet.local import LocalFleet
from paretosearch.fleet.locks import device_lock_folder

#: Programs that must be the same on every node: others train in another way.
VERSIONED = ("paretosearch", "torch")

#: What a Station that died has locked is free again after moments, when the kernel has ended its Worker.
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Taken:
    """What a Station has taken.

    Args:
        device: The Device, with the number that it has on its node; None if it is not among those that are wanted.
        versions: Versions of ``VERSIONED`` there.
    """

    device: Device | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """What a Station has seen since it was asked last.

    Args:
        events: What happened.
        outcomes: For each Attempt that ended with an Outcome, that as JSON.
        checkpoints: For each Attempt that is to go on somewhere, its last checkpoint as a file.
        is_idle: Whether the Device can take an Attempt now.
        is_busy: Whether an Attempt is running, or a Worker is about to be replaced.
    """

    events: Sequence[Event]
    outcomes: Mapping[int, str]
    checkpoints: Mapping[int, bytes]
    is_idle: bool
    is_busy: bool


class Station:
    """A Device of this node, and a Fleet of this Device alone.

    Every Worker is the same process as in a launch without a cluster: it is pinned, replaced and mourned in the same
    way. What is added is the way of its news, and of its Outcomes, to the Launcher. It is to be an actor that does one
    thing after another in its main thread: a Worker dies with the thread that started it.

    Args:
        home: Working directory of the Launcher, which is gone to if it is here too: data sets may be named by it.
    """

    def __init__(self, home: str) -> None:
        with suppress(OSError):
            os.chdir(home)
        self._held: object = None
        self._fleet: LocalFleet | None = None

    def take(self, cores: int, numbers: Sequence[int] | None) -> Taken:
        """Take a Device that is free, for this Launcher alone.

        Args:
            cores: Width of a CPU slot; 0 takes the GPU that the cluster has given this actor.
            numbers: Numbers of the GPUs that are wanted; None for all of them.

        Raises:
            DeviceError: If it is in use by a launch of this machine, or there is none.
        """
        versions = {name: version(name) for name in VERSIONED}
        gpu = None if cores else _own_gpu()
        if gpu is not None and numbers is not None and gpu.index not in numbers:
            return Taken(None, versions)
        reservation = Reservation(Wish((gpu,) if gpu else (), (cores,) if cores else ()))
        self._held = reservation
        return Taken(reservation.devices[0], versions)

    def verdicts(self, device: Device, names: Sequence[str]) -> Mapping[str, formats.Verdict]:
        """Judge number formats on the Device."""
        return formats.verdicts(device, names)

    def start(self, device: Device, folder: str) -> Report:
        """Start a Worker, after taking a Device that an actor that died had.

        Args:
            device: The Device, with its number in the launch.
            folder: Name of the folder of this node for what the Workers write.

        Raises:
            DeviceError: If the Device is not to be had again.
        """
        self._held = self._held or _taken_again(device)
        place = device_lock_folder() / folder
        place.mkdir(mode=0o700, exist_ok=True)
        self._device, self._folder = device, place
        self._fleet = LocalFleet([device], place)
        self._fleet.start()
        return self._report([])

    def assign(self, assignment: Assignment, checkpoint: bytes | None = None) -> Report:
        """Give the Device an Attempt, and a checkpoint of it that was written elsewhere."""
        assert self._fleet is not None
        if checkpoint is not None:
            with suppress(OSError):  # a training is worth more than its checkpoint, whose checksum says if it is whole
                self._checkpoint(assignment).write_bytes(checkpoint)
        spool.delete(self._folder, assignment.attempt)  # of another database that numbered alike
        self._fleet.assign(self._device, assignment)
        return self._report([])

    def poll(self, seconds: float) -> Report:
        """Wait at most ``seconds`` for something to happen, and say what did."""
        assert self._fleet is not None
        try:
            return self._report(self._fleet.poll(seconds))
        except DeviceError as error:
            return self._report([Retired(self._device, str(error))])

    def cut(self, why: str) -> Report:
        """Let the Attempt end after its epoch."""
        assert self._fleet is not None
        self._fleet.cut(self._device, why)
        return self._report([])

    def stop(self, now: bool) -> Report:
        """Let the Attempt end after its epoch, or kill the Worker ``now``."""
        assert self._fleet is not None
        self._fleet.stop(now)
        return self._report([])

    def close(self) -> None:
        """End the Worker; the Device stays taken."""
        if self._fleet is not None:
            self._fleet.close()
        self._fleet = None

    def _report(self, events: Iterable[Event]) -> Report:
        assert self._fleet is not None
        events = tuple(events)
        outcomes: dict[int, str] = {}
        checkpoints: dict[int, bytes] = {}
        for assignment in [event.assignment for event in events if isinstance(event, Done | Lost)]:
            outcome = spool.read(self._folder, assignment.attempt)
            if outcome is not None:
                outcomes[assignment.attempt] = outcome.to_json()
                spool.delete(self._folder, assignment.attempt)
            with suppress(OSError):  # as there is none, or no need for one any more
                checkpoints[assignment.attempt] = self._checkpoint(assignment).read_bytes()
            forget(self._folder, assignment.trial, assignment.recipe.seed)
        return Report(events, outcomes, checkpoints, bool(self._fleet.idle()), self._fleet.is_busy())

    def _checkpoint(self, assignment: Assignment) -> Path:
        newest, _ = files_of(self._folder, assignment.trial, assignment.recipe.seed)
        return newest


def _own_gpu() -> Device:
    """Find the GPU that the cluster has given this process, with its number on the node.

    Raises:
        DeviceError: If the NVIDIA driver does not show it.
    """
    installed, named = installed_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    own = visible(installed, named)
    if not own:
        raise DeviceError(f"the NVIDIA driver shows no GPU {named!r}, which the cluster says is here")
    return next(gpu for gpu in installed if gpu.uuid == own[0].uuid)


def _taken_again(device: Device) -> object:
    if device.kind == "cuda" and (other := _own_gpu()).uuid != device.uuid:
        raise DeviceError(f"the cluster has given {device.label} to others, and offers {other.uuid} instead")
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return hold(device)
        except LockedError as error:
            if time.monotonic() > end:
                raise DeviceError(str(error)) from None
        time.sleep(0.1)


def prepare(home: str, data_sets: Sequence[tuple[str, int]]) -> None:
    """Get data sets to this node.

    Args:
        home: As for a Station.
        data_sets: Name and image size of each.

    Raises:
        DataError: If one is not to be had here.
    """
    from paretosearch import data

    with suppress(OSError):
        os.chdir(home)
    for name, image_size in data_sets:
        data.load(name, image_size)
