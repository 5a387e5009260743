"""Checkpoints as files: whole, or not believed."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paretosearch.device import Device
from paretosearch.files import parts, replacing
from paretosearch.recipe import Recipe

#: First line of a file, before the SHA-256 of what follows, in hexadecimal.
MAGIC = b"paretosearch checkpoint 1 "

#: No network of ours needs so much.
MOST_BYTES = 1 << 36

_HEADER = len(MAGIC) + 2 * hashlib.sha256().digest_size + 1


class Checkpoints:
    """The last two checkpoints of one training: should the newest be damaged, the one before is there.

    Args:
        folder: Where the files are.
        trial: Number of the Trial.
        recipe: What is trained.
        device: On what; seconds of another class would not add up with those of this one.
    """

    def __init__(self, folder: Path, trial: int, recipe: Recipe, device: Device) -> None:
        self._files = files_of(folder, trial, recipe.seed)
        # Another version may compute, or keep, things otherwise.
        self._mark = [recipe.digest, device.device_class, version("paretosearch"), version("torch")]

    def write(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint so that a crash at any moment leaves this one or the one before.

        Raises:
            OSError: If it cannot be written; the ones before are still there.
        """
        import torch

        newest, before = self._files
        content = io.BytesIO()
        torch.save({"mark": self._mark, "state": state}, content)
        payload = content.getbuffer()
        with replacing(newest, private=True) as file:
            file.write(MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())  # a full disk shows here, before the older ones are touched
            if newest.exists():
                newest.replace(before)

    def read(self) -> tuple[Mapping[str, Any] | None, list[str]]:
        """Read the newest checkpoint that can be believed.

        Returns:
            What was written, or None; and one line for each file that was passed over, with the reason.
        """
        passed_over: list[str] = []
        for path in self._files:
            try:
                return self._state(path), passed_over
            except FileNotFoundError:
                continue
            except (OSError, _UnusableError) as error:
                passed_over.append(f"{path.name} is passed over: {error}")
        return None, passed_over

    def _state(self, path: Path) -> Mapping[str, Any]:
        found = _content(path)
        if not isinstance(found, dict) or not isinstance(found.get("state"), dict):
            raise _UnusableError("it holds something else")
        if found.get("mark") != self._mark:
            raise _UnusableError("it is of another recipe, class of device or version")
        state: Mapping[str, Any] = found["state"]
        return state


class Keeper:
    """Writes a checkpoint now and then; to be called with the state after every epoch.

    Args:
        files: Where to.
        every: Seconds between two of them.
        is_due: Whether one is to be written whatever the time.
    """

    def __init__(self, files: Checkpoints, every: float, is_due: Callable[[], bool]) -> None:
        self._files, self._every, self._is_due = files, every, is_due
        self._written = time.monotonic()

    def last(self) -> Mapping[str, Any] | None:
        """Read the checkpoint from which to go on; what cannot be used is named on stderr."""
        state, passed_over = self._files.read()
        for line in passed_over:
            print(line, file=sys.stderr, flush=True)
        return state

    def __call__(self, state: Mapping[str, Any]) -> None:
        """Write the state, if it is time."""
        if time.monotonic() - self._written < self._every and not self._is_due():
            return
        try:
            self._files.write(state)
        except OSError as error:  # the training is worth more than its checkpoint
            print(f"no checkpoint is written: {error}", file=sys.stderr, flush=True)
        self._written = time.monotonic()


class _UnusableError(Exception):
    """A file is no checkpoint that a training could go on from."""


def _content(path: Path) -> Any:
    import torch

    if path.is_symlink():
        raise _UnusableError("it is a link")
    if path.stat().st_size > MOST_BYTES:
        raise _UnusableError("it is too large")
    data = path.read_bytes()
    header, payload = data[:_HEADER], memoryview(data)[_HEADER:]
    if header != MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        raise _UnusableError("it is damaged")
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # of whatever kind: it is a file, and files may hold anything
        raise _UnusableError(str(error).strip().splitlines()[0] if str(error).strip() else repr(error)) from None


def files_of(folder: Path, trial: int, seed: int) -> tuple[Path, Path]:
    """Name the files of a training, the newest first."""
    name = f"checkpoint-{trial}-{seed}"
    return folder / f"{name}.pt", folder / f"{name}.before.pt"


def forget(folder: Path, trial: int, seed: int) -> None:
    """Delete the files of a training that has ended."""
    for path in files_of(folder, trial, seed):
        path.unlink(missing_ok=True)


def leftovers(folder: Path, running: set[tuple[int, int]]) -> Iterator[Path]:
    """Give the files in a folder that are of no training that runs, nor will go on, and those that were never whole.

    Args:
        folder: Where the files are.
        running: Number of the Trial and seed of each training that does.
    """
    yield from parts(folder)
    kept = {path for trial, seed in running for path in files_of(folder, trial, seed)}
    yield from (path for path in folder.glob("checkpoint-*") if path not in kept)
