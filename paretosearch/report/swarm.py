"""Shifts marks sideways that would cover each other, no more than they must."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: How far a mark may stand from its value, as a share of the way to the next value.
_SHARE = 0.4


def shifted(places: Sequence[float], heights: Sequence[float], mark: tuple[float, float], most: float) -> list[float]:
    """Shift marks that stand at the same place.

    Args:
        places: Where each stands, from left to right; the first ones stay nearest to their places.
        heights: How high each stands.
        mark: Breadth of a mark in the unit of the places, and its height in that of the heights.
        most: How far a mark may be shifted; less where the next place is near.

    Returns:
        The new places. Of the same place there are columns a mark apart, and a mark stands in the innermost in which it
        covers no other, or, where all are full, in which it is farthest from the others.
    """
    known = sorted(set(places))
    gap = min((right - left for left, right in pairwise(known)), default=np.inf)
    offsets = _columns(min(most, _SHARE * gap), mark[0])
    taken: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for place, height in zip(places, heights, strict=True):
        others = np.reshape(taken[place], (-1, 2))
        shift = _innermost(offsets, height, others, mark)
        taken[place].append((shift, height))
    shifts = {place: iter(of_place) for place, of_place in taken.items()}
    return [place + next(shifts[place])[0] for place in places]


def _columns(reach: float, breadth: float) -> NDArray[np.float64]:
    """List the shifts from the middle outwards; where a mark is broader than there is room, its middle still moves."""
    step, count = (breadth, int(reach / breadth)) if reach >= breadth else (reach, 1)
    return np.array([0.0, *(side * step * n for n in range(1, count + 1) for side in (1, -1))])


def _innermost(
    offsets: NDArray[np.float64], height: float, others: NDArray[np.float64], mark: tuple[float, float]
) -> float:
    if not len(others):
        return 0.0
    across = (offsets[:, None] - others[:, 0]) / mark[0]
    distances = np.hypot(across, (height - others[:, 1]) / mark[1]).min(axis=1)
    free = np.flatnonzero(distances > 0.99)  # columns are one breadth apart, but for rounding
    return float(offsets[free[0] if len(free) else distances.argmax()])
