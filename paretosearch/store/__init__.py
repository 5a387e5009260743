"""The SQL database that keeps what was searched."""

from paretosearch.store.engine import default_url, redacted
from paretosearch.store.front import Front, Point, front_of
from paretosearch.store.records import AttemptRecord, Counts, FrontChange, FrontEvent, StudyRecord
from paretosearch.store.store import Store, open_store

__all__ = [
    "AttemptRecord",
    "Counts",
    "Front",
    "FrontChange",
    "FrontEvent",
    "Point",
    "Store",
    "StudyRecord",
    "default_url",
    "front_of",
    "open_store",
    "redacted",
]
