"""A launch that dies between any two writes loses nothing and trains nothing twice."""

import signal
from collections.abc import Callable

import pytest

from paretosearch.testing.faults import CRASH_POINTS, CrashPoint
from paretosearch.testing.nemesis import MakeVictim

#: Of the second trial: the first one is then in the database.
TIME = 2


@pytest.mark.faults
@pytest.mark.parametrize("point", CRASH_POINTS, ids=lambda point: point.name)
def test_a_crash_loses_nothing(
    make_victim: MakeVictim, point: CrashPoint, note_fault: Callable[[str, str], None]
) -> None:
    victim = make_victim(3)
    first = victim.launch(crash=f"{point.name}:{TIME}")
    in_a_worker = first == 0  # whose Launcher lives on, and gives the trial to the next one
    assert in_a_worker or first == -signal.SIGKILL
    assert in_a_worker == (point.name in ("spooling", "spooled"))
    assert victim.launch() == 0
    verdict = victim.verdict()
    assert verdict.is_clean, (verdict, victim.said())
    assert victim.casualties.orphans == 0
    note_fault("F2", f"crash point {point.name!r}: 0 lost, 0 trained twice, 0 orphans")
