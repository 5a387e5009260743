"""The process that trains Attempts on one Device, one after another.

Started by `fleet.process` as ``python -m paretosearch.fleet.worker FD LAUNCHER DEVICE SPOOL``: it reads assignments as
JSON lines from the socket FD, writes Outcomes to the spool folder, and says on the socket what it does. It never sees
the database. After a failed Attempt it leaves, because an exception can keep device memory alive.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretosearch.device import Device
from paretosearch.errors import DataError, DeviceError, DivergedError, RecipeError
from paretosearch.files import replacing
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import EpochResult, FailureClass, Outcome, failed
from paretosearch.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from paretosearch.data import ImageSet

#: A Worker leaves after this many Attempts, so that nothing it slowly leaks lives for days.
ATTEMPTS_OF_A_WORKER = 200

#: More than torch hands to one thread at a time, so that a test of so many for each reaches all of them.
ENTRIES_OF_A_THREAD = 1 << 17

#: What torch says of too little memory in errors that are no OutOfMemoryError.
OUT_OF_MEMORY = ("can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")


class _StoppedError(Exception):
    """The Launcher asked for an end after this epoch, and maybe said why."""


def main(arguments: list[str]) -> None:
    """Serve assignments until the socket closes."""
    descriptor, launcher, plain, folder = arguments
    _die_with(int(launcher))
    device = Device.from_plain(json.loads(plain))
    own_the_cores(device)
    worker = _Worker(_Mail(socket.socket(fileno=int(descriptor))), device, Path(folder))
    _touch(device)
    worker.mail.send({"ready": os.getpid()})
    worker.serve()


def _die_with(launcher: int) -> None:
    """Ask the kernel for a SIGKILL when the Launcher's main thread ends, and leave if it already has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the Launcher's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != launcher:
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


def _touch(device: Device) -> None:
    """Use the device once, so that one that does not work is a failed start and no failed Attempt."""
    import torch

    torch.zeros(1, device=torch_device(device)).item()
    if flushes_denormals() is False:
        raise DeviceError(f"not every thread of {device.label} flushes denormals to zero, so pruning would look slow")


def flushes_denormals() -> bool | None:
    """Whether all threads of this process flush denormals to zero; None if the processor cannot."""
    import torch

    if not torch.set_flush_denormal(True):
        return None
    smallest = torch.full((torch.get_num_threads() * ENTRIES_OF_A_THREAD,), 2.0**-126)
    return not bool((smallest * 0.5).any())


class _Mail:
    """JSON lines over a socket, which can say whether another one has come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = b""

    def send(self, message: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """Wait for a message; None when the socket is closed."""
        while b"\n" not in self._unread:
            received = self._connection.recv(1 << 16)
            if not received:
                return None
            self._unread += received
        line, self._unread = self._unread.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def has_more(self) -> bool:
        """Whether a message, or the end, is here already."""
        return bool(self._unread) or bool(select.select([self._connection], [], [], 0)[0])


class _Worker:
    def __init__(self, mail: _Mail, device: Device, folder: Path) -> None:
        self.mail, self._device, self._folder = mail, device, folder
        self._last_epoch = 0
        self._epochs: list[EpochResult] = []

    def serve(self) -> None:
        attempts = 0
        while (message := self.mail.receive()) is not None:
            if "train" not in message:
                continue  # a wish to stop that came between two Attempts
            attempts += 1
            assignment = Assignment.from_plain(message["train"])
            outcome = self._attempt(assignment)
            spool.write(self._folder, assignment.attempt, outcome)
            leaving = outcome.status == "failed" or attempts == ATTEMPTS_OF_A_WORKER
            self.mail.send({"done": assignment.attempt, "leaving": leaving})
            if leaving:
                return

    def _attempt(self, assignment: Assignment) -> Outcome:
        try:
            return self._trained(assignment)
        except _StoppedError as stop:
            return self._ended_early(str(stop))
        except Exception as error:  # whatever a Recipe raises costs only itself
            return failed(failure_class(error), f"{type(error).__name__}: {error}", traceback.format_exc())

    def _ended_early(self, why: str) -> Outcome:
        """Make the Outcome of an Attempt that the user stopped, or that is dominated whatever comes."""
        if not why:
            return Outcome("stopped", message="stopped by the user")
        epochs = tuple(self._epochs)
        return Outcome("dominated", message=why, train_seconds=epochs[-1].train_seconds, epochs=epochs)

    def _trained(self, assignment: Assignment) -> Outcome:
        from paretosearch.training import replay, train

        _release_memory()
        recipe, device = assignment.recipe, torch_device(self._device)
        self._last_epoch, self._epochs = recipe.epochs, []
        images = _images(recipe.dataset, recipe.image_size)
        if assignment.replay is not None:
            return replay(recipe, images, device, assignment.replay)
        trained = train(recipe, images, device, self._epoch, assignment.with_test)
        if assignment.keep is not None:
            _keep(trained.model, recipe, assignment.keep)
        return trained.outcome

    def _epoch(self, result: EpochResult) -> None:
        self._epochs.append(result)
        self.mail.send({"epoch": result.__dict__})
        if result.epoch < self._last_epoch and self.mail.has_more():
            raise _StoppedError((self.mail.receive() or {}).get("cut", ""))


def _release_memory() -> None:
    """Free what the training before has left in reference cycles, before another one is measured."""
    import torch

    gc.collect()
    gc.freeze()  # what is left stays: libraries, the data set; looking through them again takes a sixth of a second
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _keep(model: nn.Module, recipe: Recipe, folder: Path) -> None:
    import torch

    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    with replacing(folder / "weights.pt") as file:
        torch.save(weights, file)
    with replacing(folder / "recipe.json") as file:
        file.write(f"{recipe.to_json()}\n".encode())


@lru_cache(maxsize=1)
def _images(dataset: str, image_size: int) -> ImageSet:
    from paretosearch import data

    return data.load(dataset, image_size)


def failure_class(error: Exception) -> FailureClass:
    """Say what kind of failure an exception is; only the infrastructure's are worth another try."""
    import torch

    said = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in said for words in OUT_OF_MEMORY):
        return "out_of_memory"
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, RecipeError | DataError | DeviceError):
        return "invalid"
    return "infrastructure" if isinstance(error, OSError) or "CUDA error" in said else "bug"


if __name__ == "__main__":
    main(sys.argv[1:])
