"""Reads the values of options, each refused in one line that says what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from paretosearch.errors import UsageError, suggest

#: The fewest device hours that are a budget; an attempt of seconds is not refused by them.
LEAST_HOURS = 0.001


def whole(option: str, least: int = 0, most: int | None = None) -> Callable[[str | int], int]:
    """Give what reads a whole number.

    Args:
        option: What the number is called on the command line.
        least: The smallest that is allowed.
        most: The largest; None for no limit.

    Returns:
        A function that raises UsageError for anything else.
    """
    limits = f"from {least} to {most}" if most is not None else f"from {least} on"

    def read(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            raise UsageError(f"{option} {text!r} is no whole number {limits}")
        return number

    return read


def hours(text: str | float) -> float:
    """Read a budget in hours of devices.

    Raises:
        UsageError: If it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not LEAST_HOURS <= number < math.inf:
        raise UsageError(f"--device-hours {text!r} is no number of hours from {LEAST_HOURS} on")
    return number


def seconds(text: str | float) -> float:
    """Read a time to train in.

    Raises:
        UsageError: If it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(f"--seconds {text!r} is no time to train in (allowed: numbers above 0, such as 60 or 0.5)")
    return number


def one_of(option: str, what: str, allowed: Sequence[str]) -> Callable[[str], str]:
    """Give what reads a name.

    Args:
        option: What the name is given to on the command line.
        what: What it names.
        allowed: The names that there are.

    Returns:
        A function that raises UsageError for any other.
    """

    def read(text: str) -> str:
        if text not in allowed:
            raise UsageError(f"{option} {text!r} is no {what}{suggest(text, allowed)}")
        return text

    return read
