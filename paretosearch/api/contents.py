"""Says whether the data sets of a study are still those that its results are of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from paretosearch.api.fronts import open_study
from paretosearch.errors import StudyFileError
from paretosearch.outcome import one_line
from paretosearch.store import Store

if TYPE_CHECKING:
    from paretosearch.data import ImageSet

#: What data sets hold, by name, as a store keeps it.
Contents = Mapping[str, Mapping[str, Any]]

#: Classes that are named; a folder may have gained a thousand.
MOST_CLASSES = 3


def contents_of(images: Iterable[ImageSet]) -> Contents:
    """Give what is to be kept of data sets: their digests, and what shows how others differ from them."""
    return {one.name: _content(one) for one in images}


def _content(images: ImageSet) -> Mapping[str, Any]:
    counts = {part: len(getattr(images, part)) for part in ("train", "validation", "test")}
    return {"digest": images.digest, "images": counts, "classes": list(map(one_line, images.classes))}


def changes(known: Contents | None, now: Contents) -> Mapping[str, str]:
    """Say how data sets differ from what is known of them.

    Args:
        known: What a study keeps; None if it is older than that.
        now: What they hold now.

    Returns:
        Such as ``train: 96 -> 104 images``, by the name of each data set that has changed.
    """
    before = known or {}
    common = [name for name in now if name in before]
    return {
        name: _difference(before[name], now[name]) for name in common if before[name]["digest"] != now[name]["digest"]
    }


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    counts = [
        f"{part}: {before['images'][part]} -> {count} images"
        for part, count in after["images"].items()
        if before["images"][part] != count
    ]
    return ", ".join([*_of_classes(before["classes"], after["classes"]), *counts]) or "as many images, but other ones"


def _of_classes(before: Collection[str], after: Collection[str]) -> Iterator[str]:
    gone, new = [name for name in before if name not in after], [name for name in after if name not in before]
    lists = [f"{word} {_named(names)}" for word, names in (("without", gone), ("with", new)) if names]
    if lists:
        yield f"classes: {len(before)} -> {len(after)}, {' and '.join(lists)}"


def _named(names: Collection[str]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:MOST_CLASSES])
    return shown + (f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else "")


def said(changed: Mapping[str, str]) -> str:
    """Write what `changes` gives as a part of a line."""
    return "; ".join(f"{name}: {difference}" for name, difference in changed.items())


def check_unchanged(study: str, store: Store, now: Contents) -> None:
    """Refuse to mix results of different images on one front.

    Args:
        study: Name of the study, which need not be in the store.
        store: Where it is kept.
        now: What its data sets hold now.

    Raises:
        StudyFileError: If one of them holds other images than those that the study's results are of.
    """
    record = store.study(study)
    changed = changes(record.data_sets, now) if record is not None else {}
    if changed:
        raise StudyFileError(
            f"study {study!r} is in the store with other images ({said(changed)}); put them back as they were, or give "
            f"the study file a new name (by --from-study {study} it begins with the recipes of this front)"
        )


def remark(images: ImageSet, study: str | None, storage: str | None) -> str:
    """Say that a result is not of the images that a study's results are of; empty if it is.

    Args:
        images: What is trained with.
        study: Name of the study; None is the newest.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.

    Raises:
        UsageError: If there is no such study.
    """
    store, name = open_study(study, storage)
    with closing(store):
        record = store.study(name)
    changed = changes(record.data_sets if record is not None else None, contents_of([images]))
    return f"not to be compared with study {name!r}, as images have changed ({said(changed)})" if changed else ""
