"""Orders results as NSGA-II does: by rank, and by crowding within a rank."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

from paretosearch.search.coding import Array


def ranked(losses: Array) -> tuple[NDArray[np.int64], Array]:
    """Sort points by dominance.

    Paper: Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, sections III-A and III-B.

    Args:
        losses: Two objectives, both to be minimised, shape (N, 2).

    Returns:
        The rank of each point, 0 for those that no other dominates, shape (N,); and its crowding distance within its
        rank, infinite for the outermost, shape (N,).
    """
    ranks = np.asarray(moocore.pareto_rank(losses)) - 0
    ranks = ranks - ranks.min(initial=0)
    crowding = np.zeros(len(losses))
    for rank in np.unique(ranks):
        members = np.flatnonzero(ranks == rank)
        crowding[members] = _crowding(losses[members])
    return ranks.astype(np.int64), crowding


def _crowding(losses: Array) -> Array:
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] or 1.0
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance
