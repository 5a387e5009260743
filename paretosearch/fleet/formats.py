"""Which number formats are worth searching on a device, by a short measurement that may not hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet.process import worker_environment
from paretosearch.recipe import NUMBER_FORMATS

#: A format this many times slower than fp32 is left out; smaller differences are the search's to find.
FAR_SLOWER = 1.5

#: The whole measurement, torch's start included, is killed after this long.
LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Verdict:
    """What a device makes of a number format.

    Args:
        usable: Whether to search it.
        relative: Seconds of a step relative to fp32; None if not measured.
        reason: Why it is left out; empty if it is usable.
    """

    usable: bool
    relative: float | None
    reason: str


def verdicts(device: Device, cache: Path | None = None) -> Mapping[str, Verdict]:
    """Measure every number format on a device, or remember an earlier measurement.

    Args:
        device: A device that nobody else uses now.
        cache: File to remember in; the user's cache folder if None.

    Returns:
        A verdict for every one of `NUMBER_FORMATS`.

    Raises:
        DeviceError: If not even fp32 could be measured.
    """
    cache = cache or user_cache_path("paretosearch") / "formats.json"
    key = f"{device.device_class}, torch {version('torch')}, driver {_driver(device)}"
    known = _read(cache)
    if key not in known:
        known[key] = {name: asdict(verdict) for name, verdict in _judge(_measure(device)).items()}
        _write(cache, known)
    return {name: Verdict(**plain) for name, plain in known[key].items()}


def _driver(device: Device) -> str:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text(encoding="utf-8").splitlines()[0] if device.kind == "cuda" and path.exists() else "none"


def _measure(device: Device) -> dict[str, dict[str, float | str]]:
    """Run the probe alone on the device; what it did not reach in time is missing."""
    command = [sys.executable, "-m", "paretosearch.training.probe", device.kind, str(max(1, len(device.cores)))]
    pin = (lambda: os.sched_setaffinity(0, device.cores)) if device.cores else None
    process = subprocess.Popen(
        command,
        env=worker_environment(device),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=pin,  # the one moment between fork and exec when the child can be pinned before it has threads
        text=True,
    )
    try:
        output, complaints = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, complaints = process.communicate()
    lines = [json.loads(line) for line in output.splitlines() if line.endswith("}")]
    measured = {line.pop("format"): line for line in lines}
    if "fp32" not in measured:  # not even the plainest one: that says nothing about the formats
        last = (complaints.strip().splitlines() or [f"nothing within {LIMIT_SECONDS:.0f} s"])[-1]
        raise DeviceError(f"the number formats of {device.label} could not be measured: {last}")
    return measured


def _judge(measured: Mapping[str, Mapping[str, float | str]]) -> dict[str, Verdict]:
    fp32 = float(measured["fp32"]["seconds"])
    return {name: _verdict(measured.get(name, {}), fp32) for name in NUMBER_FORMATS}


def _verdict(line: Mapping[str, float | str], fp32: float) -> Verdict:
    if "refused" in line:
        return Verdict(False, None, str(line["refused"]))
    if "seconds" not in line:
        return Verdict(False, None, f"gave no result within {LIMIT_SECONDS:.0f} s")
    relative = float(line["seconds"]) / fp32
    slow = relative > FAR_SLOWER
    return Verdict(not slow, relative, f"is {relative:.1f} times slower than fp32" if slow else "")


def _read(cache: Path) -> dict[str, dict[str, dict[str, Any]]]:
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(cache: Path, known: Mapping[str, object]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
    temporary.replace(cache)
