"""Optuna's tables: opened, made, brought up to date, and what they say against a call."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from paretosearch.errors import StoreAwayError, StoreError
from paretosearch.store.engine import trouble

#: A dashboard or a backup may hold SQLite's lock for seconds; the driver's own patience of 5 is short of that.
SQLITE_PATIENCE_SECONDS = 60

#: Times that first launches on an empty database may get into each other's way.
MOST_MEETINGS = 20


def connect(url: str, any_version: bool = False) -> RDBStorage:
    """Open Optuna's tables, and make them where there are none.

    Args:
        url: SQLAlchemy URL of the database, with its driver.
        any_version: Whether tables of another Optuna will do.

    Raises:
        StoreError: If the database cannot be opened or written, or another Optuna made the tables.
    """
    with store_errors(url, ImportError, RuntimeError):  # a driver that is not here, tables of another Optuna
        sqlite = {"connect_args": {"timeout": SQLITE_PATIENCE_SECONDS}}
        kwargs = sqlite if make_url(url).get_backend_name() == "sqlite" else {}
        formatted = url.replace("{", "{{").replace("}", "}}")  # Optuna formats it
        return _made(lambda: RDBStorage(formatted, engine_kwargs=kwargs, skip_compatibility_check=any_version))


def _made(make: Callable[[], RDBStorage]) -> RDBStorage:
    """Open Optuna's tables; where several processes make them at once, all but one fail and find them soon after."""
    for _ in range(MOST_MEETINGS):
        try:
            return make()
        except (DatabaseError, StorageInternalError) as error:
            said = str(error.__cause__ or error).lower()
            if not any(part in said for part in ("already exists", "unique constraint", "duplicate key")):
                raise
        time.sleep(random.uniform(0.05, 0.5))
    return make()


def close(storage: RDBStorage) -> None:
    """Let go of the database."""
    storage.remove_session()
    storage.engine.dispose()


def upgrade_tables(url: str) -> None:
    """Make Optuna's tables where there are none, and bring those of an older Optuna to what this one expects.

    Args:
        url: SQLAlchemy URL of the database, with its driver.

    Raises:
        StoreError: If the database cannot be opened or written, or a newer Optuna made the tables.
    """
    storage = connect(url, any_version=True)
    try:
        with store_errors(storage.engine):
            found = storage.get_current_version()
            if found not in storage.get_all_versions():
                known = f"which Optuna {optuna.__version__} does not know; upgrade it"
                raise StoreError(f"Optuna's tables are of version {found}, {known}")
            if found != storage.get_head_version():
                storage.upgrade()
    finally:
        close(storage)


def copy_trials(source: str, target: str, name: str) -> None:
    """Copy an Optuna study, whose trials keep their numbers.

    Args:
        source: SQLAlchemy URL of the database that has it, with its driver.
        target: That of the one that gets it.
        name: Its name.

    Raises:
        StoreError: If a database cannot be opened or written, or the other has a study of that name.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it tells of is ours to say
    found, made = connect(source), connect(target)
    try:
        with store_errors(made.engine):
            optuna.copy_study(from_study_name=name, from_storage=found, to_storage=made)
    except DuplicatedStudyError:
        raise StoreError(f"Optuna has a study {name!r} there already; choose another database") from None
    finally:
        close(found)
        close(made)


@contextmanager
def store_errors(database: Engine | str, *more: type[Exception]) -> Iterator[None]:
    """Say what the database has against a call of Optuna's in one line of ours.

    Args:
        database: The database, or the URL that is to be opened.
        more: Further kinds of errors that are the database's.

    Raises:
        StoreAwayError: If the call may be repeated.
        StoreError: If not.
    """
    # A connection that breaks inside of some calls is an UnboundLocalError there (Optuna 5.0, issue 5280); half a pair
    # of surrogates, which no database takes, is a UnicodeError.
    ours = SQLAlchemyError, StorageInternalError, UnboundLocalError, UnicodeError
    kinds: tuple[type[Exception], ...] = (*ours, *more)
    try:
        yield
    except kinds as error:
        said = trouble(database, error.__cause__ or error.__context__ or error, "Optuna's tables in ")
        raise (StoreAwayError(str(said)) if isinstance(error, UnboundLocalError) else said) from error
