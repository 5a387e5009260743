"""A clock that jumps changes stamps, and no seconds."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from paretosearch.testing.faults import STEPS
from paretosearch.testing.nemesis import MakeVictim

SECONDS = "device_seconds, train_seconds, wall_seconds"


@pytest.mark.faults
def test_a_clock_that_jumps_changes_no_seconds(make_victim: MakeVictim, note_fault: Callable[[str, str], None]) -> None:
    victim = make_victim(12)
    assert victim.launch(variables={STEPS: "1"}) == 0, victim.said()
    with closing(sqlite3.connect(victim.folder / "store.db")) as connection:
        rows = connection.execute(f"SELECT outcome, {SECONDS} FROM ps_attempt").fetchall()
        stamps = connection.execute("SELECT started, ended FROM ps_attempt").fetchall()
    assert any(started > ended for started, ended in stamps)  # or the clock has not jumped
    assert {outcome for outcome, *_ in rows} == {"complete"}, victim.said()
    assert len(rows) >= 12  # what was disturbed is timed again
    seconds = [value for _, *values in rows for value in values]
    wrong = sum(not 0 <= value < 60 for value in seconds)
    note_fault("F20", f"negative or jumping seconds {wrong} of {len(seconds)}, attempts ended early 0 of {len(rows)}")
    assert wrong == 0
