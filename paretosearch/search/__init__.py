"""Chooses the next genome to train."""

from paretosearch.search.grid import PLANS, grid, star
from paretosearch.search.stopping import Stopper
from paretosearch.search.storage import copy_trials, upgrade_tables
from paretosearch.search.study import Asked, Search, open_search

__all__ = ["PLANS", "Asked", "Search", "Stopper", "copy_trials", "grid", "open_search", "star", "upgrade_tables"]
