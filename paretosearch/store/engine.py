"""The connection to the database that a URL names."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from paretosearch.errors import StoreError
from paretosearch.store.complaints import complaint
from paretosearch.store.passwords import FILE_VARIABLE, with_password

VARIABLE = "PARETOSEARCH_STORAGE"
DEFAULT = "sqlite:///paretosearch.db"
FORMS = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"

#: Seconds that a writer waits for another one before it gives up.
BUSY_SECONDS = 30.0
#: Seconds to wait for a server to answer, unless the URL says otherwise.
CONNECT_SECONDS = 10

#: Execution option of a connection that is going to write: SQLite refuses at once a transaction that has read and then
#: wants to write after another one wrote, so a writer says so when it begins and waits its turn there.
WRITES = "paretosearch_writes"

#: FULL: a Worker's file is deleted after the commit, so the commit must survive a power cut; NORMAL would sync a WAL
#: at checkpoints only.
_PRAGMAS = (
    f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
)


def storage_url(named: str | None = None) -> str:
    """Give the database of a command, with its password.

    Args:
        named: What ``--storage`` says; None is ``PARETOSEARCH_STORAGE``, and without that variable an SQLite file here.

    Returns:
        The URL; one of a server that has no password gets that of the file ``PARETOSEARCH_STORAGE_PASSWORD_FILE``,
        whoever named it: a user who names another server takes that variable away, as with ``PGPASSWORD``.

    Raises:
        StoreError: If the file of the password cannot be read, can be read by others, or holds none.
    """
    url, file = named or os.environ.get(VARIABLE) or DEFAULT, os.environ.get(FILE_VARIABLE)
    return with_password(url, Path(file)) if file else url


def redacted(url: str | URL) -> str:
    """Write a database URL, malformed or not, so that it may be shown: without passwords."""
    parsed = _parsed(url)
    if parsed is None or "@" in (parsed.host or ""):  # a password with an @ of its own, cut in the wrong place
        scheme, found, _ = str(url).partition("://")
        return f"{scheme}://***" if found else "***" if any(c in scheme for c in "@=:") else scheme
    return parsed.difference_update_query(_secret_keys(parsed)).render_as_string(hide_password=True)


def shows_password(url: str) -> bool:
    """Whether a database URL, malformed or not, has a password in it."""
    parsed = _parsed(url)
    if parsed is None:
        return "***" in redacted(url)
    return bool(passwords(parsed)) or "@" in (parsed.host or "")


def passwords(url: str | URL) -> tuple[str, ...]:
    """Give all that is secret in a URL, in the spellings that a message may have, the longest first."""
    parsed = _parsed(url)
    if parsed is None:
        return ()
    given = [parsed.password or "", *(part for key in _secret_keys(parsed) for part in parsed.normalized_query[key])]
    return tuple(sorted({s for text in given if text for s in (text, quote(text, ""), quote_plus(text))}, key=len))[
        ::-1
    ]


def _parsed(url: str | URL) -> URL | None:
    """Read a database URL; None if it is malformed."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        return None


def _secret_keys(url: URL) -> list[str]:
    """Name the parts of a URL's query that are passwords; a file of passwords is none."""
    return [key for key in url.query if "pass" in key.lower() and key.lower() != "passfile"]


def open_engine(url: str, create: bool = True) -> Engine:
    """Connect to a database.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER:PASSWORD@HOST/DATABASE``.
        create: Whether it is going to be written to; an SQLite file that is missing is made then.

    Returns:
        An engine that has connected once.

    Raises:
        StoreError: If the URL is malformed, its driver is not installed, or the database cannot be opened.
    """
    parsed = _parse(url)
    engine = _new_engine(parsed, create)
    if parsed.drivername == "sqlite":
        _prepare_file(Path(str(parsed.database)), create)
    try:
        with writer(engine).connect() if create else engine.connect() as connection:
            connection.begin()
    except DBAPIError as error:
        engine.dispose()
        raise trouble(engine, error) from None  # a driver's own error may show parts of the URL
    except UnicodeError:
        raise StoreError(f"{redacted(url)!r} has a host name that cannot be; correct it") from None
    return engine


def writer(engine: Engine) -> Engine:
    """Give the same engine for transactions that write."""
    return engine.execution_options(**{WRITES: True})


def trouble(database: Engine | str, error: BaseException, whose: str = "") -> StoreError:
    """Say in one line, without the password, what a database refused.

    Args:
        database: The database, or a URL that could not be opened.
        error: What SQLAlchemy, Optuna or the driver raised.
        whose: What of the database cannot be used, such as ``Optuna's tables in ``; all of it if empty.
    """
    url = database.url if isinstance(database, Engine) else database
    return complaint(error, whose + redacted(url) + _room(url, error), passwords(url))


def _room(url: str | URL, error: BaseException) -> str:
    """Say in brackets where a file of SQLite has how much room left, if that is what an error is about."""
    about_room = any(part in str(error) for part in ("disk is full", "disk I/O error"))
    parsed = _parsed(url)
    if parsed is None or parsed.get_backend_name() != "sqlite" or not about_room:
        return ""
    folder = Path(str(parsed.database)).absolute().parent
    return f" ({shutil.disk_usage(folder).free} bytes are free in {folder})"


def _parse(url: str) -> URL:
    shown = redacted(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"{shown!r} is no database URL; write {FORMS}") from None
    if "@" in (parsed.host or ""):
        raise StoreError(f"{shown!r} has more than one @; write those of the password as %40")
    if parsed.drivername in ("postgresql", "postgres"):
        raise StoreError(f"{shown} names no driver; write {redacted(parsed.set(drivername='postgresql+psycopg'))}")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StoreError(f"{parsed.drivername} is no database that paretosearch can use; write {FORMS}")
    if parsed.drivername == "sqlite":
        _check_file_name(parsed, shown)
    return parsed


def _check_file_name(parsed: URL, shown: str) -> None:
    if parsed.host:
        raise StoreError(f"{shown!r} names a host, and SQLite has none; write sqlite:///{parsed.host} for a file here")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError(f"{shown!r} would be lost when the program ends; name a file, such as {DEFAULT}")
    if "\0" in parsed.database:
        raise StoreError(f"{shown!r} has a NUL in its name; write {DEFAULT}, for example")


def _prepare_file(path: Path, create: bool) -> None:
    """Make a missing file, or say why it cannot be."""
    try:
        if not path.exists():
            _make_file(path, create)
        elif path.is_dir():
            raise StoreError(f"{path} is a directory; name a file in it by --storage")
        # A file that is there must not be opened here: closing it would drop every SQLite lock that this process has.
    except FileExistsError:
        pass  # another process was faster
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}; name another place by --storage") from None


def _make_file(path: Path, create: bool) -> None:
    if not create:
        raise StoreError(f"there is no database {path}; `paretosearch launch` makes one, --storage names another")
    if not path.parent.is_dir():
        state = "is no directory" if path.parent.exists() else "does not exist"
        raise StoreError(f"{path.parent} {state}, so {path.name} cannot be made in it; name another by --storage")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _new_engine(url: URL, create: bool) -> Engine:
    try:
        return _sqlite_engine(url, create) if url.drivername == "sqlite" else _postgresql_engine(url)
    except ImportError:
        raise StoreError("PostgreSQL needs a driver; install it by pip install 'paretosearch[postgres]'") from None
    except (ArgumentError, ValueError, TypeError):
        raise StoreError(f"{redacted(url)!r} has an option that cannot be; take out what is behind the ?") from None


def _sqlite_engine(url: URL, create: bool) -> Engine:
    engine = create_engine(url)
    event.listen(engine, "connect", _set_up_for_writing if create else _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql_engine(url: URL) -> Engine:
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
    return create_engine(url, pool_pre_ping=True, connect_args=timeout)


def _set_up(connection: Any, _entry: ConnectionPoolEntry | None = None) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _set_up_for_writing(connection: Any, _entry: ConnectionPoolEntry) -> None:
    _set_up(connection)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:  # this PRAGMA does not wait by itself while another process makes the same database
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: Connection) -> None:
    """Begin by ourselves: Python's driver would begin late, and not at all for a change of schema."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
