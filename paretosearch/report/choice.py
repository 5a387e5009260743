"""The recipe of a front that is best within what somebody can spend, or needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from paretosearch.errors import UsageError
from paretosearch.report.words import seconds_text
from paretosearch.store import Estimate, Front


@dataclass(frozen=True)
class Bounds:
    """What a recipe must keep.

    Args:
        seconds: Most training seconds; None is any.
        accuracy: Least accuracy on the validation split, in [0, 1]; None is any.
    """

    seconds: float | None = None
    accuracy: float | None = None

    def hold(self, found: Estimate) -> bool:
        """Whether a result keeps them."""
        return self.allow(found) and (self.accuracy is None or found.accuracy >= self.accuracy)

    def allow(self, found: Estimate) -> bool:
        """Whether a result is fast enough."""
        return self.seconds is None or found.train_seconds <= self.seconds

    def __str__(self) -> str:
        """Say what a recipe does that keeps them, such as ``reaches 93 % within 60 s``."""
        does = "is trained" if self.accuracy is None else f"reaches {100 * self.accuracy:g} %"
        return does if self.seconds is None else f"{does} within {self.seconds:g} s"


@dataclass(frozen=True)
class Choice:
    """A recipe of a front, with what one step along the front would cost or give.

    Args:
        bounds: What it keeps.
        found: What is known of it: means of its repeats, or its first result where there are none.
        faster: The next faster one, which is less accurate; None if it is the fastest.
        slower: The next slower one, which is more accurate; None if it is the best.
    """

    bounds: Bounds
    found: Estimate
    faster: Estimate | None
    slower: Estimate | None


def choose(front: Front, estimates: Sequence[Estimate], bounds: Bounds) -> Choice:
    """Choose the recipe of a front that is most accurate within its seconds, or the fastest that is accurate enough.

    Where a member of the front was trained again, the means count: the first result, by which it came on the front, is
    too good on average. A member that the means of another one dominate is left out.

    Args:
        front: The front of first results.
        estimates: What repeats say of all results of the same class of device.
        bounds: What to keep. Where both are given, the most accurate within the seconds is chosen.

    Returns:
        The choice.

    Raises:
        UsageError: If no member keeps the bounds; names the nearest there is.
    """
    members = {point.trial for point in front.points}
    line = _staircase([estimate for estimate in estimates if estimate.point.trial in members])
    if not line:
        raise UsageError("no trial is complete yet, so there is nothing to pick")
    fitting = [number for number, found in enumerate(line) if bounds.hold(found)]
    if not fitting:
        raise UsageError(f"no recipe on the front {bounds}: {_nearest(line, bounds)}")
    at = fitting[0] if bounds.seconds is None else fitting[-1]
    return Choice(bounds, line[at], line[at - 1] if at else None, line[at + 1] if at + 1 < len(line) else None)


def _staircase(found: Sequence[Estimate]) -> list[Estimate]:
    """Keep what nothing else dominates, by seconds, which is also by accuracy."""
    line: list[Estimate] = []
    for estimate in sorted(found, key=lambda e: (e.train_seconds, -e.accuracy, e.point.trial)):
        if not line or estimate.accuracy > line[-1].accuracy:
            line.append(estimate)
    return line


def _nearest(line: Sequence[Estimate], bounds: Bounds) -> str:
    """Say what comes nearest to bounds that nothing keeps, and how to ask for it."""
    fast_enough = [found for found in line if bounds.allow(found)]
    if not fast_enough:
        return f"the fastest takes {_reached(line[0])}; ask for --seconds {_rounded(line[0].train_seconds, 3, up=True)}"
    if bounds.seconds is None or fast_enough[-1] is line[-1]:
        return f"the best reaches {_best(line[-1])}; ask for --accuracy {_percent(line[-1])}"
    enough = next((found for found in line if bounds.accuracy is None or found.accuracy >= bounds.accuracy), None)
    later = f"; {100 * (bounds.accuracy or 0):g} % takes {_reached(enough)}" if enough else ""
    return f"within that time the best reaches {_best(fast_enough[-1])}{later}"


def _reached(found: Estimate) -> str:
    return f"{seconds_text(found.train_seconds)} s and reaches {100 * found.accuracy:.2f} % (trial {found.point.trial})"


def _best(found: Estimate) -> str:
    return f"{100 * found.accuracy:.2f} % in {seconds_text(found.train_seconds)} s (trial {found.point.trial})"


def _percent(found: Estimate) -> str:
    return f"{_rounded(100 * Decimal(found.accuracy), 4, up=False)}%"


def _rounded(value: float | Decimal, digits: int, up: bool) -> str:
    """Round to some digits in the direction in which whoever asks for the result gets it."""
    exact = Decimal(value)
    place = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    return f"{float(exact.quantize(place, ROUND_CEILING if up else ROUND_FLOOR)):g}"


def read_accuracy(text: str | None) -> float | None:
    """Read an accuracy as people write it: ``0.93``, ``93%`` or ``93 %``.

    Raises:
        UsageError: If it is none.
    """
    if text is None:
        return None
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(Decimal(number) / (100 if percent else 1))  # floats divide to a neighbour of what is meant
    except (ArithmeticError, ValueError):
        value = math.nan
    if rest or not 0 < value <= 1:
        hint = f"; did you mean {text.strip()}%?" if not percent and 1 < value <= 100 else ""
        if "," in text:
            hint = f"; did you mean {text.strip().replace(',', '.')}?"
        raise UsageError(f"--accuracy {text!r} is no accuracy: write 0.93 or 93%{hint}")
    return value
