"""Workers and Launchers that are killed at random moments cost nothing but time."""

from collections.abc import Callable

import pytest

from paretosearch.testing.checker import read_left
from paretosearch.testing.nemesis import MakeVictim, Nemesis


@pytest.mark.faults
def test_a_search_survives_forty_kills(
    make_victim: MakeVictim, database: str, request: pytest.FixtureRequest, note_fault: Callable[[str, str], None]
) -> None:
    seed, kills = request.config.getoption("--seed"), request.config.getoption("--kills")
    victim = make_victim(60, database, slots="2")
    launchers = kills // 4
    code = Nemesis(victim, seed, kills - launchers, launchers).run()
    verdict, hurt = victim.verdict(), victim.casualties
    left = read_left(database, victim.name)
    states = [trial.state for trial in left.trials]
    kind = database.partition(":")[0].partition("+")[0]
    note_fault(
        "F1",
        f"{kind}, seed {seed}: lost {len(verdict.lost) + len(verdict.unfinished)} of {len(states)}, "
        f"twice {len(verdict.twice)}, {hurt.workers} Workers and {hurt.launchers} Launchers killed, "
        f"orphans {hurt.orphans} ({hurt.late} took longer than a second), "
        f"given up after three kills {states.count('FAIL')}",
    )
    # A launch whose only trial was killed for the third time ends with 1.
    assert code == 0 or (code == 1 and "FAIL" in states), victim.said()
    assert verdict.is_clean, verdict
    assert (hurt.kills, hurt.orphans, len(states)) == (kills, 0, 60)
