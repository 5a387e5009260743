"""Registers a study in the store, with the part of its space that its devices can search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version

from rich.console import Console

from paretosearch.api.choosing import Judge, announce, judged, require_some, usable
from paretosearch.device import Device
from paretosearch.errors import DeviceError, StudyFileError
from paretosearch.fleet.formats import Verdict
from paretosearch.fleet.formats import verdicts as measured
from paretosearch.space import Space
from paretosearch.store import Store, StudyRecord
from paretosearch.studyfile import StudyFile, differences, narrowed

#: What the store says about the programs that measured.
VERSIONED = ("paretosearch", "torch", "torchvision", "optuna", "numpy")


def registered(file: StudyFile, store: Store, device: Device, console: Console, judge: Judge = measured) -> Space:
    """Register a study, or check that it is the one in the store; gives the space that its devices can search."""
    known = store.study(file.name)
    verdicts = judged(file, device, judge) if known is None else _remembered(known)
    chosen = usable(file, verdicts)
    if known is not None:
        _check_same(file, known, device, chosen)
    announce(verdicts, chosen, device, console)
    require_some(chosen, verdicts, device)
    if known is not None:
        return narrowed(file.space, "number_format", known.space["number_formats"])
    space = narrowed(file.space, "number_format", chosen) if verdicts else file.space
    store.add_study(_record(file, space, device, verdicts))
    return space


def _remembered(known: StudyRecord) -> Mapping[str, Verdict]:
    return {name: Verdict(**plain) for name, plain in known.number_formats.items()}


def _check_same(file: StudyFile, known: StudyRecord, device: Device, chosen: Sequence[str]) -> None:
    """Refuse to go on with what would be another search."""
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
    searched = known.space["number_formats"]
    if known.number_formats and list(chosen) != searched:
        raise StudyFileError(
            f"study {file.name!r} is in the store with the number formats {', '.join(searched)}, and by "
            f"keep_slow_formats = {str(file.keep_slow_formats).lower()} they would be {', '.join(chosen) or 'none'}; "
            f"give the study file a new name, or undo the change"
        )


def _record(file: StudyFile, space: Space, device: Device, verdicts: Mapping[str, Verdict]) -> StudyRecord:
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
        number_formats={name: asdict(verdict) for name, verdict in verdicts.items()},
    )
