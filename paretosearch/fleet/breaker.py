"""Notices that trials fail one after another by no fault of their own."""

from __future__ import annotations

from pathlib import Path

from paretosearch.errors import ParetosearchError
from paretosearch.outcome import Outcome

#: So many trials in a row that fail by no fault of their own stop the launch: the next ones would as well.
MOST_BLAMELESS = 8


class Breaker:
    """Counts the trials in a row that failed by an error of the program or of its machine."""

    def __init__(self) -> None:
        self._why: dict[int, str] = {}

    def count(self, trial: int, outcome: Outcome, again: bool) -> None:
        """Take in how an Attempt has ended, and whether it is tried again."""
        if outcome.failure in ("bug", "infrastructure") and not again:
            self._why[trial] = outcome.message
        elif outcome.status in ("complete", "dominated"):
            self._why.clear()

    @property
    def is_open(self) -> bool:
        """Whether nothing more is to begin."""
        return len(self._why) >= MOST_BLAMELESS

    def error(self, folder: Path) -> ParetosearchError:
        """Say what happened; ``folder`` is where the Workers' logs are."""
        trial, message = self._why.popitem()
        return ParetosearchError(
            f"{MOST_BLAMELESS} trials in a row failed by an error of the program or of this machine, the last one, "
            f"{trial}, by {message!r}; {folder}/worker-*.log has the tracebacks; the same command goes on"
        )
