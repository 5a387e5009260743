"""What a database's own error means to the user."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paretosearch.errors import StoreAwayError, StoreError

#: Part of the database's message, in lower case, and what to do about it; the first that fits.
_ADVICE = (
    ("unable to open database file", "check that the file and its directory are yours to read and write"),
    ("readonly database", "copy it to a place that you may write to"),
    ("read-only transaction", "connect as a user who may write"),
    ("file is not a database", "name another file by --storage"),
    ("malformed", "it is damaged; go back to a copy, or name a new file by --storage"),
    ("database is locked", "another program is writing to it; end that one, then run the same command again"),
    ("disk is full", "make some room on its disk"),
    ("no space left", "make some room on its disk"),
    ("disk i/o error", "look at its disk, and at your quota there"),
    ("the database system is", "it is starting or stopping; run the same command again when it is ready"),
    ("too many clients", "end other connections to it, or let it have more of them (max_connections)"),
    ("remaining connection slots", "end other connections to it, or let it have more of them (max_connections)"),
    ("optuna storage upgrade", "`paretosearch store upgrade` does that"),
    ("updating optuna", "or name another database by --storage"),
    ("password", "set the right user and password in PARETOSEARCH_STORAGE or its password file"),
    ("permission denied", "ask for a database that this user owns"),
    ('role "', "create that user, or name another in PARETOSEARCH_STORAGE"),
    ("does not exist", "create it by `createdb`, or name another by --storage"),
    ("bad value", "correct it in the URL"),
    ("resolve host", "correct the host in the URL"),
    ("connection option", "take it out of the URL"),
    ("connection", "start the server, or correct the host and port in the URL"),
)
#: Parts of what is said, in lower case, where the same call may well succeed in a minute.
_AWAY = (
    "database is locked",
    "database table is locked",
    "the database system is",  # starting up, shutting down, in recovery
    "server closed the connection",
    "terminating connection",
    "connection refused",
    "connection failed",
    "connection is bad",
    "connection timeout",
    "connection reset",
    "could not connect",
    "the connection is closed",
    "the connection is lost",
    "invalid transaction",  # which Optuna goes on with after an error that it has caught
    "too many clients",
    "remaining connection slots",
    "deadlock detected",
    "disk is full",
    "no space left",
    "disk i/o error",  # of SQLite, where a quota is used up
    "resolve host",
    "name or service not known",
    "temporary failure in name resolution",
)
#: Parts of what a server that is there says of who may not in: that stays so, whatever else is said.
_SHUT = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "permission denied",
    '" does not exist',
)
#: PostgreSQL goes on with our SQL, or with advice of its own.
_SEQUEL = re.compile(r"\n(LINE \d+:|\s*Is the server running|\s*This probably means).*", re.DOTALL)
_OTHERWISE = "run again with --debug to see more"
_LONGEST = 300


def complaint(error: BaseException, place: str, secrets: Sequence[str] = ()) -> StoreError:
    """Say in one line what the database refused.

    Args:
        error: What SQLAlchemy, Optuna or the driver raised.
        place: The database, as it may be shown.
        secrets: Its passwords, which the message must not hold, the longest first.

    Returns:
        The error to raise; a `StoreAwayError` if the call is worth repeating.
    """
    kind = StoreAwayError if is_away(error) else StoreError
    said = _SEQUEL.sub("", str(getattr(error, "orig", error)))
    for secret in secrets:
        said = said.replace(secret, "***")
    reason = " ".join(said.split())[:_LONGEST]
    advice = next((advice for part, advice in _ADVICE if part in reason.lower()), _OTHERWISE)
    return kind(f"{place} cannot be used: {reason}; {advice}")


def is_away(error: BaseException) -> bool:
    """Whether a database that refused may take the same call later: it restarts, or another program has it."""
    said = str(getattr(error, "orig", error)).lower()
    if any(part in said for part in _SHUT):
        return False
    return bool(getattr(error, "connection_invalidated", False)) or any(part in said for part in _AWAY)
