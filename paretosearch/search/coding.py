"""Writes genomes as numbers between which distances mean something."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from paretosearch.axis import Choice, Int, Real, SearchAxis, Value
from paretosearch.space import Genome, Space

Array = NDArray[np.float64]
Columns = NDArray[np.int64]


class Scale:
    """The values of one axis, with what is near to what.

    Args:
        axis: The axis.

    Attributes:
        is_ordered: Whether neighbours are alike: numbers are, however they are listed.
        values: The values, those of an ordered axis from small to large; None of a continuum.
    """

    def __init__(self, axis: SearchAxis) -> None:
        self._axis = axis
        self.is_ordered = not isinstance(axis, Choice) or all(map(_is_number, axis.options))
        self.values = self._listed()

    def _listed(self) -> tuple[Value, ...] | None:
        axis = self._axis
        if isinstance(axis, Real):
            return None
        values = axis.values()
        if values is None:
            assert isinstance(axis, Int)
            return tuple(range(axis.low, axis.high + 1))
        return tuple(sorted(values)) if self.is_ordered else values

    @cached_property
    def _rank(self) -> dict[Value, float]:
        values = self.values or ()
        return {value: rank / max(1, len(values) - 1) for rank, value in enumerate(values)}

    @property
    def columns(self) -> int:
        """Numbers that a value is written as."""
        return 1 if self.is_ordered else len(self.values or ())

    def value_at(self, position: float) -> Value:
        """Give the value at a share of the range, or of the list, in [0, 1]."""
        if self.values is not None:
            return self.values[min(int(position * len(self.values)), len(self.values) - 1)]
        axis = self._axis
        assert isinstance(axis, Real)
        if axis.log:
            return min(axis.high, math.exp(math.log(axis.low) + position * math.log(axis.high / axis.low)))
        return axis.low + position * (axis.high - axis.low)

    def position(self, value: Value) -> float:
        """Say where a value lies on an ordered axis, in [0, 1]; one beyond the ends is at the nearer end."""
        if value in self._rank:
            return self._rank[value]
        assert not isinstance(value, str)
        if self.values is not None:
            return 0.0 if value < self.values[0] else 1.0  # type: ignore[operator]  # an ordered axis has numbers
        axis = self._axis
        assert isinstance(axis, Real)
        if axis.log:
            return _clipped(math.log(max(value, axis.low) / axis.low) / math.log(axis.high / axis.low))
        return _clipped((value - axis.low) / (axis.high - axis.low))

    def code(self, value: Value) -> list[float]:
        """Write a value as numbers."""
        if self.is_ordered:
            return [self.position(value)]
        # Two values of a list are then as far from each other as the two ends of a range.
        return [math.sqrt(0.5) * (option == value) for option in self.values or ()]


class Coding:
    """The code of one space: an ordered axis is a position in [0, 1], any other an indicator for each of its values.

    Args:
        space: Whose genomes are written.

    Attributes:
        scales: The scale of every axis.
        axes: How many axes have more than one value; only they are written.
        axis_of_column: Which of these each column belongs to, shape (D,).
    """

    def __init__(self, space: Space) -> None:
        self.scales = {name: Scale(axis) for name, axis in space.axes.items()}
        self._written = [name for name, axis in space.axes.items() if axis.count != 1]
        self.axes = len(self._written)
        self.axis_of_column = np.repeat(np.arange(self.axes), [self.scales[name].columns for name in self._written])

    def code(self, genome: Genome) -> Array:
        """Write a genome as a vector, shape (D,)."""
        return np.array([x for name in self._written for x in self.scales[name].code(genome[name])])


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _clipped(share: float) -> float:
    return min(1.0, max(0.0, share))
