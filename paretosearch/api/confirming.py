"""Trains what may be on a front again, with other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from paretosearch.api.fronts import axes_of, open_study, require_results
from paretosearch.api.measuring import measuring
from paretosearch.api.wishes import typed
from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.launcher import Launcher
from paretosearch.fleet.repeats import Repeats
from paretosearch.fleet.site import FleetName, Wish
from paretosearch.report.live import view_of
from paretosearch.store import Estimate, Store

#: Repeats of each candidate, where nobody says.
REPLICATES = 3


@dataclass(frozen=True)
class Confirmed:
    """What is known of a study's results after some repeats.

    Args:
        study: Name of the study.
        axes: What it varies.
        estimates: What is known of each result, by mean seconds.
        repeats: How many repeats were trained now.
        stopped_by: The signal that ended it early, or None.
    """

    study: str
    axes: Sequence[str]
    estimates: Sequence[Estimate]
    repeats: int
    stopped_by: int | None


def confirm(
    study: str | None = None,
    replicates: int = REPLICATES,
    gpus: str | int | None = None,
    cpu: str | int | None = None,
    storage: str | None = None,
    device_hours: float | None = None,
    console: Console | None = None,
    fleet: FleetName = "local",
    ray_address: str | None = None,
) -> Confirmed:
    """Repeat the results that may be on a study's front, and look at the test split.

    Args:
        study: Name of a study in the store; None is the newest.
        replicates: Repeats of each candidate, those of earlier calls among them.
        gpus: ``0,1,2,3`` or ``all``.
        cpu: ``2``, ``2x4`` and so on; with neither wish all GPUs, or one slot for each core.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.
        device_hours: Hours of devices after which no repeat begins; None for no limit.
        console: Where to show what happens.
        fleet: ``local`` for this machine; ``ray`` for a Ray cluster, where ``gpus`` and ``cpu`` are of each node.
        ray_address: ``HOST:PORT`` of the cluster; None is ``RAY_ADDRESS``, else the one that this machine belongs to.

    Returns:
        What is known then.

    Raises:
        UsageError: If there is no such study, or it has no result.
        StudyFileError: If its data set holds other images than those that its results are of.
        DataError: If the data set is not to be had, or not to the end.
        DeviceError: If the devices are of another class than the study's.
        LockedError: If a Launcher runs the study.
    """
    store, name = open_study(study, storage)
    require_results(store, name)
    results = store.completed(name)
    console, before = console or Console(), len(store.repeats(name))
    wish = Wish(typed("gpus", gpus), typed("cpu", cpu), fleet, ray_address)
    recipes = [result.recipe for result in results]
    with measuring(store, name, recipes, wish, console, partial(_check_class, store, name)) as (site, folder):
        axes = axes_of(store, name)
        limit = None if device_hours is None else store.device_seconds(name) / 3600 + device_hours
        classes = Classes(site.devices[0].device_class, site.devices)
        repeats = Repeats(name, store, replicates, classes, limit)
        with view_of(console, None, folder, name, axes, None, site.devices) as view:
            stopped_by = Launcher(name, [repeats], store, site.fleet(folder), folder, view, classes).run()
    return Confirmed(name, axes, store.estimates(name), len(store.repeats(name)) - before, stopped_by)


def _check_class(store: Store, study: str, devices: Sequence[Device]) -> None:
    record = store.study(study)
    assert record is not None
    others = sorted({device.device_class for device in devices} - {record.device_class})
    if others:
        raise DeviceError(
            f"study {study!r} was measured on {record.device_class}, and its seconds cannot be confirmed on "
            f"{others[0]}; name devices of its own class by --gpus or --cpu"
        )
