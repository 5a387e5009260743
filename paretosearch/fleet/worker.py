"""The process that trains Attempts on one Device, one after another.

Started by `fleet.local` as ``python -m paretosearch.fleet.worker FD DEVICE SPOOL``: it reads assignments as JSON lines
from the socket FD, writes Outcomes to the spool folder, and says on the socket what it does. It never sees the
database. After a failed Attempt it leaves, because an exception can keep device memory alive.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import traceback
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretosearch.device import Device
from paretosearch.errors import DataError, DeviceError, DivergedError, RecipeError
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import EpochResult, FailureClass, Outcome, failed
from paretosearch.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from paretosearch.data import ImageSet

#: A Worker leaves after this many Attempts, so that nothing it slowly leaks lives for days.
MOST_ATTEMPTS = 200


class _StoppedError(Exception):
    """The Launcher asked for an end after this epoch."""


def main(arguments: list[str]) -> None:
    """Serve assignments until the socket closes."""
    _die_with_parent()
    connection, folder = socket.socket(fileno=int(arguments[0])), Path(arguments[2])
    device = Device.from_plain(json.loads(arguments[1]))
    own_the_cores(device)
    worker = _Worker(connection, device, folder)
    worker.say({"ready": os.getpid()})
    worker.serve()


def _die_with_parent() -> None:
    """Ask the kernel for a SIGKILL when the Launcher's main thread ends, and leave if it already has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the Launcher's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() == 1:
        raise SystemExit(0)


def own_the_cores(device: Device) -> None:
    """Pin this process to its Device's cores, and set torch up before its first operation.

    Flush-to-zero is a setting of each thread, and threads that exist already do not take it over.
    """
    if device.cores:
        os.sched_setaffinity(0, device.cores)
    import torch

    torch.set_flush_denormal(True)
    torch.set_num_threads(max(1, len(device.cores)))
    if torch.get_num_interop_threads() > 1:  # may be set once in a process
        torch.set_num_interop_threads(1)


def torch_device(device: Device) -> torch.device:
    """Give torch's name for a Device, in a process that sees no other GPU."""
    import torch

    return torch.device("cuda:0" if device.kind == "cuda" else "cpu")


class _Worker:
    def __init__(self, connection: socket.socket, device: Device, folder: Path) -> None:
        self._connection, self._device, self._folder = connection, device, folder
        self._lines = connection.makefile("r", encoding="utf-8")

    def say(self, message: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def serve(self) -> None:
        for attempts in count():
            line = self._lines.readline()
            if not line:
                return
            message = json.loads(line)
            if "train" not in message:
                continue  # a wish to stop that came between two Attempts
            assignment = Assignment.from_plain(message["train"])
            outcome = self._attempt(assignment)
            spool.write(self._folder, assignment.attempt, outcome)
            leaving = outcome.status == "failed" or attempts >= MOST_ATTEMPTS
            self.say({"done": assignment.attempt, "leaving": leaving})
            if leaving:
                return

    def _attempt(self, assignment: Assignment) -> Outcome:
        try:
            return self._trained(assignment)
        except _StoppedError:
            return Outcome("stopped", message="stopped by the user")
        except Exception as error:  # whatever a Recipe raises costs only itself
            return failed(failure_class(error), f"{type(error).__name__}: {error}", traceback.format_exc())

    def _trained(self, assignment: Assignment) -> Outcome:
        from paretosearch.training import train

        recipe = assignment.recipe
        images = _images(recipe.dataset, recipe.image_size)
        trained = train(recipe, images, torch_device(self._device), self._epoch, assignment.with_test)
        if assignment.keep is not None:
            _keep(trained.model, recipe, assignment.keep)
        return trained.outcome

    def _epoch(self, result: EpochResult) -> None:
        self.say({"epoch": result.__dict__})
        readable, _, _ = select.select([self._connection], [], [], 0)
        if readable:
            raise _StoppedError


def _keep(model: nn.Module, recipe: Recipe, folder: Path) -> None:
    import torch

    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, folder / "weights.pt")
    (folder / "recipe.json").write_text(recipe.to_json() + "\n", encoding="utf-8")


@lru_cache(maxsize=1)
def _images(dataset: str, image_size: int) -> ImageSet:
    from paretosearch import data

    return data.load(dataset, image_size)


def failure_class(error: Exception) -> FailureClass:
    """Say what kind of failure an exception is; only the infrastructure's are worth another try."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        return "out_of_memory"
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, RecipeError | DataError | DeviceError):
        return "invalid"
    return "infrastructure" if isinstance(error, OSError) else "bug"


if __name__ == "__main__":
    main(sys.argv[1:])
