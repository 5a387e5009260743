"""Faults inside the processes of a launch: a note of everything that happens, and a death at a chosen moment.

The processes run the program as it is. Those of a test have a ``sitecustomize`` on their path that calls `arm`, which
wraps functions of ours where something could go wrong between two of them.
"""

from __future__ import annotations

import datetime
import importlib.abc
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Self

#: Puts a function around another.
Wrap = Callable[[Any], Any]

#: Where everything is noted, as lines of JSON.
HISTORY = "PARETOSEARCH_TEST_HISTORY"

#: Name of the crash point at which to die, with the number of the time: ``told:2``.
CRASH = "PARETOSEARCH_TEST_CRASH"

#: What is to strike which training, as a JSON object from the number of a Trial, the label of a Device or ``*`` to the
#: name of one of `STRIKES`.
STRIKE = "PARETOSEARCH_TEST_STRIKE"

#: Seed of the steps of the clock, by up to an hour to both sides every time that it is looked at.
STEPS = "PARETOSEARCH_TEST_CLOCK"


@dataclass(frozen=True)
class CrashPoint:
    """A moment at which a process may die.

    Args:
        name: What has just happened, or is about to.
        module: Module of the function.
        function: Its name, with its class.
        before: Whether to die before it is called instead of after.
    """

    name: str
    module: str
    function: str
    before: bool = False


#: Between any two of them there is one write, to a disk or to a socket.
CRASH_POINTS = (
    CrashPoint("ask", "paretosearch.search.study", "Search.ask", before=True),
    CrashPoint("asked", "paretosearch.search.study", "Search.ask"),
    CrashPoint("started", "paretosearch.store.store", "Store.start_attempt"),
    CrashPoint("assigned", "paretosearch.fleet.local", "LocalFleet.assign"),
    CrashPoint("result", "paretosearch.store.store", "Store.finish_attempt", before=True),
    CrashPoint("stored", "paretosearch.store.store", "Store.finish_attempt"),
    CrashPoint("told", "paretosearch.search.study", "Search.tell"),
    CrashPoint("on the front", "paretosearch.store.store", "Store.record_front"),
    CrashPoint("deleted", "paretosearch.fleet.spool", "delete"),
    CrashPoint("spooling", "paretosearch.fleet.spool", "_encoded"),
    CrashPoint("spooled", "paretosearch.fleet.spool", "write"),
)


def _out_of_device_memory() -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def _out_of_host_memory() -> None:
    import torch

    torch.zeros(1 << 45)  # 128 TiB


def _device_error() -> None:
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")


def _bug() -> None:
    raise ZeroDivisionError("what should never have happened")


def _images_gone() -> None:
    """Take the images away from a Worker, as if it had just been started in place of another."""
    from paretosearch.fleet import worker

    Path("images").rename("images.away")
    worker._images.cache_clear()


#: What may happen to a training.
STRIKES: dict[str, Callable[[], object]] = {
    "device memory": _out_of_device_memory,
    "host memory": _out_of_host_memory,
    "bug": _bug,
    "device error": _device_error,
    "slow": partial(time.sleep, 3.0),
    "abort": os.abort,
    "segmentation fault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": partial(os._exit, 3),
    "images gone": _images_gone,
}


def arm() -> None:
    """Wrap the functions that are noted, or at which to die, as soon as their modules are imported."""
    wrappers: dict[str, list[tuple[str, Wrap]]] = {}
    if path := os.environ.get(HISTORY):
        for module, function, noting in _NOTED:
            wrappers.setdefault(module, []).append((function, partial(noting, path=Path(path))))
    if wish := os.environ.get(CRASH):
        name, time = wish.rsplit(":", 1)
        point = next(point for point in CRASH_POINTS if point.name == name)
        wrappers.setdefault(point.module, []).append((point.function, partial(_deadly, point=point, time=int(time))))
    if steps := os.environ.get(STEPS):
        _step_clock(random.Random(int(steps)))
    if strikes := os.environ.get(STRIKE):
        striking = partial(_struck, strikes=json.loads(strikes))
        wrappers.setdefault("paretosearch.fleet.worker", []).append(("_Worker._trained", striking))
    sys.meta_path.insert(0, _Wrapping(wrappers))


def _step_clock(chance: random.Random) -> None:
    """Let the time of day jump, as a suspended machine's or a corrected one's does."""
    real = time.time

    class Stepping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(stepped(), tz)

    def stepped() -> float:
        return real() + chance.uniform(-3600, 3600)

    time.time, datetime.datetime = stepped, Stepping  # type: ignore[misc]


def note(path: Path, event: str, **what: Any) -> None:
    """Append a line to a history; a line that was written stays, whoever dies."""
    line = json.dumps({"event": event, "pid": os.getpid(), **what}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _deadly(inner: Callable[..., Any], point: CrashPoint, time: int) -> Callable[..., Any]:
    calls = 0

    @wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if point.before and calls == time:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*args, **kwargs)
        if calls == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return outer


def _struck(inner: Callable[..., Any], strikes: dict[str, str]) -> Callable[..., Any]:
    @wraps(inner)
    def trained(worker: Any, assignment: Any) -> Any:
        for whom in (str(assignment.trial), worker._device.label, "*"):
            if whom in strikes:
                STRIKES[strikes[whom]]()
        return inner(worker, assignment)

    return trained


def _noting_asked(inner: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def ask(*args: Any) -> Any:
        asked = inner(*args)
        note(path, "asked", trial=asked.trial)
        return asked

    return ask


def _noting_started(inner: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def start_attempt(store: Any, study: str, trial: int, device: Any, recipe: Any, *more: Any) -> Any:
        attempt = inner(store, study, trial, device, recipe, *more)
        note(path, "started", attempt=attempt, trial=trial, seed=recipe.seed, device=device.uuid)
        return attempt

    return start_attempt


def _noting_training(inner: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def attempt(worker: Any, assignment: Any) -> Any:
        note(path, "training", attempt=assignment.attempt)
        return inner(worker, assignment)

    return attempt


def _noting_spooled(inner: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def write(folder: Path, attempt: int, outcome: Any) -> None:
        inner(folder, attempt, outcome)
        values = outcome.objectives if outcome.status == "complete" else None
        note(path, "spooled", attempt=attempt, status=outcome.status, values=values)

    return write


def _noting_told(inner: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def tell(search: Any, trial: int, objectives: Any, *more: Any) -> None:
        inner(search, trial, objectives, *more)
        note(path, "told", trial=trial, values=objectives)

    return tell


_NOTED = (
    ("paretosearch.search.study", "Search.ask", _noting_asked),
    ("paretosearch.store.store", "Store.start_attempt", _noting_started),
    ("paretosearch.fleet.worker", "_Worker._attempt", _noting_training),
    ("paretosearch.fleet.spool", "write", _noting_spooled),
    ("paretosearch.search.study", "Search.tell", _noting_told),
)


class _Wrapping(importlib.abc.MetaPathFinder):
    """Lets modules be imported as ever, and then wraps some of their functions."""

    def __init__(self, wrappers: dict[str, list[tuple[str, Wrap]]]) -> None:
        self._wrappers = wrappers

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in self._wrappers else None
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self._wrappers[fullname])
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, wrappers: list[tuple[str, Wrap]]) -> None:
        self._loader, self._wrappers = loader, wrappers

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for name, wrap in self._wrappers:
            *owners, function = name.split(".")
            owner = getattr(module, owners[0]) if owners else module
            setattr(owner, function, wrap(getattr(owner, function)))
