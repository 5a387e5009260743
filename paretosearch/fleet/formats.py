"""Which number formats are worth searching on a device, by a short measurement that may not hang."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from paretosearch import measurements
from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet.process import worker_environment
from paretosearch.recipe import NUMBER_FORMATS, SIMULATED_FORMATS

#: From this many times the seconds of fp32 on a format counts as slower. What is no faster than fp32 and less exact is
#: on no front; but two measurements of one format on a machine that is busy with other things, the fastest of three
#: rounds each, were up to 7 % off their median. A format that is simulated must be faster by as much: there is no other
#: reason to search it.
SLOWER = 1.1

#: From here on no study may keep it: an hour of its fp32 trials would be most of a day.
HOPELESS = 20.0

#: The whole measurement, torch's start included, is killed after this long.
LIMIT_SECONDS = 60.0

#: What measures; the kind of device, its threads and the formats follow.
PROBE = (sys.executable, "-m", "paretosearch.training.probe")

#: What was measured of a format: ``relative``, its seconds by those of fp32, or ``refused``, why there are none; with
#: ``unsure`` that may be different next time.
Figure = Mapping[str, float | str]


@dataclass(frozen=True)
class Verdict:
    """What a device makes of a number format.

    Args:
        relative: Seconds of a step relative to fp32; None if not measured.
        reason: Why it is left out, what follows "it"; empty if it is not.
        slow: Whether that is its speed alone, so that a study may keep it.
    """

    relative: float | None
    reason: str = ""
    slow: bool = False

    def is_usable(self, keep_slow: bool = False) -> bool:
        """Say whether to search the format.

        Args:
            keep_slow: Whether the study keeps formats that are slower than fp32.
        """
        return not self.reason or (keep_slow and self.slow)


def verdicts(device: Device, names: Sequence[str] = NUMBER_FORMATS, cache: Path | None = None) -> Mapping[str, Verdict]:
    """Measure number formats on a device, or remember an earlier measurement.

    What is remembered are the measurements, by all that they depend on, and not what follows from them: other versions
    of this program may think otherwise, and know other formats.

    Args:
        device: A device that nobody else uses now.
        names: Which formats; one that is slow there may take a minute.
        cache: File to remember in; the user's cache folder if None.

    Returns:
        A verdict for every one of them.

    Raises:
        DeviceError: If not even fp32 could be measured.
    """
    cache = cache or measurements.file_of("number_formats")
    key = _key(device)
    figures = _read(cache).get(key, {})
    missing = [name for name in names if name not in figures]
    if missing:
        figures = {**figures, **_measure(device, missing)}
        known = {name: figure for name, figure in figures.items() if "unsure" not in figure}
        measurements.write(cache, {**_read(cache), key: known})
    return {name: _verdict(name, figures[name]) for name in names}


def is_measured(device: Device, names: Sequence[str] = NUMBER_FORMATS, cache: Path | None = None) -> bool:
    """Whether `verdicts` remembers all that it is asked for, and answers at once."""
    return set(names) <= _read(cache or measurements.file_of("number_formats")).get(_key(device), {}).keys()


def _key(device: Device) -> str:
    programs = ", ".join(f"{name} {version(name)}" for name in ("paretosearch", "torch"))
    built = f"compiler {_compiler() or 'none'}, kernels {measurements.kernels()}"
    return f"{device.device_class}, {programs}, driver {_driver(device)}, {built}"


def _driver(device: Device) -> str:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text(encoding="utf-8").splitlines()[0] if device.kind == "cuda" and path.exists() else "none"


def _compiler() -> str | None:
    """Give what builds kernels that make some formats faster on a CPU."""
    return os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")


def _measure(device: Device, names: Sequence[str]) -> dict[str, Figure]:
    """Measure formats, and fp32 beside them; what the probe did not reach in time is refused for now."""
    lines, complaint, is_late = _probe(device, list(dict.fromkeys(["fp32", *names])))
    seconds: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, Figure] = {name: {"refused": complaint, "unsure": 1} for name in names}
    for line in lines:
        name = str(line["format"])
        if "refused" in line:
            figures[name] = {"refused": str(line["refused"])}
        elif "seconds" in line:
            seconds[name].append(float(line["seconds"]))
    if is_late and lines and "begins" in lines[-1]:  # what took all of the time will take it again
        figures[str(lines[-1]["format"])] = {"refused": complaint}
    if "fp32" not in seconds:  # not even the plainest one: that says nothing about the formats
        raise DeviceError(f"the number formats of {device.label} could not be measured: the probe {complaint}")
    fp32 = min(seconds["fp32"])
    return figures | {name: {"relative": min(taken) / fp32} for name, taken in seconds.items()}


def _probe(device: Device, names: Sequence[str]) -> tuple[list[Figure], str, bool]:
    """Run the probe alone on the device.

    Returns:
        Its lines, what became of the formats that have none, and whether that is for want of time.
    """
    pin = (lambda: os.sched_setaffinity(0, device.cores)) if device.cores else None
    process = subprocess.Popen(
        [*PROBE, device.kind, str(max(1, len(device.cores))), *names],
        env=worker_environment(device),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=pin,  # the one moment between fork and exec when the child can be pinned before it has threads
        text=True,
    )
    try:
        output, complaints = process.communicate(timeout=LIMIT_SECONDS)
        last = (complaints.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        complaint, is_late = f"ends the measurement: {last}", False
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        complaint, is_late = f"gave no result within {LIMIT_SECONDS:.0f} s", True
    return list(_lines(output)), complaint, is_late


def _lines(output: str) -> Iterable[Figure]:
    """Read the lines that are whole."""
    for line in output.splitlines(keepends=True):
        if line.endswith("}\n"):
            yield json.loads(line)


def _verdict(name: str, figure: Figure) -> Verdict:
    if "relative" not in figure:
        return Verdict(None, str(figure["refused"]))
    relative = float(figure["relative"])
    is_simulated = name in SIMULATED_FORMATS
    if relative < (1 / SLOWER if is_simulated else SLOWER):
        return Verdict(relative)
    simulated = "is simulated here and " * is_simulated
    speed = f"takes {times(relative)} times as long as fp32" if relative > 1 else "is no faster than fp32"
    return Verdict(relative, f"{simulated}{speed}", relative < HOPELESS)


def times(relative: float) -> str:
    """Write how many times as long something takes: 1.3, 1.08, 27, 270."""
    return f"{round(relative, 2 if relative < 10 else 0):g}"


def _read(cache: Path) -> dict[str, dict[str, Figure]]:
    """Read what is remembered; nothing where it is damaged."""
    try:
        return {
            key: {name: figure for name, figure in figures.items() if figure.keys() & {"relative", "refused"}}
            for key, figures in measurements.read(cache).items()
        }
    except AttributeError:
        return {}
