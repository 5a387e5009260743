"""Launches a study on the devices of this machine, or of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TextIO

from rich.console import Console

from paretosearch.api.contents import Contents, check_unchanged, contents_of
from paretosearch.api.ending import all_failed, spent
from paretosearch.api.maps import notes_on_maps
from paretosearch.api.preparing import check_methods, check_networks, gather, naming
from paretosearch.api.registering import registered
from paretosearch.api.warming import warm
from paretosearch.api.wishes import typed
from paretosearch.device import share_cores
from paretosearch.fleet import spool
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.early import EarlyStops
from paretosearch.fleet.launcher import Launcher
from paretosearch.fleet.locks import LAUNCHER, Lock
from paretosearch.fleet.repeats import Repeats
from paretosearch.fleet.replays import Replays
from paretosearch.fleet.searching import Searching
from paretosearch.fleet.site import FleetName, Images, Site, Wish, open_site
from paretosearch.fleet.work import Work
from paretosearch.methods import settled_at
from paretosearch.report.live import view_of
from paretosearch.report.notebook import StudyFront, study_front
from paretosearch.report.stages import printing, show_stage
from paretosearch.search import PLANS, Search, Stopper, open_search, star
from paretosearch.space import Space
from paretosearch.store import Store, open_store, redacted, storage_url
from paretosearch.studyfile import StudyFile, load, with_budget

#: Share of the hours that the search has where repeats are to come after it.
SEARCH_SHARE = 0.8


@dataclass(frozen=True)
class Launched:
    """How a launch ended.

    Args:
        study: Name of the study.
        axes: What it varies.
        front: Its front now, of the class of the launch's devices.
        stopped_by: The signal that ended it early, or None.
        failure: Why none of the trials that it began has a result; empty if one has, or none was begun.
    """

    study: str
    axes: Sequence[str]
    front: StudyFront
    stopped_by: int | None
    failure: str = ""


def launch(
    study: str | None = None,
    gpus: str | int | None = None,
    cpu: str | int | None = None,
    storage: str | None = None,
    trials: int | None = None,
    device_hours: float | None = None,
    console: Console | None = None,
    from_study: str | None = None,
    fleet: FleetName = "local",
    ray_address: str | None = None,
    events: TextIO | None = None,
) -> Launched:
    """Run a study, or continue it.

    Args:
        study: Name of a shipped study or path of a study file; None is ``cifar10`` on GPUs and ``quickstart`` on a CPU.
        gpus: ``0,1,2,3`` or ``all``.
        cpu: ``2``, ``2x4`` or ``1x1,1x2``; with neither wish all GPUs, or one slot for each core.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else an SQLite file here.
        trials: Budget in trials, instead of the study file's.
        device_hours: Budget in hours of devices, instead of the study file's.
        console: Where to show what happens.
        from_study: Another study of the store whose results to begin with, as far as they are of this space.
        fleet: ``local`` for this machine; ``ray`` for a Ray cluster, where ``gpus`` and ``cpu`` are of each node.
        ray_address: ``HOST:PORT`` of the cluster; None is ``RAY_ADDRESS``, else the one that this machine belongs to.
        events: Where to tell what happens as lines of JSON, see `EventStream`, instead of showing it.

    Returns:
        The front and how the launch ended.

    Raises:
        StudyFileError: If the study file is wrong, or the study has another space or other images in the store.
        DataError: If the data set is not to be had, or not to the end.
        UsageError: If a wish cannot be meant.
        DeviceError: If no device can do what the study asks, or there is no such cluster.
        StoreError: If the database cannot be opened.
        LockedError: If another Launcher runs the study.
    """
    console = console or Console()
    with ExitStack() as held:
        site = open_site(Wish(typed("gpus", gpus), typed("cpu", cpu), fleet, ray_address), printing(console))
        held.callback(site.close)
        file = with_budget(load(study or ("cifar10" if site.has_gpus else "quickstart")), trials, device_hours)
        with naming(file):
            check_methods(file.space)
        folder = spool.folder_for(redacted(storage_url(storage)), file.name)
        held.callback(Lock(folder / LAUNCHER, f"study {file.name!r}").release)
        site.reserve()
        return _launch(file, site, open_store(storage), folder, console, from_study, events)


def _launch(
    file: StudyFile,
    site: Site,
    store: Store,
    folder: Path,
    console: Console,
    from_study: str | None,
    events: TextIO | None,
) -> Launched:
    if share_cores(site.devices):
        console.print("the slots need more cores than there are: those that share some take turns", soft_wrap=True)
    with ExitStack() as held:
        claim = store.claim(file.name)
        held.callback(claim.release)
        show_stage("preparing the data set", console.quiet)
        images = gather(file.space, console)
        contents = contents_of(images)
        check_unchanged(file.name, store, contents)
        with naming(file):
            check_networks(file.space, images)
        for note in notes_on_maps(file.space, images):
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        site.prepare(_data_sets(file.space, contents))
        devices = site.devices
        if store.study(file.name) is None and set(file.space.values_of("number_format")) != {"fp32"}:
            show_stage("measuring the number formats (once per device)", console.quiet)
        space, classes = registered(file, store, devices, console, site.verdicts)
        store.keep_data_sets(file.name, contents)
        search = open_search(store.url, file.name, space, file.search.sampler, file.search.population, file.seed)
        held.callback(search.close)
        search.guard(claim.guard)
        if from_study is not None:
            warm(file.name, from_study, space, search, store, classes.reference, contents, console)
        _begin(file, space, search, console)
        if file.search.sampler in PLANS:
            file = _planned(file, space, search)
        for device in devices:
            store.add_device(device)
        before, attempts_before = search.counts(), len(store.attempts(file.name))
        done = search.trials() - before["running"]
        followed = file.name, tuple(space.axes), file.budget.trials, devices, done, file.budget.device_hours
        hours = store.device_seconds(file.name) / 3600
        shown = view_of(console, events, folder, *followed, hours, reference=classes.reference)
        view = held.enter_context(shown)
        work = _work(file, space, search, store, classes, view.message)
        stopped_by = Launcher(file.name, work, store, site.fleet(folder), folder, view, classes).run()
        after, attempts = search.counts(), store.attempts(file.name)[attempts_before:]
        done_asking, trials = search.is_done(), search.trials()
    if after == before and not attempts and stopped_by is None:
        console.print(spent(file, space, trials, done_asking), markup=False, highlight=False, soft_wrap=True)
    failed = after["failed"] - before["failed"] if after["complete"] == before["complete"] else 0
    failure = all_failed(file, trials, failed, attempts) if failed else ""
    return Launched(file.name, tuple(space.axes), study_front(store, file.name), stopped_by, failure)


def _begin(file: StudyFile, space: Space, search: Search, console: Console) -> None:
    """Have the trials asked for first that the study file names, unless they have their place in a plan of changes."""
    for name, genome in file.first.items():
        if not space.has(genome):
            console.print(f"[first.{name}] is left out, as its number format is", markup=False, soft_wrap=True)
        elif PLANS.get(file.search.sampler) is not star:
            search.begin_with(name, genome)


def _work(
    file: StudyFile, space: Space, search: Search, store: Store, classes: Classes, say: Callable[[str], None]
) -> Sequence[Work]:
    """Give the search, with the replays that it needs, and behind it the repeats that the study file wants.

    Search and repeats have each their part of the hours.
    """
    hours, wanted = file.budget.device_hours, file.search.replicates
    searched = file if hours is None or not wanted else with_budget(file, device_hours=SEARCH_SHARE * hours)
    replays = Replays(file.name, store, classes, search)
    searching = Searching(
        file.name, space, searched.budget, search, store, classes, replays, _stops(file, store, classes), say
    )
    repeats = [Repeats(file.name, store, wanted, classes, hours)] if wanted else []
    return [replays, searching, *repeats]


def _stops(file: StudyFile, store: Store, classes: Classes) -> EarlyStops | None:
    """Give who ends trainings early, if the study file wants that and there is one class of device.

    What is dominated on one class may be on the front of another, be it one of an earlier launch.
    """
    is_mixed = len(classes.present.union(store.device_classes(file.name))) > 1
    return EarlyStops(Stopper(file.seed, settled_at), store) if file.search.stops and not is_mixed else None


def _data_sets(space: Space, contents: Contents) -> Sequence[Images]:
    sets = product(map(str, space.values_of("dataset")), space.values_of("image_size"))
    return [(name, int(size), contents[name]["digest"]) for name, size in sets]


def _planned(file: StudyFile, space: Space, search: Search) -> StudyFile:
    """Ask for every Recipe of the plan; gives the study with an end behind the last one."""
    own = search.plan(PLANS[file.search.sampler](space, file.first_in(space)))
    return with_budget(file, trials=min(file.budget.trials or own, own))
