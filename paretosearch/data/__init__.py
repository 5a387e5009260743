"""Data sets: images with labels, divided into splits."""

from __future__ import annotations

from paretosearch import plugins
from paretosearch.data.batches import Batches
from paretosearch.data.cache import Progress, home
from paretosearch.data.folder import PREFIX, check_folder, load_folder
from paretosearch.data.imageset import ImageSet, Split
from paretosearch.data.known import KNOWN
from paretosearch.data.named import load_known
from paretosearch.data.own import Arrays, find_own, load_own
from paretosearch.data.sources import find
from paretosearch.data.splits import subset, used
from paretosearch.errors import DataError, suggest

__all__ = [
    "Arrays",
    "Batches",
    "ImageSet",
    "Progress",
    "Split",
    "check_name",
    "fetch",
    "load",
    "names",
    "subset",
    "used",
    "where",
]


def names() -> tuple[str, ...]:
    """List the data sets that have a name; ``folder:PATH`` is another, and packages may bring more."""
    return tuple(KNOWN)


def check_name(name: str) -> None:
    """Look whether there is such a data set, without loading it.

    Args:
        name: Name as a study file writes it.

    Raises:
        DataError: If the name is unknown, names a folder that does not exist, or a package's data set that cannot be
            imported.
    """
    if name.startswith(PREFIX):
        check_folder(name)
    elif name not in KNOWN:
        _own(name).load()


def _own(name: str) -> plugins.Plugin:
    """Find what a package brings under a name that is none of ours."""
    found = find_own(name)
    if found is None:
        known = (*KNOWN, *plugins.names(plugins.DATASETS), "folder:PATH")
        raise DataError(
            f"there is no data set {name!r}{suggest(name, known)}; one of your own needs its package installed"
        )
    return found


def load(name: str, image_size: int = 0, progress: Progress | None = None, digest: str | None = None) -> ImageSet:
    """Load a data set; the first time this fetches and decodes it, from then on it maps the result.

    Args:
        name: Name as a study file writes it.
        image_size: Edge of the images in pixels; 0 is the data set's own, and 64 for a folder.
        progress: Told what is being done, how many images are done, and how many there are.
        digest: What its digest has to be, as that of the set that a launch began with; None is any.

    Returns:
        The data set. Its splits are the same for everybody.

    Raises:
        DataError: If the name is unknown, the images are not to be had, or they are others.
    """
    check_name(name)
    images = _loaded(name, image_size, progress)
    if digest not in (None, images.digest):
        raise DataError(f"{name} holds other images than those that the launch began with")
    return images


def _loaded(name: str, image_size: int, progress: Progress | None) -> ImageSet:
    if name.startswith(PREFIX):
        return load_folder(name, image_size, progress)
    return load_known(KNOWN[name], image_size) if name in KNOWN else load_own(_own(name), image_size)


def where(name: str) -> str | None:
    """Say where a data set is on this machine, without reading it.

    Args:
        name: Name as a study file writes it.

    Returns:
        Its folder, or the package that brings it; None if it must be fetched first.

    Raises:
        DataError: If the name is unknown, or names a folder that does not exist.
    """
    check_name(name)
    if not name.startswith(PREFIX) and name not in KNOWN:
        return _own(name).package
    found = check_folder(name) if name.startswith(PREFIX) else find(KNOWN[name])
    return None if found is None else str(found)


def fetch(name: str, progress: Progress | None = None) -> str:
    """Get a data set ahead of time.

    Args:
        name: Name as a study file writes it.
        progress: As for `load`.

    Returns:
        One line that says what is where.

    Raises:
        DataError: As for `load`.
    """
    found = load(name, progress=progress)
    counts = ", ".join(f"{len(getattr(found, part))} {part}" for part in ("train", "validation", "test"))
    left_out = (
        f", left out {len(found.left_out)} unreadable ({', '.join(found.left_out[:3])})" if found.left_out else ""
    )
    size = f"{found.image_size}x{found.image_size}"
    return f"{name}: {counts} images of {size} in {len(found.classes)} classes{left_out}, under {home()}"
