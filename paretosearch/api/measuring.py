"""Takes devices to measure more of a study that is in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from paretosearch.api.contents import check_unchanged, contents_of
from paretosearch.api.training import prepare
from paretosearch.device import Device
from paretosearch.fleet import spool
from paretosearch.fleet.locks import LAUNCHER, Lock
from paretosearch.fleet.site import Site, Wish, open_site
from paretosearch.recipe import Recipe
from paretosearch.report.stages import printing, show_stage
from paretosearch.store import Store, redacted


@contextmanager
def measuring(
    store: Store,
    study: str,
    recipes: Iterable[Recipe],
    wish: Wish,
    console: Console,
    check: Callable[[Sequence[Device]], None] = lambda _: None,
) -> Iterator[tuple[Site, Path]]:
    """Keep other Launchers from a study, and take Devices that have its data sets.

    Args:
        store: Where it is.
        study: Its name.
        recipes: What may be measured.
        wish: Which Devices.
        console: Where to show what happens.
        check: Called with the Devices, to refuse them by an error.

    Yields:
        Where the Devices are, and the study's spool folder.

    Raises:
        StudyFileError: If a data set holds other images than those that the study's results are of.
        DataError: If a data set is not to be had.
        DeviceError: If the Devices are not to be had.
        LockedError: If a Launcher runs the study.
    """
    folder = spool.folder_for(redacted(store.url), study)
    with ExitStack() as held:
        held.callback(Lock(folder / LAUNCHER, f"study {study!r}").release)
        held.callback(store.claim(study).release)
        site = open_site(wish, printing(console))
        held.callback(site.close)
        site.reserve()
        check(site.devices)
        show_stage("preparing the data set", console.quiet)
        of_images = {(recipe.dataset, recipe.image_size): recipe for recipe in recipes}
        contents = contents_of(map(prepare, of_images.values()))
        check_unchanged(study, store, contents)
        store.keep_data_sets(study, contents)
        site.prepare([(dataset, size, contents[dataset]["digest"]) for dataset, size in of_images])
        for device in site.devices:
            store.add_device(device)
        yield site, folder
