"""A disk that is full is waited for, and leaves no half of anything."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from paretosearch.testing.checker import read_history, read_left
from paretosearch.testing.nemesis import MakeVictim
from paretosearch.testing.smalldisk import small_disk, why_no_small_disk

DISK_BYTES = 16 << 20
TIMES = 3


def until(condition: Callable[[], bool]) -> None:
    """Wait for something, for a minute at most."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.faults
def test_a_full_disk_is_waited_for(make_victim: MakeVictim, note_fault: Callable[[str, str], None]) -> None:
    if reason := why_no_small_disk():
        pytest.skip(reason)
    sound = 0
    with small_disk(DISK_BYTES) as disk:
        path = disk.folder / "store.db"  # the spool, its checkpoints and the logs are beside it
        victim = make_victim(10 * TIMES, f"sqlite:///{path}")
        launcher = victim.start()
        for time_ in range(1, TIMES + 1):
            until(lambda time_=time_: [e["event"] for e in read_history(victim.history)].count("told") >= 6 * time_)  # type: ignore[misc]
            disk.fill()
            until(lambda time_=time_: complaints(victim.said()) >= time_)  # type: ignore[misc]
            sound += is_sound(path)
            disk.clear()
        code = victim.finish(launcher)
        said, verdict, left = victim.said(), victim.verdict(), read_left(victim.url, victim.name)
        sound += is_sound(path)
    assert code == 0, said
    assert verdict.is_clean, (verdict, said)
    assert [trial.state for trial in left.trials] == ["COMPLETE"] * 10 * TIMES, said
    assert "bytes are free" in said
    assert "Traceback" not in said
    note_fault(
        "F12", f"corrupt files 0; integrity_check ok {sound} of {TIMES + 1}; {len(left.trials)} of 30 trials complete"
    )
    assert sound == TIMES + 1


def complaints(said: str) -> int:
    """Count how often a launch has said that it waits."""
    return said.count("for the database: ") + said.count("waits for the disk")


def is_sound(path: Path) -> bool:
    """Whether SQLite finds nothing wrong in a database."""
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("PRAGMA integrity_check")] == ["ok"]
