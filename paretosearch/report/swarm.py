"""Shifts marks sideways that would cover each other, no more than they must."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

#: How far a mark may stand from its value, as a share of the way to the next value.
_SHARE = 0.4


def shifted(places: Sequence[float], heights: Sequence[float], mark: tuple[float, float], most: float) -> list[float]:
    """Shift marks that stand at the same place.

    Args:
        places: Where each stands, from left to right; the first ones stay nearest to their places.
        heights: How high each stands.
        mark: Breadth of a mark in the unit of the places, and its height in that of the heights.
        most: How far a mark may be shifted; less at a place that is near to another.

    Returns:
        The new places. Of the same place there are columns a mark apart, and a mark stands in the innermost in which it
        covers no other, or, where all are full, in which it is farthest from the others.
    """
    swarms = {place: _Swarm(min(most, _SHARE * gap), mark) for place, gap in _gaps(places).items()}
    return [place + swarms[place].add(height) for place, height in zip(places, heights, strict=True)]


def _gaps(places: Iterable[float]) -> Mapping[float, float]:
    """Give the way from each place to the nearest other one."""
    known = sorted(set(places))
    ways = np.diff(known, prepend=-np.inf, append=np.inf)
    return dict(zip(known, np.minimum(ways[:-1], ways[1:]).tolist(), strict=True))


class _Swarm:
    """The marks of one place, in columns.

    Args:
        reach: How far from the place a column may stand.
        mark: Breadth and height of a mark.
    """

    def __init__(self, reach: float, mark: tuple[float, float]) -> None:
        breadth, self._height = mark
        self._offsets = _columns(reach, breadth)
        self._taken: list[list[float]] = [[] for _ in self._offsets]  # heights in each column, sorted
        self._across = np.subtract.outer(self._offsets, self._offsets) / breadth

    def add(self, height: float) -> float:
        """Place one more mark; gives its shift."""
        # Of a column the mark nearest in height is the nearest to any column, so that no other has to be looked at.
        up = [_nearest(column, height) / self._height for column in self._taken]
        distances = np.hypot(self._across, up).min(axis=1)
        free = np.flatnonzero(distances > 0.99)  # columns are one breadth apart, but for rounding
        chosen = int(free[0] if len(free) else distances.argmax())
        insort(self._taken[chosen], height)
        return float(self._offsets[chosen])


def _nearest(heights: Sequence[float], height: float) -> float:
    """Give the way from a height to the nearest of sorted ones; infinity if there is none."""
    at = bisect_left(heights, height)
    return min((abs(height - other) for other in heights[max(at - 1, 0) : at + 1]), default=np.inf)


def _columns(reach: float, breadth: float) -> Sequence[float]:
    """List the shifts from the middle outwards; where a mark is broader than there is room, its middle still moves."""
    step, count = (breadth, int(reach / breadth)) if reach >= breadth else (reach, 1)
    return [0.0, *(side * step * n for n in range(1, count + 1) for side in (1, -1))]
