"""A database that goes away under a search, or is in other hands, costs nothing but time."""

import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

from paretosearch.testing.checker import read_history, read_left
from paretosearch.testing.nemesis import MakeVictim, Victim
from paretosearch.testing.postgres import PostgresServer

RESTARTS = 5


def until_started(victim: Victim, attempts: int) -> None:
    """Wait until so many attempts have begun."""
    while sum(event["event"] == "started" for event in read_history(victim.history)) < attempts:
        time.sleep(0.05)


@pytest.mark.faults
def test_a_server_that_is_restarted_under_load_costs_nothing(
    make_victim: MakeVictim, postgres: PostgresServer, note_fault: Callable[[str, str], None]
) -> None:
    victim = make_victim(60, postgres.new_database(), slots="2")
    launcher = victim.start()
    for number in range(RESTARTS):
        until_started(victim, 8 * (number + 1))
        postgres.stop()
        time.sleep(2.0)
        postgres.start()
    code = victim.finish(launcher)
    verdict, left = victim.verdict(), read_left(victim.url, victim.name)
    lost = len(verdict.lost) + len(verdict.unfinished)
    note_fault("F10", f"lost {lost} of {len(left.trials)} over {RESTARTS} restarts, the Launcher left with {code}")
    assert code == 0, victim.said()
    assert verdict.is_clean, verdict
    assert len(left.trials) == 60


@pytest.mark.faults
def test_a_database_in_other_hands_is_waited_for(
    make_victim: MakeVictim, note_fault: Callable[[str, str], None]
) -> None:
    victim = make_victim(8)
    launcher = victim.start()
    until_started(victim, 3)
    other = sqlite3.connect(victim.folder / "store.db", isolation_level=None, check_same_thread=False, timeout=60)
    other.execute("BEGIN EXCLUSIVE")
    letting_go = threading.Timer(40.0, lambda: other.execute("COMMIT"))  # longer than any one call waits
    letting_go.start()
    code = victim.finish(launcher)
    letting_go.join()
    other.close()
    verdict = victim.verdict()
    note_fault("F9", f"lost {len(verdict.lost) + len(verdict.unfinished)} of 8 while another program held it for 40 s")
    assert code == 0, victim.said()
    assert verdict.is_clean, verdict
