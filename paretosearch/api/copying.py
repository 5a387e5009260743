"""Copies a study to another database, such as from a server to a file that is taken along."""

from __future__ import annotations

from contextlib import closing

from paretosearch.api.fronts import open_study
from paretosearch.report.words import counted
from paretosearch.search import copy_trials
from paretosearch.store import copy_rows, open_store, redacted, storage_url


def copy_study(to: str, study: str | None = None, storage: str | None = None) -> str:
    """Copy a study with all that is known of it: results, epochs, phases, fronts, and Optuna's trials.

    A copy can do what the original can: be looked at, exported, timed again on other devices, and launched, which then
    goes on without the other.

    Args:
        to: Database URL of the copy; an SQLite file that is missing is made.
        study: Name of the study; None is the newest.
        storage: Where it is; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.

    Returns:
        What was done, in one line that names the database.

    Raises:
        UsageError: If there is no such study.
        StoreError: If a database cannot be opened or written, or the other has a study of that name.
    """
    store, name = open_study(study, storage)
    url = storage_url(to)
    with closing(store), closing(open_store(url)) as target:
        attempts = copy_rows(store, target, name)
        copy_trials(store.url, url, name)
    return f"study {name!r} is in {redacted(url)}, with {counted(attempts, 'training')}"
