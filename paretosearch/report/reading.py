"""What a reader looks for in a front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from paretosearch.store import Front, Point

T = TypeVar("T")

#: Times that span more than this are read on a logarithmic axis.
LOG_SPAN = 20.0


def spans_decades(seconds: Sequence[float]) -> bool:
    """Say whether positive times are to be read on a logarithmic axis."""
    return 0 < LOG_SPAN * min(seconds) < max(seconds)


#: What an axis of accuracy shows below a front of one point: a network that has learned nothing says nothing.
MOST_BELOW = 0.3


def accuracy_floor(front: Front) -> float:
    """Choose the lowest accuracy worth showing: below the whole front, but not so low that the front is squashed.

    Args:
        front: At least one point.

    Returns:
        An accuracy in [0, 1], below which points may go off the edge.
    """
    low, high = front.points[0].accuracy, front.points[-1].accuracy
    lowest = min(point.accuracy for point in (*front.points, *front.dominated))
    if len(front.points) == 1:  # which nothing can squash
        return max(lowest, low - MOST_BELOW)
    return max(lowest, low - 0.8 * max(high - low, 0.02))


def percent_range(front: Front) -> tuple[float, float]:
    """Choose the ends of an axis of accuracy in percent, with room for labels at both; at least one point."""
    floor, high = 100 * accuracy_floor(front), 100 * front.points[-1].accuracy
    room = max(high - floor, 1.0)
    return floor - 0.2 * room, high + 0.22 * room


def evenly(items: Sequence[T], most: int) -> list[T]:
    """Choose at most ``most`` of some items, evenly spread and with both ends."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(most - 1, 1))] for i in range(most)]


def notable(front: Sequence[Point]) -> dict[str, Point]:
    """Name the fastest and the best point of a front, with the knee between them if it has one.

    Args:
        front: Its points, by training time.

    Returns:
        Points by name; the knee is the point farthest above the line from the fastest to the best, in the logarithm
        of time.
    """
    if not front:
        return {}
    if len(front) == 1:
        return {"only point": front[0]}
    named = {"fastest": front[0], "best": front[-1]}
    if len(front) > 2:
        knee = max(front[1:-1], key=lambda point: _height(point, front[0], front[-1]))
        if _height(knee, front[0], front[-1]) > 0:
            named["knee"] = knee
    return named


def _height(point: Point, first: Point, last: Point) -> float:
    start, here, end = (math.log(max(p.train_seconds, 1e-9)) for p in (first, point, last))
    along = (here - start) / (end - start)
    return (point.accuracy - first.accuracy) / (last.accuracy - first.accuracy) - along
