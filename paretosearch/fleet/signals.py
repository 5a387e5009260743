"""Signals as wishes: noted when they come, acted upon when there is time."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self


class Signals:
    """Takes Ctrl-C, SIGTERM and the end of a terminal as wishes for an end, as long as the context lasts."""

    def __init__(self) -> None:
        self._noted: list[int] = []
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        wished = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which nohup sets
            wished.append(signal.SIGHUP)
        self._previous = {number: signal.signal(number, self._note) for number in wished}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __len__(self) -> int:
        """How many have come: the first is a wish for an end after the epoch, the second for one at once."""
        return len(self._noted)

    @property
    def first(self) -> int | None:
        """Number of the first, or None."""
        return self._noted[0] if self._noted else None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted.append(number)  # whoever is interrupted may be in the middle of an assignment
