"""The kinds of range that a value of a Recipe can be drawn from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeGuard

from paretosearch.errors import StudyFileError

Value = bool | int | float | str


def spelled(value: object, other: Callable[[Any], str] = str) -> str:
    """Write a value as a study file spells it: ``true`` and ``false``, and whatever else as ``other`` does."""
    return json.dumps(value) if isinstance(value, bool) else other(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Real:
    """Real numbers in [low, high].

    Args:
        low: Smallest value.
        high: Largest value, at least ``low``.
        default: Value of a Recipe that does not name one.
        log: Draw uniformly in the logarithm; needs ``low > 0``.

    Raises:
        StudyFileError: If the range is upside down, or ``log`` meets a ``low`` of 0 or less.
    """

    low: float
    high: float
    default: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(self.low))  # 0 and 0.0 are one range and must have one hash
        object.__setattr__(self, "high", float(self.high))
        _check_order(self.low, self.high)
        if self.log and self.low <= 0:
            raise StudyFileError(f"log needs a low above 0, not {self.low:g}")
        assert self.default is None or self.contains(self.default)

    def contains(self, value: object) -> bool:
        return _is_number(value) and self.low <= value <= self.high  # not a number is not between any two

    def values(self) -> None:
        """A continuum has no list of values."""

    @property
    def count(self) -> int | None:
        """Number of values: None, or 1 if ``low`` is ``high``."""
        return 1 if self.low == self.high else None

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Int:
    """Whole numbers in [low, high].

    Args:
        low: Smallest value.
        high: Largest value, at least ``low``.
        default: Value of a Recipe that does not name one.
        log2: Only ``low``, ``2 * low``, ``4 * low`` and so on up to ``high``, which must be one of them.

    Raises:
        StudyFileError: If the range is upside down, or ``high`` is no doubling of ``low``.
    """

    low: int
    high: int
    default: int | None = None
    log2: bool = False

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)
        if self.log2:
            self._check_doublings()
        assert self.default is None or self.contains(self.default)

    def _check_doublings(self) -> None:
        if self.low < 1:
            raise StudyFileError(f"log2 needs a low of at least 1, not {self.low}")
        largest = self._doublings()[-1]
        if largest != self.high:
            near = f"{largest} or {2 * largest}"
            raise StudyFileError(f"high = {self.high} is not low = {self.low} doubled some times; write {near}")

    def _doublings(self) -> tuple[int, ...]:
        return tuple(self.low << k for k in range((self.high // self.low).bit_length()))

    def contains(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return value in self._doublings() if self.log2 else self.low <= value <= self.high

    def values(self) -> tuple[int, ...] | None:
        """List the doublings of a ``log2`` axis; None for a plain one."""
        return self._doublings() if self.log2 else None

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self._doublings()) if self.log2 else self.high - self.low + 1

    def __str__(self) -> str:
        step = ", doubling" if self.log2 else ""
        return f"a whole number from {self.low} to {self.high}{step}"


@dataclass(frozen=True)
class Choice:
    """One of a few listed values.

    Args:
        options: The values, in the order to show them.
        default: Value of a Recipe that does not name one.

    Raises:
        StudyFileError: If there is no option, or one stands twice.
    """

    options: tuple[Value, ...]
    default: Value | None = None

    def __post_init__(self) -> None:
        if not self.options:
            raise StudyFileError("a list of values needs at least one")
        for position, option in enumerate(self.options):
            if option in self.options[:position]:
                raise StudyFileError(f"{spelled(option, repr)} stands twice in the list")
        assert self.default is None or self.contains(self.default)

    def contains(self, value: object) -> bool:
        return any(type(value) is type(option) and value == option for option in self.options)

    def values(self) -> tuple[Value, ...]:
        """List the options."""
        return self.options

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.options)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(spelled, self.options))


@dataclass(frozen=True)
class Text:
    """Texts in a notation of their own; a study searches a list of them.

    Args:
        what: What such a text is called.
        examples: Some of them, for messages.
        default: Value of a Recipe that does not name one.
        problem: Says what is wrong with a text; None if it is in the notation.
    """

    what: str
    examples: tuple[str, ...]
    default: str
    problem: Callable[[str], str | None] = field(repr=False, compare=False)

    def contains(self, value: object) -> bool:
        return isinstance(value, str) and self.problem(value) is None

    def values(self) -> None:
        """There is no end of texts."""

    count: ClassVar[None] = None

    def __str__(self) -> str:
        return f"a {self.what} such as {', '.join(self.examples)}"


#: What a search can vary: of texts in a notation of their own, a list.
SearchAxis = Real | Int | Choice

Axis = SearchAxis | Text


def refusal(axis: Axis, value: object) -> str:
    """Say what is wrong with a value that an axis does not contain, to follow the value in a message."""
    if isinstance(axis, Text) and isinstance(value, str):
        return f"is no {axis.what}: {axis.problem(value)}"
    return f"is not {axis}"


def _check_order(low: float, high: float) -> None:
    if not low <= high:
        raise StudyFileError(f"low = {low:.12g} is above high = {high:.12g}; exchange them")
