"""One Launcher writes a study, however many hosts reach its database."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from paretosearch.errors import LockedError
from paretosearch.store.engine import trouble

#: Which of the server's advisory locks are ours, beside others of the same database: "pare" in ASCII.
_LOCKS = 0x70617265

#: Seconds of silence after which a server gives up a Launcher whose host is gone, and with it the lock: about two
#: minutes; PostgreSQL's own are two hours.
_KEEPALIVES = (
    "SET tcp_keepalives_idle = 60",
    "SET tcp_keepalives_interval = 15",
    "SET tcp_keepalives_count = 4",
    "SET idle_in_transaction_session_timeout = '120s'",
)

_LOCK_ALL = text("SELECT pg_try_advisory_xact_lock(:locks, hashtext(:study))")
_LOCK_SHARED = text("SELECT pg_advisory_lock_shared(:locks, hashtext(:study))")
_HOLDER = text("SELECT holder FROM ps_launcher WHERE study = :study")
_NUMBER = text("SELECT number, holder FROM ps_launcher WHERE study = :study FOR SHARE")
# The row is locked by every transaction of its holder until the end of it, and this waits for that.
_TAKE = text(
    "INSERT INTO ps_launcher (study, number, holder, since) VALUES (:study, 1, :holder, now()) "
    "ON CONFLICT (study) DO UPDATE SET number = ps_launcher.number + 1, holder = :holder, since = now() "
    "RETURNING number"
)


_HELD = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = :locks AND objsubid = 2 "
    "AND objid = (hashtext(:study)::bigint & 4294967295)::oid "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def is_claimed(engine: Engine, study: str) -> bool | None:
    """Whether a Launcher has a study; None for a file of SQLite, which does not know."""
    if engine.dialect.name != "postgresql":
        return None
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(_HELD, {"locks": _LOCKS, "study": study}))
    except DBAPIError as error:
        raise trouble(engine, error) from error


class Claim:
    """The right to write a study, until another Launcher takes it.

    Nobody can take it while a connection of this Launcher lives: each of them holds an advisory lock of the server. A
    connection may end without us, by a restart of the server or of a network, and a process may be stopped for an hour
    in the middle of anything. So every transaction looks first whether the study's number is still that of this claim
    (a fencing number), and keeps it from being changed until it ends.

    A database of SQLite is a file of one host, where the lock on the spool folder is enough.

    Args:
        engine: The database, with its tables.
        study: Name of the study, which need not be there yet.

    Raises:
        LockedError: If another Launcher has it.
        StoreError: If the database refuses.
    """

    def __init__(self, engine: Engine, study: str) -> None:
        self._study = study
        self._number: int | None = None
        self._guarded: list[Engine] = []
        if engine.dialect.name == "postgresql":
            try:
                self._anchor = engine.connect()
                self._take(self._anchor)
            except DBAPIError as error:
                raise trouble(engine, error) from error
            self.guard(engine)

    def _take(self, connection: Connection) -> None:
        names = {"locks": _LOCKS, "study": self._study, "holder": f"process {os.getpid()} on {socket.gethostname()}"}
        with connection.begin():
            if not connection.scalar(_LOCK_ALL, names):
                holder = connection.scalar(_HOLDER, names) or "another process"
                connection.invalidate()
                raise LockedError(f"study {self._study!r} is in use by {holder}; wait for it or stop it")
            for statement in _KEEPALIVES:
                connection.exec_driver_sql(statement)
            self._number = connection.scalar(_TAKE, names)
            connection.execute(_LOCK_SHARED, names)

    def guard(self, engine: Engine) -> None:
        """Let an engine's transactions fail with a LockedError once another Launcher has the study."""
        if self._number is not None:
            self._guarded.append(engine)
            event.listen(engine, "close", _unlock)
            engine.dispose()  # connections that hold no lock of ours
            event.listen(engine, "connect", self._hold)
            event.listen(engine, "begin", self._check)

    def _hold(self, connection: Any, _entry: ConnectionPoolEntry) -> None:
        if self._number is None:
            return
        with connection.cursor() as cursor:
            for statement in _KEEPALIVES:
                cursor.execute(statement)
            cursor.execute("SELECT pg_advisory_lock_shared(%s, hashtext(%s))", (_LOCKS, self._study))
        connection.commit()

    def _check(self, connection: Connection) -> None:
        if self._number is None:
            return
        found = connection.execute(_NUMBER, {"study": self._study}).one_or_none()
        number, holder = found or (None, "nobody")
        if number != self._number:
            raise LockedError(f"study {self._study!r} was taken over by {holder}; nothing more of it is done here")

    def release(self) -> None:
        """Let others have the study."""
        if self._number is not None:
            self._number = None
            self._anchor.invalidate()
            for engine in self._guarded:
                engine.dispose()


def _unlock(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # A server takes a moment to notice that a connection was closed, and a lock is to be gone at once. Where this
    # fails the connection is broken, and its lock goes with it.
    with suppress(connection.Error), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")
