"""What the shape of a point stands for, in every figure the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paretosearch.recipe import NUMBER_FORMATS
from paretosearch.report.look import Look
from paretosearch.report.style import FAINT, INK, MARKERS, PALETTE
from paretosearch.report.words import axis_value, value_text
from paretosearch.store import Point

#: Axes worth a shape, in this order; known values keep their shape in every study.
KNOWN_ORDER = {"number_format": NUMBER_FORMATS, "pooling": ("max", "avg", "stochastic", "s3")}

#: A point that is too low to show, at the edge: 7 is a caret that points down.
BELOW: dict[str, Any] = {"marker": 7, "color": FAINT, "markersize": 4, "linestyle": "none"}

#: What became of a network, and the sign for it inside its mark, where it is seen without colours too.
SIGNS = {"grown": "+", "pruned": "_", "grown and pruned": "x"}
_SIGN: dict[str, Any] = {"linestyle": "none", "markersize": 3.4, "markeredgewidth": 0.9}


@dataclass(frozen=True)
class Marks:
    """The shapes of a set of points.

    Args:
        axis: The axis that they show; None where all points look the same.
        values: The values that occur, in the order to list them.
    """

    axis: str | None
    values: tuple[str, ...] = ()

    def value(self, point: Point) -> str:
        """Value of the point on the shown axis."""
        return value_text(axis_value(point.recipe, self.axis)) if self.axis else ""

    def sorted(self, points: Sequence[Point]) -> dict[str, list[Point]]:
        """Sort points by their value; every value has a list, be it empty."""
        by_value: dict[str, list[Point]] = {value: [] for value in self.values or ("",)}
        for point in points:
            by_value[self.value(point)].append(point)
        return by_value

    def labels(self, points: Sequence[Point], look: Look) -> dict[str, str]:
        """Name the values of points for a legend; the first also says what they are values of."""
        seen = {self.value(point) for point in points}
        labels = {value: look.say(value) for value in self.values if value in seen}
        for value in list(labels)[:1]:
            labels[value] = f"{look.say(str(self.axis).replace('_', ' '))}: {labels[value]}"
        return labels

    def index(self, value: str) -> int:
        """Number of the shape and colour of a value."""
        known = KNOWN_ORDER[self.axis] if self.axis else ()
        order = [*known, *(v for v in self.values if v not in known)]
        return order.index(value) % len(MARKERS) if value in order else 0

    def shape(self, value: str) -> str:
        """Matplotlib's marker of a value."""
        return MARKERS[self.index(value)]

    def colour(self, value: str) -> str:
        """Colour of a value, as ``#rrggbb``."""
        return PALETTE[self.index(value)]

    def solid(self, value: str) -> dict[str, Any]:
        """How to plot a point of the front."""
        return {**self._outline(value), "color": self.colour(value), "markeredgecolor": INK, "markeredgewidth": 0.6}

    def sign(self, value: str, change: str) -> dict[str, Any]:
        """How to plot, over a point of the front, what became of its network."""
        dark = _brightness(self.colour(value)) < 0.6
        return {**sign_of(change), "color": "white" if dark else INK}

    def faint(self, value: str) -> dict[str, Any]:
        """How to plot a dominated point."""
        return {**self._outline(value), "color": "none", "markeredgecolor": "#b0b0b0", "markeredgewidth": 0.7}

    def _outline(self, value: str) -> dict[str, Any]:
        return {"marker": self.shape(value), "linestyle": "none"}


def marks_of(points: Sequence[Point]) -> Marks:
    """Choose what to tell apart.

    Args:
        points: Everything that will be drawn.

    Returns:
        Shapes by number format, or by pooling where there is one format only, or one shape for all.
    """
    for axis, known in KNOWN_ORDER.items():
        found = {value_text(axis_value(point.recipe, axis)) for point in points}
        if len(found) > 1:
            return Marks(axis, (*(v for v in known if v in found), *sorted(found.difference(known))))
    return Marks(None)


def sign_of(change: str) -> dict[str, Any]:
    """How to plot the sign of a change alone, in a legend."""
    return {**_SIGN, "marker": SIGNS[change], "color": INK}


def _brightness(colour: str) -> float:
    """Luma of ``#rrggbb`` in [0, 1], by ITU-R BT.601."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
