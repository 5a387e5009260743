"""Who looks at a search while it runs disturbs nobody."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from paretosearch import load_front
from paretosearch.errors import ParetosearchError
from paretosearch.testing.checker import read_history
from paretosearch.testing.nemesis import MakeVictim

LOOKS_PER_SECOND = 20


@pytest.mark.faults
def test_looking_at_a_search_disturbs_nobody(make_victim: MakeVictim, note_fault: Callable[[str, str], None]) -> None:
    victim = make_victim(20, slots="2")
    launcher = victim.start()
    while not any(event["event"] == "told" for event in read_history(victim.history)):
        time.sleep(0.05)
    looks = errors = 0
    while launcher.poll() is None:
        begun = time.monotonic()
        try:
            load_front(victim.name, storage=victim.url)
            with closing(sqlite3.connect(victim.folder / "store.db", timeout=0)) as plotter:
                plotter.execute("SELECT count(*) FROM trial_values").fetchone()
        except (ParetosearchError, sqlite3.Error):
            errors += 1
        looks += 1
        time.sleep(max(0.0, 1 / LOOKS_PER_SECOND - (time.monotonic() - begun)))
    assert victim.finish(launcher) == 0, victim.said()
    assert victim.verdict().is_clean, victim.verdict()
    waits = victim.said().count("for the database: ")
    note_fault("F24", f"Launcher errors 0, waits {waits}, readers' errors {errors} of {looks} looks")
    assert (errors, waits) == (0, 0)
    assert looks > LOOKS_PER_SECOND
