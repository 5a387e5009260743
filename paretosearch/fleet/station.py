"""One Device on a node of a cluster, as the actor that takes it there and keeps its Workers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paretosearch.device import Device
from paretosearch.errors import DeviceError, LockedError
from paretosearch.files import private_folder
from paretosearch.fleet import formats, spool
from paretosearch.fleet.base import Assignment, Done, Event, Fleet, Lost, Retired
from paretosearch.fleet.checkpoints import files_of, forget, leftovers
from paretosearch.fleet.devices import Reservation, Wish, hold, installed_gpus, visible
from paretosearch.fleet.local import LocalFleet
from paretosearch.fleet.locks import device_lock_folder
from paretosearch.fleet.pulse import LIMITS
from paretosearch.fleet.reports import Report, Told, Wire

#: A Device as `Device.to_plain` gives it, and versions by name: plain values, for a node with other programs.
Taken = tuple[dict[str, Any] | None, dict[str, str]]

#: Checkpoints take no more than this of the network, for each Device: that of a large network comes less often.
BYTES_PER_SECOND = 2 << 20

#: What a Station that died has locked is free again after moments, when the kernel has ended its Worker.
PATIENCE_SECONDS = 10.0


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
        self._assignment: Assignment | None = None
        self._brought: int | None = None  # when the checkpoint was written that the Launcher has
        self._bring_next = 0.0  # monotonic seconds

    def take(self, cores: int, numbers: Sequence[int] | None) -> Taken:
        """Take a Device that is free, for this Launcher alone.

        Args:
            cores: Width of a CPU slot; 0 takes the GPU that the cluster has given this actor.
            numbers: Numbers of the GPUs that are wanted; None for all of them.

        Returns:
            The Device, with the number that it has on its node, or None if it is not among those that are wanted; and
            the versions of this node's programs.

        Raises:
            DeviceError: If it is in use by a launch of this machine, or there is none.
        """
        gpu = None if cores else _own_gpu()
        if gpu is not None and numbers is not None and gpu.index not in numbers:
            return None, versions()
        reservation = Reservation(Wish((gpu,) if gpu else (), (cores,) if cores else ()))
        self._held = reservation
        return reservation.devices[0].to_plain(), versions()

    def verdicts(self, device: Device, names: Sequence[str]) -> Mapping[str, formats.Verdict]:
        """Judge number formats on the Device."""
        return formats.verdicts(device, names)

    def start(self, device: Device, folder: str) -> Wire:
        """Start a Worker, after taking a Device that an actor that died had.

        Args:
            device: The Device, with its number in the launch.
            folder: Name of the folder of this node for what the Workers write.

        Raises:
            DeviceError: If the Device is not to be had again.
        """
        self._held = self._held or _taken_again(device)
        self._device = device
        self._folder = private_folder(private_folder(device_lock_folder() / folder) / device.label.replace(" ", "-"))
        self._clean()
        self._fleet = LocalFleet([device], self._folder, LIMITS)
        self._fleet.start()
        return self._report([])

    def _clean(self) -> None:
        """Delete what an actor that died has left here; the Launcher has it, or has given it up."""
        for path in [*self._folder.glob("*.json"), *leftovers(self._folder, set())]:
            path.unlink(missing_ok=True)

    def assign(self, assignment: Assignment, checkpoint: bytes | None = None) -> Wire:
        """Give the Device an Attempt, and a checkpoint of it that was written elsewhere."""
        assert self._fleet is not None
        self._assignment, self._brought = assignment, None
        if checkpoint is not None:
            with suppress(OSError):  # a training is worth more than its checkpoint, whose checksum says if it is whole
                self._checkpoint(assignment).write_bytes(checkpoint)
                self._brought = self._checkpoint(assignment).stat().st_mtime_ns
        self._fleet.assign(self._device, assignment)
        return self._report([])

    def poll(self, seconds: float) -> Wire:
        """Wait at most ``seconds`` for something to happen, and say what did."""
        assert self._fleet is not None
        return self._report(self._fleet.poll(seconds))

    def cut(self, why: str) -> Wire:
        """Let the Attempt end after its epoch."""
        assert self._fleet is not None
        self._fleet.cut(self._device, why)
        return self._report([])

    def stop(self, now: bool) -> Wire:
        """Let the Attempt end after its epoch, or kill the Worker ``now``."""
        assert self._fleet is not None
        self._fleet.stop(now)
        return self._report([])

    def close(self) -> None:
        """End the Worker; the Device stays taken."""
        if self._fleet is not None:
            self._fleet.close()
            self._clean()
        self._fleet = None

    def _report(self, events: Sequence[Event]) -> Wire:
        assert self._fleet is not None
        ended = any(isinstance(event, Done | Lost | Retired) for event in events)
        told = [self._told(event) for event in events]
        checkpoint = self._newest_checkpoint(ended)
        if ended and self._assignment is not None:
            spool.delete(self._folder, self._assignment.attempt)
            forget(self._folder, self._assignment.trial, self._assignment.recipe.seed)
            self._assignment = None
        return Report(told, self._is_idle(self._fleet), self._fleet.is_busy(), checkpoint).to_wire()

    def _is_idle(self, fleet: Fleet) -> bool:
        try:
            return bool(fleet.idle())
        except DeviceError:  # which the Launcher has been told as a Retired
            return False

    def _told(self, event: Event) -> Told:
        if isinstance(event, Done | Lost):
            return Told(event, spool.read(self._folder, event.assignment.attempt))
        return Told(event)

    def _newest_checkpoint(self, ended: bool) -> bytes | None:
        """Read the Attempt's checkpoint, if it is another one than the Launcher has, and time to bring it there."""
        if self._assignment is None or self._assignment.checkpoint_seconds is None:
            return None
        if not ended and time.monotonic() < self._bring_next:
            return None
        path = self._checkpoint(self._assignment)
        try:
            written = path.stat().st_mtime_ns
            content = None if written == self._brought else path.read_bytes()
        except OSError:  # there is none, or no need for one any more
            return None
        if content is not None:
            self._brought = written
            self._bring_next = time.monotonic() + len(content) / BYTES_PER_SECOND
        return content

    def _checkpoint(self, assignment: Assignment) -> Path:
        newest, _ = files_of(self._folder, assignment.trial, assignment.recipe.seed)
        return newest


def versions() -> dict[str, str]:
    """Give the versions of what must be the same on every node: others train in another way."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"Python": python, **{name: version(name) for name in ("paretosearch", "torch")}}


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


def prepare(home: str, data_sets: Sequence[tuple[str, int, str | None]]) -> None:
    """Get data sets to this node.

    Args:
        home: As for a Station.
        data_sets: Name, image size and digest of each; None is any.

    Raises:
        DataError: If one is not to be had here, or holds other images.
    """
    from paretosearch import data

    with suppress(OSError):
        os.chdir(home)
    for name, image_size, digest in data_sets:
        data.load(name, image_size, digest=digest)
