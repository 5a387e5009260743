"""Places the values of one searched axis along a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, MaxNLocator

from paretosearch.axis import Value
from paretosearch.report.words import value_text

_MOST_TICKS = 4
_OFF = -0.22  # clear of the number line's own start at 0
#: Letters that are not about as broad as a digit, with how much of one they are, in DejaVu Sans.
_BREADTHS = {**dict.fromkeys("fijlrtI.,:;!|'()[]/- ", 0.6), **dict.fromkeys("mwMW+=~%@", 1.35)}
_GAP = 0.7  # between two texts


@dataclass(frozen=True)
class Ruler:
    """Where values stand: numbers on a line from 0 to 1 with ``off`` left of it, anything else in a row of names.

    Args:
        names: The names, one unit apart; empty for numbers.
        low: Smallest number.
        high: Largest number.
        log: Whether numbers stand by their logarithm.
        ticks: Numbers to write.
        has_off: Whether ``off`` occurs beside numbers.
        letters: How many fit into its width, as broad as a digit.
    """

    names: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    ticks: tuple[float, ...] = ()
    has_off: bool = False
    letters: int = 24

    def at(self, value: Value | None) -> float:
        """Give the place of a value."""
        if self.names:
            return float(self.names.index(value_text(value)))
        if value is None:
            return _OFF
        if self.high == self.low:
            return 0.5
        scale = math.log if self.log else float
        return (scale(float(value)) - scale(self.low)) / (scale(self.high) - scale(self.low))

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Places with what to write there."""
        off = [(_OFF, "off")] if self.has_off else []
        numbers = self._apart([(self.at(tick), value_text(tick)) for tick in self.ticks])
        return [*off, *numbers, *self._named]

    @property
    def ends(self) -> tuple[float, float]:
        """Where the line begins and ends, with room beside the outermost places."""
        return (-0.6, len(self.names) - 0.4) if self.names else (_OFF - 0.12 if self.has_off else -0.12, 1.12)

    def draw(self, axes: Axes) -> None:
        """Write the ticks on the x axis."""
        places, texts = zip(*self.marks, strict=True)
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.xaxis.set_major_formatter(FixedFormatter(texts))
        axes.set_xlim(*self.ends)
        if self._crowded(2):
            for label in axes.get_xticklabels():
                label.set(rotation=30, ha="right", rotation_mode="anchor")

    def _apart(self, numbers: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
        """Leave out numbers that would touch the one before, or ``off``."""
        kept: list[tuple[float, str]] = []
        end = _OFF + 2.5 / self.letters if self.has_off else -1.0
        for place, text in numbers:
            half = (_breadth(text) / 2 + _GAP) * 1.2 / self.letters  # the line is a little longer than from 0 to 1
            if place - half >= end:
                kept.append((place, text))
                end = place + half
        return kept

    @property
    def _named(self) -> list[tuple[float, str]]:
        """Write every second name a line lower, where that makes room enough and is needed."""
        lower = "\n" if self._crowded(1) and not self._crowded(2) else ""
        return [(float(i), (lower if i % 2 else "") + name) for i, name in enumerate(self.names)]

    def _crowded(self, step: int) -> bool:
        """Say whether names so many places apart would touch."""
        neighbours = zip(self.names, self.names[step:], strict=False)
        return any(
            (_breadth(a) + _breadth(b)) / 2 + _GAP > step * self.letters / len(self.names) for a, b in neighbours
        )


def _breadth(text: str) -> float:
    return sum(_BREADTHS.get(letter, 1.0) for letter in text)


def ruler_of(values: Sequence[Value | None], order: Sequence[str] = (), letters: int = 24) -> Ruler:
    """Find a ruler for what occurs.

    Args:
        values: The values of all trials on one axis; None where the Method is off.
        order: Names to list first, in this order, where they occur.
        letters: How many fit into its width, as broad as a digit.

    Returns:
        A line of numbers, logarithmic where they are doublings, or span more than a factor of 20 and bunch at its
        lower end; a row of names otherwise.
    """
    present = [value for value in values if value is not None]
    numbers = sorted({float(v) for v in present if isinstance(v, int | float) and not isinstance(v, bool)})
    if not numbers or len(numbers) < len(set(present)):
        found = {value_text(value) for value in values}
        names = *(n for n in ("off", *order) if n in found), *sorted(found.difference(order, ["off"]))
        return Ruler(names, letters=letters)
    log = numbers[0] > 0 and (_bunched(numbers) or _doublings(numbers))
    has_off = len(present) < len(values)
    return Ruler((), numbers[0], numbers[-1], log, _ticks(numbers, log), has_off, letters)


def _bunched(numbers: Sequence[float]) -> bool:
    """Say whether half of the values lie in the lowest quarter, as values drawn by their logarithm do."""
    middle = numbers[len(numbers) // 2]
    return numbers[-1] > 20 * numbers[0] and middle < numbers[0] + 0.25 * (numbers[-1] - numbers[0])


def _doublings(numbers: Sequence[float]) -> bool:
    return len(numbers) > 2 and all(math.log2(number / numbers[0]).is_integer() for number in numbers)


def _ticks(numbers: Sequence[float], log: bool) -> tuple[float, ...]:
    if len(numbers) <= 2 * _MOST_TICKS and all(float(f"{number:.2g}") == number or number > 99 for number in numbers):
        return tuple(numbers[:: math.ceil(len(numbers) / _MOST_TICKS)])
    by_tens, between = LogLocator(numticks=_MOST_TICKS + 2), LogLocator(subs=(1, 2, 5), numticks=_MOST_TICKS + 2)
    for locator in (by_tens, between) if log else (MaxNLocator(_MOST_TICKS, steps=[1, 2, 3, 5, 10]),):
        ticks = [float(t) for t in locator.tick_values(numbers[0], numbers[-1]) if numbers[0] <= t <= numbers[-1]]
        if len(ticks) > 1:
            return tuple(ticks)
    return numbers[0], numbers[-1]
