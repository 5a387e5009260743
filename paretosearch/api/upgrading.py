"""Makes or upgrades the tables of a store before anything else needs them."""

from __future__ import annotations

from contextlib import closing

from paretosearch.search import upgrade_tables
from paretosearch.store import is_made, open_store, redacted, storage_url


def upgrade(storage: str | None = None) -> str:
    """Bring our tables and Optuna's to what this program expects; where there are none, make them.

    Args:
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else an SQLite file here.

    Returns:
        What was done, in one line that names the database.

    Raises:
        StoreError: If the database cannot be opened or written, or a newer program made the tables.
    """
    url = storage_url(storage)
    was_there = is_made(url)
    with closing(open_store(url)):
        upgrade_tables(url)
    return f"the tables in {redacted(url)} {'are up to date' if was_there else 'were made'}"
