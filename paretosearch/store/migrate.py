"""Brings the tables of a database to what this program expects."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from paretosearch.errors import StoreError
from paretosearch.store.engine import open_engine, redacted, trouble, writer
from paretosearch.store.tables import PREFIX, Base

#: Any number that other programs on the same server do not lock: "pareto" in ASCII.
_LOCK = 0x70617265746F


def _is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "table" or (name or "").startswith(PREFIX)


#: How Alembic is to look at a database; the tables of Optuna are not there for it.
OPTIONS: dict[str, Any] = {
    "version_table": f"{PREFIX}alembic_version",
    "target_metadata": Base.metadata,
    "include_name": _is_ours,
}


def upgrade(engine: Engine) -> None:
    """Bring the tables of a database to the newest revision; several processes may do so at once.

    Args:
        engine: The database, empty, old or new.

    Raises:
        StoreError: If a newer program made the tables, or the database refuses.
    """
    try:
        if not _is_current(engine):
            with writer(engine).begin() as connection:  # all steps or none, one process at a time
                if engine.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                _apply(connection)
    except DBAPIError as error:
        raise trouble(engine, error) from error


def require_tables(engine: Engine) -> None:
    """Check that a database is one of ours, of any revision that can be upgraded.

    Raises:
        StoreError: If there are no tables of ours, or the database refuses.
    """
    try:
        with engine.connect() as connection:
            found = revision(connection)
    except DBAPIError as error:
        raise trouble(engine, error) from error
    if found is None:
        raise StoreError(
            f"no search was launched in {redacted(engine.url)} yet; "
            "start one by `paretosearch launch`, or name another database by --storage"
        )


def is_made(url: str) -> bool:
    """Whether a database has tables of ours, of any revision; an SQLite file that is missing is made to be looked at.

    Raises:
        StoreError: If it cannot be opened.
    """
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return revision(connection) is not None
    except DBAPIError as error:
        raise trouble(engine, error) from error
    finally:
        engine.dispose()


def revision(connection: Connection) -> str | None:
    """Read the revision of the tables; None if there are none."""
    return MigrationContext.configure(connection, opts=OPTIONS).get_current_revision()


def _is_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        found = revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"the tables in {redacted(engine.url)} are of revision {found}, made by a newer program, "
            f"and paretosearch {version('paretosearch')} knows them up to {max(known)}; upgrade paretosearch"
        )
    return found == max(known)


def _apply(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "paretosearch.store:migrations")
    return config
