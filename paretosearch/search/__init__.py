"""Chooses the next genome to train."""

from paretosearch.search.grid import grid
from paretosearch.search.samplers import SAMPLERS
from paretosearch.search.study import Asked, Search, open_search

__all__ = ["SAMPLERS", "Asked", "Search", "grid", "open_search"]
