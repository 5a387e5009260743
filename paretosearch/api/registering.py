"""Registers a study in the store, with the part of its space that its devices can search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version

from rich.console import Console

from paretosearch.api.choosing import Judge, announce, judged, require_some, usable
from paretosearch.device import Device
from paretosearch.errors import DeviceError, StudyFileError
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.formats import Verdict
from paretosearch.fleet.formats import verdicts as measured
from paretosearch.space import Space
from paretosearch.store import Store, StudyRecord
from paretosearch.studyfile import StudyFile, differences, narrowed

#: What the store says about the programs that measured.
VERSIONED = ("paretosearch", "torch", "torchvision", "optuna", "numpy")


def registered(
    file: StudyFile, store: Store, devices: Sequence[Device], console: Console, judge: Judge = measured
) -> tuple[Space, Classes]:
    """Register a study, or check that it is the one in the store.

    Args:
        file: The study.
        store: Where to register it.
        devices: Devices of the launch.
        console: Where to say which number formats are left out.
        judge: Who judges number formats on a Device.

    Returns:
        The space that the devices can search together, and which class of them can do what.

    Raises:
        StudyFileError: If the store has another study of that name.
        DeviceError: If the devices cannot search it, or there is none of its reference class.
    """
    known = store.study(file.name)
    firsts = {device.device_class: device for device in reversed(devices)}
    reference = _reference(file, known, devices)
    verdicts = {
        name: judged(file, device, judge) for name, device in firsts.items() if known is None or name != reference
    }
    if known is not None:
        verdicts[reference] = _remembered(known)
    chosen = {name: usable(file, of_class) for name, of_class in verdicts.items()}
    if known is not None:
        _check_same(file, known, chosen[reference])
    for name, of_class in verdicts.items():
        announce(of_class, chosen[name], name if len(firsts) > 1 else firsts[name].name, console)
    together = {name for names in chosen.values() for name in names}
    require_some(together, verdicts[reference], firsts[reference])
    classes = Classes(reference, devices, {name: chosen[name] for name, of_class in verdicts.items() if of_class})
    if known is not None:
        return _known_space(file, known, together, verdicts[reference]), classes
    space = narrowed(file.space, "number_format", together) if verdicts[reference] else file.space
    store.add_study(_record(file, space, reference, verdicts[reference], chosen[reference]))
    return space, classes


def _reference(file: StudyFile, known: StudyRecord | None, devices: Sequence[Device]) -> str:
    """Choose the class whose seconds the sampler sees; that of a study in the store is settled."""
    there = list(dict.fromkeys(device.device_class for device in devices))
    if known is not None:
        if known.device_class not in there:
            raise DeviceError(
                f"study {file.name!r} is searched by the seconds of {known.device_class}, and this launch has "
                f"{', '.join(there)} alone; add a device of that class, give the study file a new name, or find its "
                f"front here by paretosearch retime --study {file.name}"
            )
        return known.device_class
    wish = file.hardware.reference
    found = [name for name in there if wish is None or wish.lower() in name.lower()]
    if not found:
        raise DeviceError(
            f"[hardware] reference = {wish!r} is no part of a class of this launch ({', '.join(there)}); name one, or "
            f"add such a device"
        )
    return found[0]


def _known_space(
    file: StudyFile, known: StudyRecord, together: Collection[str], verdicts: Mapping[str, Verdict]
) -> Space:
    """Give the space that a study has had from the beginning, all of which somebody must be able to do."""
    searched = known.space["number_formats"]
    orphans = [name for name in searched if verdicts and name not in together]
    if orphans:
        raise DeviceError(
            f"study {file.name!r} searches the number formats {', '.join(searched)}, and no device of this launch can "
            f"do {', '.join(orphans)}; add one that can, or give the study file a new name"
        )
    return narrowed(file.space, "number_format", searched)


def _remembered(known: StudyRecord) -> Mapping[str, Verdict]:
    return {name: Verdict(**plain) for name, plain in known.number_formats.items()}


def _check_same(file: StudyFile, known: StudyRecord, chosen: Sequence[str]) -> None:
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
    searched = known.space.get("reference_formats", known.space["number_formats"])
    if known.number_formats and list(chosen) != searched:
        raise StudyFileError(
            f"study {file.name!r} is in the store with the number formats {', '.join(searched)}, and by "
            f"keep_slow_formats = {str(file.keep_slow_formats).lower()} they would be {', '.join(chosen) or 'none'}; "
            f"give the study file a new name, or undo the change"
        )


def _record(
    file: StudyFile, space: Space, reference: str, verdicts: Mapping[str, Verdict], chosen: Sequence[str]
) -> StudyRecord:
    formats = list(space.values_of("number_format"))
    own = {"reference_formats": list(chosen)} if verdicts and list(chosen) != formats else {}
    return StudyRecord(
        name=file.name,
        text=file.text,
        space_hash=file.space.hash,
        space={"declared": file.space.to_plain(), "number_formats": formats, **own},
        sampler=file.search.sampler,
        seed=file.seed,
        device_class=reference,
        versions={name: version(name) for name in VERSIONED},
        created=datetime.now(UTC),
        number_formats={name: asdict(verdict) for name, verdict in verdicts.items()},
    )
