"""What the dashboard is to say of a study, read at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import make_url

from paretosearch.device import Device
from paretosearch.errors import StoreError, UsageError
from paretosearch.report.findings import Findings, findings
from paretosearch.store import Counts, Store, StudyRecord, redacted


@dataclass(frozen=True)
class Watched:
    """A study while somebody watches it.

    Args:
        record: The study.
        counts: How many of its trials ended how.
        devices: Those that have trained it.
        device_seconds: What it has spent.
        found: What it has found; None before the first result.
        launched: Whether a Launcher works on it now; None if nobody knows.
        place: Options of a command that name the database, if it needs any.
    """

    record: StudyRecord
    counts: Counts
    devices: Sequence[Device]
    device_seconds: float
    found: Findings | None
    launched: bool | None = None
    place: Sequence[str] = ()

    @property
    def budget(self) -> Mapping[str, Any]:
        """What the study file allows: ``trials``, ``device_hours``, both or nothing that can be read."""
        try:
            budget = tomllib.loads(self.record.text).get("budget")
        except ValueError:
            return {}
        return budget if isinstance(budget, dict) else {}

    def command(self, *words: str) -> list[str]:
        """Give a command line of ours on this study's database."""
        return ["paretosearch", *words, *self.place]


def watched(store: Store, study: str, url: str, launched: bool | None = None) -> Watched:
    """Read a study.

    Args:
        store: Where it is kept.
        study: Its name.
        url: The database as commands name it.
        launched: Whether a Launcher works on it now; None if nobody knows.

    Returns:
        All that is to be said of it.

    Raises:
        StoreError: If there is no such study, or the database refuses.
    """
    record = store.study(study)
    if record is None:
        raise StoreError(f"the store has no study {study!r}")
    return Watched(
        record=record,
        counts=store.counts(study),
        devices=store.devices(study),
        device_seconds=store.device_seconds(study),
        found=_found(store, study),
        launched=launched,
        place=_place(url),
    )


def _found(store: Store, study: str) -> Findings | None:
    try:
        return findings(store, study)
    except StoreError:
        raise
    except UsageError:  # no trial is complete yet
        return None


def _place(url: str) -> tuple[str, ...]:
    """Name a file of SQLite; a server is named by the environment, which alone may hold a password."""
    return ("--storage", redacted(url)) if make_url(url).get_backend_name() == "sqlite" else ()
