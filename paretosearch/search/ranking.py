"""Orders results as NSGA-II does: by rank, and by crowding within a rank."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

from paretosearch.search.coding import Array


def best(losses: Array, count: int) -> NDArray[np.intp]:
    """Sort points by dominance, within a rank the lonelier first, of equals the earlier.

    Paper: Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, sections III-A and III-B.

    Args:
        losses: Two objectives, both to be minimised, shape (N, 2).
        count: How many are wanted.

    Returns:
        Places of the best ones, at most ``count``, the better before the worse.
    """
    ranks = np.asarray(moocore.pareto_rank(losses))
    chosen: list[NDArray[np.intp]] = []
    for rank in np.unique(ranks):
        members = np.flatnonzero(ranks == rank)
        chosen.append(members[np.argsort(-_crowding(losses[members]), kind="stable")])
        if sum(map(len, chosen)) >= count:
            break
    return np.concatenate(chosen)[:count]


def _crowding(losses: Array) -> Array:
    """Measure how far the neighbours of each point of a rank lie apart; infinite for the outermost."""
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] or 1.0
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance
