"""Brings the front of a study to other devices, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from paretosearch.api.fronts import axes_of, open_study
from paretosearch.api.measuring import measuring
from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.launcher import Launcher
from paretosearch.fleet.replays import Replays
from paretosearch.fleet.site import Site, Wish
from paretosearch.report.live import view_of
from paretosearch.report.notebook import StudyFront, study_front
from paretosearch.report.stages import show_stage
from paretosearch.store import AttemptRecord
from paretosearch.store.agreement import Agreement, agreement


@dataclass(frozen=True)
class Brought:
    """The fronts of a study on classes of device, after some replays.

    Args:
        study: Name of the study.
        axes: What it varies.
        fronts: Its front on each class of the devices.
        agreements: How replays and trainings agree, of each class on which trials have both.
        timed: Trials that were timed now.
        device_seconds: Device seconds that this took.
        share: That as a share of all that the study has cost.
        stopped_by: The signal that ended it early, or None.
    """

    study: str
    axes: Sequence[str]
    fronts: Sequence[StudyFront]
    agreements: Mapping[str, Agreement]
    timed: int
    device_seconds: float
    share: float
    stopped_by: int | None


def bring(
    study: str | None = None,
    gpus: str | None = None,
    cpu: str | None = None,
    storage: str | None = None,
    console: Console | None = None,
) -> Brought:
    """Find the front of a study on devices that have not trained it: minutes instead of days.

    Each trial that may be on the front of a class of the devices is timed there, without training, by
    `paretosearch.training.replay`; its accuracy is that of its training, which no device changes. On a class that has
    trained the study the front is timed as well, to see how well that agrees.

    Args:
        study: Name of a study in the store; None is the newest.
        gpus: ``0,1,2,3`` or ``all``.
        cpu: ``2``, ``2x4`` and so on; with neither wish all GPUs, or one slot for each core.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.
        console: Where to show what happens.

    Returns:
        The fronts, and what they rest on.

    Raises:
        UsageError: If there is no such study, or it has no result.
        StudyFileError: If its data set holds other images than those that its results are of.
        DataError: If the data set is not to be had, or not to the end.
        DeviceError: If the devices are not to be had.
        LockedError: If a Launcher runs the study.
    """
    store, name = open_study(study, storage)
    record = store.study(name)
    assert record is not None
    trained = [a for a in store.attempts(name) if a.purpose == "search" and a.outcome == "complete"]
    if not trained:
        raise UsageError(f"study {name!r} has no complete trial yet, so there is no front to bring here")
    console, before = console or Console(), store.device_seconds(name, "replay")
    wish, recipes = Wish(gpus, cpu), [attempt.recipe for attempt in trained]
    with measuring(store, name, recipes, wish, console) as (site, folder):
        devices, axes = site.devices, axes_of(store, name)
        classes = Classes(record.device_class, devices, _formats(trained, site, console))
        replays = Replays(name, store, classes, share=0.0, again=True)
        with view_of(console, None, folder, name, axes, None, devices) as view:
            stopped_by = Launcher(name, [replays], store, site.fleet(folder), folder, view, classes).run()
    names = list(dict.fromkeys(device.device_class for device in devices))
    spent = store.device_seconds(name, "replay") - before
    return Brought(
        name,
        axes,
        [study_front(store, name, device_class) for device_class in names],
        agreement(store.attempts(name)),
        replays.done,
        spent,
        spent / (store.device_seconds(name) or 1.0),
        stopped_by,
    )


def _formats(trained: Sequence[AttemptRecord], site: Site, console: Console) -> Mapping[str, Sequence[str]]:
    """Judge the number formats of trials on each class: what cannot be done there is on no front of it."""
    names = sorted({attempt.recipe.number_format for attempt in trained})
    if names == ["fp32"]:
        return {}
    show_stage("measuring the number formats (once per device)", console.quiet)
    firsts: dict[str, Device] = {device.device_class: device for device in reversed(site.devices)}
    judged = {name: site.verdicts(device, names) for name, device in firsts.items()}
    return {
        device_class: [name for name, verdict in of_class.items() if verdict.is_usable(keep_slow=True)]
        for device_class, of_class in judged.items()
    }
