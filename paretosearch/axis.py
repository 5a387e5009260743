"""The kinds of range that a value of a Recipe can be drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

Value = bool | int | float | str


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Real:
    """Real numbers in [low, high].

    Args:
        low: Smallest value.
        high: Largest value, at least ``low``.
        default: Value of a Recipe that does not name one.
        log: Draw uniformly in the logarithm; needs ``low > 0``.
    """

    low: float
    high: float
    default: float | None = None
    log: bool = False

    def contains(self, value: object) -> bool:
        return _is_number(value) and self.low <= float(value) <= self.high  # type: ignore[arg-type]  # a number, says _is_number

    def values(self) -> None:
        """A continuum has no list of values."""

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Int:
    """Whole numbers in [low, high].

    Args:
        low: Smallest value.
        high: Largest value, at least ``low``.
        default: Value of a Recipe that does not name one.
        log2: Only ``low``, ``2 * low``, ``4 * low`` and so on up to ``high``.
    """

    low: int
    high: int
    default: int | None = None
    log2: bool = False

    def contains(self, value: object) -> bool:
        if not _is_number(value) or not isinstance(value, int):
            return False
        return value in (self.values() or ()) if self.log2 else self.low <= value <= self.high

    def values(self) -> tuple[int, ...] | None:
        """List the doublings of a ``log2`` axis; None for a plain one."""
        if not self.log2:
            return None
        doublings = int(math.log2(self.high / self.low) + 1e-9)
        return tuple(self.low << k for k in range(doublings + 1))

    def __str__(self) -> str:
        step = ", doubling" if self.log2 else ""
        return f"a whole number from {self.low} to {self.high}{step}"


@dataclass(frozen=True)
class Choice:
    """One of a few listed values.

    Args:
        options: The values, in the order to show them.
        default: Value of a Recipe that does not name one.
    """

    options: tuple[Value, ...]
    default: Value | None = None

    def contains(self, value: object) -> bool:
        return any(type(value) is type(option) and value == option for option in self.options)

    def values(self) -> tuple[Value, ...]:
        """List the options."""
        return self.options

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


Axis = Real | Int | Choice
