"""The process that trains Attempts on one Device, one after another.

Started by `fleet.process` through `fleet.start`, with the arguments FD, DEVICE and SPOOL: it reads assignments as JSON
lines from the socket FD, writes Outcomes to the spool folder, and says on the socket what it does. It never sees the
database. After a failed Attempt it leaves, because an exception can keep device memory alive.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import socket
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from paretosearch.device import Device
from paretosearch.errors import DataError, DeviceError, DivergedError, RecipeError
from paretosearch.fleet import checkpoints, spool
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.checkpoints import Checkpoints, Keeper, log
from paretosearch.fleet.drift import DriftWatch
from paretosearch.fleet.keeping import keep
from paretosearch.fleet.mail import Mail
from paretosearch.fleet.patience import WAIT_SECONDS, minutes
from paretosearch.fleet.strangers import Watch
from paretosearch.outcome import EpochResult, FailureClass, Outcome, failed

if TYPE_CHECKING:
    import torch

    from paretosearch.data import ImageSet
    from paretosearch.training.checkpoint import Checkpoint

#: A Worker leaves after this many Attempts, so that nothing it slowly leaks lives for days.
ATTEMPTS_OF_A_WORKER = 200

#: More than torch hands to one thread at a time, so that a test of so many for each reaches all of them.
ENTRIES_OF_A_THREAD = 1 << 17

#: What torch says of too little memory on a GPU in errors that are no OutOfMemoryError, and of too little on the host.
OUT_OF_MEMORY = ("CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")
NO_HOST_MEMORY = "can't allocate memory"

#: How much sooner than others the kernel ends a Worker where memory is short; the Launcher is to live on.
SOONER = 500

#: Seconds between two tries to write an Outcome: somebody may make room on a full disk.
AGAIN_SECONDS = 5.0


class _StoppedError(Exception):
    """The Launcher asked for an end after this epoch, and maybe said why."""


def main(arguments: list[str]) -> None:
    """Serve assignments until the socket closes."""
    descriptor, plain, folder = arguments
    device = Device.from_plain(json.loads(plain))
    own_the_cores(device)
    limit_memory(device)
    worker = _Worker(Mail(socket.socket(fileno=int(descriptor))), device, Path(folder))
    _touch(device)
    worker.mail.send({"ready": os.getpid()})
    worker.serve()


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


def limit_memory(device: Device) -> None:
    """Let an allocation that this host cannot serve be an error here, instead of the end of some other process."""
    with suppress(OSError):  # where there is no such file, or a sandbox forbids it
        Path("/proc/self/oom_score_adj").write_text(str(SOONER), encoding="ascii")
    if device.kind == "cpu":  # a GPU's driver maps more than there is
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = device.memory_bytes if hard == resource.RLIM_INFINITY else min(device.memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


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


class _Worker:
    def __init__(self, mail: Mail, device: Device, folder: Path) -> None:
        self.mail, self._device, self._folder = mail, device, folder
        self._last_epoch = 0
        self._epochs: list[EpochResult] = []
        self._called: bool | None = None
        self._watch, self._drift = Watch(device), DriftWatch.of(torch_device(device))

    def serve(self) -> None:
        attempts = 0
        while (message := self.mail.receive()) is not None:
            if "train" not in message:
                continue  # a wish to stop that came between two Attempts
            attempts += 1
            assignment = Assignment.from_plain(message["train"])
            outcome = self._attempt(assignment)
            self._write(assignment.attempt, outcome)
            if outcome.status != "stopped":
                checkpoints.forget(self._folder, assignment.trial, assignment.recipe.seed)
            leaving = outcome.status == "failed" or attempts == ATTEMPTS_OF_A_WORKER
            suspect = outcome.failure == "infrastructure"  # maybe the Device, and not the Recipe
            self.mail.send({"done": assignment.attempt, "leaving": leaving, "suspect": suspect})
            if leaving:
                return

    def _write(self, attempt: int, outcome: Outcome) -> None:
        """Put an Outcome into the spool, as soon as the disk takes it."""
        given_up = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                spool.write(self._folder, attempt, outcome)
                return
            except OSError as error:
                if time.monotonic() > given_up:
                    raise
                full = f"{self._folder}: {error.strerror}{_room(self._folder)}"
                self.mail.send({"waiting": f"{full}; make some room within {minutes(WAIT_SECONDS)}"})
                time.sleep(AGAIN_SECONDS)

    def _attempt(self, assignment: Assignment) -> Outcome:
        try:
            return self._trained(assignment)
        except _StoppedError as stop:
            return self._ended_early(str(stop))
        except DataError as error:  # no fault of the Recipe, which is to be trained when the images are back
            return Outcome("stopped", "data", str(error), traceback.format_exc())
        except Exception as error:  # whatever a Recipe raises costs only itself
            detail = traceback.format_exc()
            log(detail)
            return failed(failure_class(error), f"{type(error).__name__}: {error}", detail)

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
        self._last_epoch, self._epochs = recipe.total_epochs, []
        images = _images(recipe.dataset, recipe.image_size, assignment.data_digest)
        self._watch = Watch(self._device)
        is_replay = assignment.replay is not None
        self._drift.begin(is_replay)
        if assignment.replay is not None:
            return self._watched(replay(recipe, images, device, assignment.replay), is_replay)
        keeper = self._keeper(assignment)
        state = self._continued(keeper) if keeper else None
        trained = train(recipe, images, device, self._epoch, assignment.with_test, state, keeper)
        outcome = self._watched(trained.outcome, is_replay)
        if assignment.keep is not None:
            left_out = keep(trained.model, recipe, images, assignment.keep, assignment.onnx)
            outcome = replace(outcome, message="; ".join(left_out))
        return outcome

    def _watched(self, outcome: Outcome, is_replay: bool) -> Outcome:
        """Say of an Outcome whether another program computed beside it, and whether the Device was as fast as usual."""
        self._watch.look()
        return self._drift.end(replace(outcome, noisy=outcome.noisy or self._watch.disturbed), is_replay)

    def _keeper(self, assignment: Assignment) -> Keeper | None:
        if assignment.checkpoint_seconds is None:
            return None
        files = Checkpoints(self._folder, assignment.trial, assignment.recipe, self._device)
        # What the Launcher has to say may be the end, and then nothing is to be trained twice.
        return Keeper(files, assignment.checkpoint_seconds, self._is_called)

    def _is_called(self) -> bool:
        """Whether the Launcher has something to say; whoever asks, the answer is the same until the epoch is over."""
        if self._called is None:
            self._called = self.mail.has_more()
        return self._called

    def _continued(self, keeper: Keeper) -> Checkpoint | None:
        """Give the state from which to go on, having said what was reached before; None begins anew."""
        state = keeper.last()
        for plain in state["epochs"] if state else ():
            self._reached(EpochResult(**plain))
        return state

    def _reached(self, result: EpochResult) -> None:
        self._epochs.append(result)
        self.mail.send({"epoch": result.__dict__})

    def _epoch(self, result: EpochResult) -> None:
        self._reached(result)
        self._watch.look()
        is_called, self._called = self._is_called(), None
        if is_called and result.epoch < self._last_epoch:
            raise _StoppedError((self.mail.receive() or {}).get("cut", ""))


def _room(folder: Path) -> str:
    try:
        return f", {shutil.disk_usage(folder).free} bytes are free"
    except OSError:
        return ""


def _release_memory() -> None:
    """Free what the training before has left in reference cycles, before another one is measured."""
    import torch

    gc.collect()
    gc.freeze()  # what is left stays: libraries, the data set; looking through them again takes a sixth of a second
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@lru_cache(maxsize=1)
def _images(dataset: str, image_size: int, digest: str | None) -> ImageSet:
    from paretosearch import data

    return data.load(dataset, image_size, digest=digest)


def failure_class(error: Exception) -> FailureClass:
    """Say what kind of failure an exception is; only the infrastructure's are worth another try."""
    import torch

    said = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(words in said for words in OUT_OF_MEMORY):
        return "out_of_memory"
    if isinstance(error, MemoryError) or NO_HOST_MEMORY in said:
        return "host_memory"
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, RecipeError):
        return "invalid"
    of_the_host = isinstance(error, OSError | DeviceError) or "CUDA error" in said
    return "infrastructure" if of_the_host else "bug"
