"""What every database behind the store must do."""

from paretosearch.testing.store.decisions import DecisionSuite
from paretosearch.testing.store.faults import FaultSuite
from paretosearch.testing.store.fronts import FrontSuite
from paretosearch.testing.store.records import RecordSuite
from paretosearch.testing.store.replays import ReplaySuite
from paretosearch.testing.store.schema import SchemaSuite


class StoreSuite(RecordSuite, DecisionSuite, ReplaySuite, FrontSuite, FaultSuite, SchemaSuite):
    """All tests of a store.

    A test module subclasses it and has two fixtures, both of module scope: ``new_database``, which makes an empty
    database and gives its URL, and ``store``, a Store on one such.
    """


__all__ = ["StoreSuite"]
