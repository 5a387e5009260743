"""Waits for what may come back: a database that is away, room on a disk that is full."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from paretosearch.errors import StoreAwayError
from paretosearch.fleet.signals import Signals

#: Long enough for somebody to be called; a launch that waits on would keep devices that others could have.
WAIT_SECONDS = 1800.0

#: How often a database that is away is asked whether it is back.
AGAIN_SECONDS = 1.0

T = TypeVar("T")


def minutes(seconds: float) -> str:
    """Write how long something is waited for."""
    return f"{seconds / 60:.0f} minutes"


class Patience:
    """What a launch has with its database.

    Args:
        signals: The user's wishes for an end, the second of which ends every wait.
        say: Called with what the user should know.
        meanwhile: Called again and again while the database is away.
    """

    def __init__(self, signals: Signals, say: Callable[[str], None], meanwhile: Callable[[], None]) -> None:
        self._signals, self._say, self._meanwhile = signals, say, meanwhile
        self._is_over = False

    def until_taken(self, call: Callable[[], T]) -> T:
        """Make a call that is harmless to repeat until the database takes it.

        Raises:
            StoreAwayError: If it has been away for too long in this call or in one before, or nobody wants to wait.
        """
        end = time.monotonic() + (0.0 if self._is_over else WAIT_SECONDS)
        is_said = False
        while True:
            try:
                result = call()
            except StoreAwayError as error:
                self._meanwhile()
                self._end_if_over(end, error)
                if not is_said:
                    self._say(f"waiting up to {minutes(WAIT_SECONDS)} for the database: {error}")
                is_said = True
                time.sleep(AGAIN_SECONDS)
            else:
                if is_said:
                    self._say("the database is back")
                return result

    def _end_if_over(self, end: float, error: StoreAwayError) -> None:
        if time.monotonic() < end and len(self._signals) < 2:
            return
        self._is_over = True
        if self._signals:
            raise error  # the user knows why it ends
        gave_up = f"gave up after {minutes(WAIT_SECONDS)}; the same command continues"
        raise StoreAwayError(f"{gave_up}: {error}") from error
