"""Makes or upgrades the tables of a store before anything else needs them."""

from __future__ import annotations

from contextlib import closing

from paretosearch.search import upgrade_tables
from paretosearch.store import open_store, redacted


def upgrade(storage: str | None = None) -> str:
    """Bring our tables and Optuna's to what this program expects; where there are none, make them.

    Args:
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else an SQLite file here.

    Returns:
        The database, as it may be shown.

    Raises:
        StoreError: If the database cannot be opened or written, or a newer program made the tables.
    """
    with closing(open_store(storage)) as store:
        upgrade_tables(store.url)
        return redacted(store.url)
