"""Shows how a study stands, again and again, without touching it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live

from paretosearch.errors import UsageError
from paretosearch.report import progress
from paretosearch.report.classes import fronts_of
from paretosearch.report.screen import Screen
from paretosearch.report.status import status_table
from paretosearch.store import Store

#: Between two looks: each reads the front from the database.
SECONDS = 2.0


def picture(store: Store, study: str, note: Path, launched: bool | None) -> RenderableType:
    """Draw what the launch itself shows, where it is one of this host and user; else how the study stands.

    Args:
        store: Where the study is kept.
        study: Its name.
        note: The file that a launch keeps of its progress.
        launched: Whether a Launcher works on it now; None if nobody knows.

    Raises:
        StoreError: If the database refuses.
    """
    found = progress.read(note) if launched is not False else None
    if found is None:
        return status_table(store, study, launched)
    with suppress(OSError):
        found.elapsed += max(0.0, time.time() - note.stat().st_mtime)
    found.fronts = fronts_of(store, study)
    return Screen(found)


def watch(
    console: Console,
    look: Callable[[], RenderableType],
    goes_on: Callable[[], bool] = lambda: True,
    seconds: float = SECONDS,
) -> None:
    """Draw what is seen, until Ctrl-C or until there is nothing more to see; the last picture stays.

    Args:
        console: Where.
        look: Gives something to draw.
        goes_on: Whether what is seen may still change.
        seconds: Between two looks.

    Raises:
        UsageError: If there is no terminal to draw on.
    """
    if not console.is_terminal:
        raise UsageError("--watch draws on a terminal; a program reads status --json, or launch --json")
    with suppress(KeyboardInterrupt), Live(look(), console=console, auto_refresh=False) as live:
        while goes_on():
            time.sleep(seconds)
            live.update(look(), refresh=True)
        live.stop()
        console.print("no launch is running, so nothing changes; paretosearch launch continues a study", style="dim")
