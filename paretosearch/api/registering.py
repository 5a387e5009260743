"""Registers a study in the store, with the part of its space that its devices can search."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from rich.console import Console

from paretosearch.device import Device
from paretosearch.errors import DeviceError, StudyFileError
from paretosearch.fleet import formats
from paretosearch.space import Space
from paretosearch.store import Store, StudyRecord
from paretosearch.studyfile import StudyFile, differences, narrowed

#: What the store says about the programs that measured.
VERSIONED = ("paretosearch", "torch", "torchvision", "optuna", "numpy")


def registered(file: StudyFile, store: Store, device: Device, console: Console) -> Space:
    """Register a study, or check that it is the one in the store; gives the space that its devices can search."""
    known = store.study(file.name)
    if known is None:
        space = _usable(file.space, device, console)
        store.add_study(_record(file, space, device))
        return space
    if known.space_hash != file.space.hash:
        changes = "; ".join(differences(known.space["declared"], file.space.to_plain()))
        raise StudyFileError(
            f"study {file.name!r} is in the store with another space ({changes}); "
            f"give the study file a new name, or undo the change"
        )
    if (known.sampler, known.seed) != (file.search.sampler, file.seed):
        raise StudyFileError(
            f"study {file.name!r} is in the store with sampler {known.sampler} and seed {known.seed}, and the file "
            f"says {file.search.sampler} and {file.seed}; give the study file a new name, or undo the change"
        )
    if known.device_class != device.device_class:
        raise DeviceError(
            f"study {file.name!r} was measured on {known.device_class} and this device is {device.device_class}, "
            f"whose times cannot be compared; give the study file a new name"
        )
    return narrowed(file.space, "number_format", known.space["number_formats"])


def _usable(space: Space, device: Device, console: Console) -> Space:
    """Leave out the number formats that a device cannot do, or does far slower than fp32, and say so."""
    wanted = space.values_of("number_format")
    if set(wanted) == {"fp32"}:
        return space
    judged = {str(name): formats.verdicts(device)[str(name)] for name in wanted}
    for name, verdict in judged.items():
        if not verdict.usable:
            console.print(f"number format {name} is left out on {device.name}: it {verdict.reason}")
    usable = [name for name, verdict in judged.items() if verdict.usable]
    if not usable:
        reasons = "; ".join(f"{name} {verdict.reason}" for name, verdict in judged.items())
        raise DeviceError(f"no number format of the study can be searched on {device.name}: {reasons}")
    return narrowed(space, "number_format", usable)


def _record(file: StudyFile, space: Space, device: Device) -> StudyRecord:
    return StudyRecord(
        name=file.name,
        text=file.text,
        space_hash=file.space.hash,
        space={"declared": file.space.to_plain(), "number_formats": list(space.values_of("number_format"))},
        sampler=file.search.sampler,
        seed=file.seed,
        device_class=device.device_class,
        versions={name: version(name) for name in VERSIONED},
        created=datetime.now(UTC),
    )
