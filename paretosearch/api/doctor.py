"""Says what will work on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from paretosearch import data, plugins
from paretosearch.device import Device, cpu_name
from paretosearch.errors import DeviceError, ParetosearchError
from paretosearch.fleet import devices, formats
from paretosearch.report.words import counted
from paretosearch.store import open_store, redacted, storage_url


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        what: The thing.
        verdict: ``good``, ``missing`` (something will not work) or ``note``.
        text: What was found, and what to do.
    """

    what: str
    verdict: Literal["good", "missing", "note"]
    text: str


def checks(storage: str | None = None, on_stage: Callable[[str], None] = lambda _: None) -> Iterator[Check]:
    """Look at everything that a launch and an export need; measures number formats, which may take a minute on each.

    Args:
        storage: Database URL; None is the default one.
        on_stage: Called with what comes next, where that takes long.

    Yields:
        Each check as soon as it is made.
    """
    yield from _versions()
    yield from _devices(on_stage)
    yield _store(storage)
    yield from _data_sets()
    yield _latex()


def _versions() -> Iterator[Check]:
    for name in ("paretosearch", "torch", "torchvision", "optuna"):
        yield Check(name, "good", version(name))


def _devices(on_stage: Callable[[str], None]) -> Iterator[Check]:
    found = devices.gpus()
    if not found:
        yield Check("GPU", "note", "none that the NVIDIA driver shows; trainings run on the CPU")
    for gpu in found:
        yield Check(gpu.label, "good", f"{gpu.name}, {gpu.memory_bytes >> 30} GiB, {gpu.uuid}")
    cores = len(os.sched_getaffinity(0))
    yield Check("CPU", "good", f"{cpu_name()}, {cores} cores")
    yield _fused_kernels()
    yield _integer_kernels()
    for label, wish in [(gpu.label, (str(gpu.index), None)) for gpu in found] + [("cpu", (None, "1"))]:
        yield from _formats(on_stage, label, *wish)


def _fused_kernels() -> Check:
    from paretosearch.training.fused import library

    found = library()
    if isinstance(found, str):
        return Check("fused kernels", "note", f"{found}; trainings on the CPU take longer without them")
    return Check("fused kernels", "good", "batch norm, shortcut and ReLU in one pass over memory")


def _integer_kernels() -> Check:
    from paretosearch.training.fixedpoint import choice, kernel

    found = kernel.library()
    if isinstance(found, str):
        return Check("integer kernels", "note", f"{found}; dfp16 is computed in fp32")
    relative = choice.relative_seconds(threads=1)
    used = "so dfp16 is computed by them" if relative < choice.WORTH_IT else "so dfp16 is computed in fp32"
    speed = f"{relative:.2f} x the seconds of convolutions in fp32"
    return Check("integer kernels", "good", f"{kernel.isa()}, {speed} on one core, {used}")


def _formats(on_stage: Callable[[str], None], label: str, gpus: str | None, cpu: str | None) -> Iterator[Check]:
    try:
        reservation = devices.Reservation(devices.wanted(gpus, cpu))
    except DeviceError as error:
        yield Check(f"{label} formats", "note", f"not measured: {error}")
        return
    try:
        device = reservation.devices[0]
        if not formats.is_measured(device):
            on_stage(f"measuring the number formats of {label} (once, for up to {formats.LIMIT_SECONDS:.0f} s)")
        yield from _verdicts(label, device)
    finally:
        reservation.release()


def _verdicts(label: str, device: Device) -> Iterator[Check]:
    for name, verdict in formats.verdicts(device).items():
        speed = f"{verdict.relative:.2f} x the seconds of fp32" if verdict.relative is not None else ""
        unless = ", unless a study says keep_slow_formats = true" if verdict.slow else ""
        text = f"left out{unless}: it {verdict.reason}" if verdict.reason else speed
        yield Check(f"{label} {name}", "note" if verdict.reason else "good", text)


def _store(storage: str | None) -> Check:
    try:
        url = storage_url(storage)
        file = url.removeprefix("sqlite:///")
        if file != url and not Path(file).exists():
            return Check("store", "note", f"{redacted(url)} is not there yet; the first launch makes it")
        count = len(open_store(url, create=False).studies())
    except ParetosearchError as error:
        return Check("store", "missing", str(error))
    return Check("store", "good", f"{redacted(url)}, {counted(count, 'study', 'studies')}")


def _data_sets() -> Iterator[Check]:
    for name in (*data.names(), *plugins.names(plugins.DATASETS)):
        where = data.where(name)
        yield Check(name, "good" if where else "note", where or f"not here yet: paretosearch data fetch {name}")


def _latex() -> Check:
    found = shutil.which("pdflatex")
    return Check("LaTeX", "good" if found else "note", found or "no pdflatex; only compiling an export needs it")


def row(check: Check) -> Table:
    """Show a check as a row that stands below the others, whatever they are: rows are shown one by one."""
    mark = {"good": "[green]ok[/]", "missing": "[red]missing[/]", "note": "[yellow]note[/]"}
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(width=len("missing"))
    shown.add_column(width=len("gpu 0 fp16-pure"), no_wrap=True)
    shown.add_column()
    shown.add_row(mark[check.verdict], check.what, Text(check.text))
    return shown
