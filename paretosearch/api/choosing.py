"""Chooses which number formats of a study its device is to search."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from rich.console import Console

from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet.formats import Verdict, verdicts
from paretosearch.studyfile import StudyFile

#: Judges number formats on a Device, where that is.
Judge = Callable[[Device, Sequence[str]], Mapping[str, Verdict]]


def judged(file: StudyFile, device: Device, judge: Judge = verdicts) -> Mapping[str, Verdict]:
    """Give the verdict on every number format that a study names; none for fp32 alone, which needs no measurement."""
    names = [str(name) for name in file.space.values_of("number_format")]
    return {} if set(names) == {"fp32"} else judge(device, names)


def usable(file: StudyFile, verdicts: Mapping[str, Verdict]) -> Sequence[str]:
    """Give the formats to search: those that are not slower than fp32, or all that can be if the study keeps them.

    The format of a study that has one alone is the user's choice, and stays if it is slow.
    """
    keep_slow = file.keep_slow_formats or len(verdicts) == 1
    return [name for name, verdict in verdicts.items() if verdict.is_usable(keep_slow)]


def require_some(chosen: Collection[str], verdicts: Mapping[str, Verdict], device: Device) -> None:
    """Refuse a study of which no number format is left.

    Raises:
        DeviceError: If none is.
    """
    if verdicts and not chosen:
        reasons = "; ".join(f"{name} {verdict.reason}" for name, verdict in verdicts.items())
        slow = any(verdict.slow for verdict in verdicts.values())
        way_out = "add fp32 to them" + (
            ", or set keep_slow_formats = true at the top of the study file" if slow else ""
        )
        raise DeviceError(f"no number format of the study can be searched on {device.name}: {reasons}; {way_out}")


def announce(verdicts: Mapping[str, Verdict], chosen: Sequence[str], where: str, console: Console) -> None:
    """Print what each number format costs on a device, and why one is left out or slow; ``where`` names the device."""
    measured = {name: verdict.relative for name, verdict in verdicts.items() if verdict.relative is not None}
    lines = []
    if measured:
        figures = ", ".join(f"{name} {relative:.2f}" for name, relative in measured.items())
        lines.append(f"seconds of a step on {where} relative to fp32: {figures}")
    for name, verdict in verdicts.items():
        if verdict.reason:
            what = "is kept, though" if name in chosen else f"is left out on {where}:"
            lines.append(f"number format {name} {what} it {verdict.reason}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
