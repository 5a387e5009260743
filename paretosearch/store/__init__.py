"""The SQL database that keeps what was searched."""

from paretosearch.store.copying import copy_rows
from paretosearch.store.engine import redacted, shows_password, storage_url
from paretosearch.store.estimates import Estimate, Repeat
from paretosearch.store.front import Front, Point, front_of
from paretosearch.store.migrate import is_made
from paretosearch.store.records import (
    AttemptRecord,
    Counts,
    FrontChange,
    FrontEvent,
    StopDecision,
    StudyRecord,
)
from paretosearch.store.settled import MOST_ATTEMPTS, is_given_up, settling, unsettled
from paretosearch.store.store import Store, open_store

__all__ = [
    "MOST_ATTEMPTS",
    "AttemptRecord",
    "Counts",
    "Estimate",
    "Front",
    "FrontChange",
    "FrontEvent",
    "Point",
    "Repeat",
    "StopDecision",
    "Store",
    "StudyRecord",
    "copy_rows",
    "front_of",
    "is_given_up",
    "is_made",
    "open_store",
    "redacted",
    "settling",
    "shows_password",
    "storage_url",
    "unsettled",
]
