"""Chooses the next genome to train."""

from paretosearch.search.grid import grid
from paretosearch.search.stopping import Stopper
from paretosearch.search.storage import upgrade_tables
from paretosearch.search.study import Asked, Search, open_search

__all__ = ["Asked", "Search", "Stopper", "grid", "open_search", "upgrade_tables"]
