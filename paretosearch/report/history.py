"""How a front grew while the search went on."""

from __future__ import annotations

from collections.abc import Sequence

from paretosearch.store import Front, FrontEvent
from paretosearch.store.front import hypervolume

#: The first trials alone give most of the area, and would flatten the rest: the axis begins where the front is after
#: this share of the device time.
_EARLY = 0.02


def growth(front: Front, events: Sequence[FrontEvent]) -> list[tuple[float, float]]:
    """Follow the hypervolume over the device time spent, against the reference point of today.

    The hypervolume stored with an event belongs to the reference point of its day, which moved whenever a trial was
    slower than all before; measured against one point the areas can be compared, and never shrink.

    Args:
        front: The front now, with every result that was ever on it.
        events: Who entered and left, in order; those of other classes of device are left out.

    Returns:
        Device-seconds and hypervolume in seconds after each change of the front.
    """
    results = {p.trial: (p.train_seconds, p.accuracy) for p in (*front.points, *front.dominated)}
    device_class = next((point.device_class for point in front.points), None)
    entered: set[int] = set()  # who left since then is dominated, and adds nothing to the area
    curve: dict[int, tuple[float, float]] = {}
    for event in events:
        if event.device_class != device_class or event.kind == "left":
            continue
        entered.add(event.trial)
        area = hypervolume([results[trial] for trial in sorted(entered) if trial in results], front.reference)
        curve[event.cause] = (event.device_seconds, area)
    return list(curve.values())


def area_range(grown: Sequence[tuple[float, float]], total_seconds: float) -> tuple[float, float]:
    """Choose the ends of an axis of hypervolume.

    Args:
        grown: What `growth` gave; at least one change.
        total_seconds: Device-seconds of the whole study.

    Returns:
        The lower and the upper end, in seconds.
    """
    last = grown[-1][1]
    early = max(area for seconds, area in grown if seconds <= max(_EARLY * total_seconds, grown[0][0]))
    room = max(last - early, 0.01 * last, 1e-3)
    return max(0.0, early - 0.3 * room), last + 0.15 * room
