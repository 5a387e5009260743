"""Our own way to survive kills: the study of ``make faults``, launched for real."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from benchmarks.faults.left import Found
from paretosearch.testing.checker import read_left
from paretosearch.testing.nemesis import Nemesis, Victim

TRIALS = 60


def run(url: str, folder: Path, seed: int, kills: int, cache: Path) -> Found:
    """Launch a study until it is done, under kills, and count what is left.

    Args:
        url: Of an empty database.
        folder: An empty folder, for everything else.
        seed: Of the moments.
        kills: Workers and Launchers to kill, five of the first for three of the second.
        cache: Where compiled kernels are kept.

    Returns:
        What the database and the checker say in the end.
    """
    victim = Victim(folder, url, TRIALS, slots="2", cache=cache)
    launchers = kills // 4
    begun = time.monotonic()
    code = Nemesis(victim, seed, kills - launchers, launchers).run()
    seconds = time.monotonic() - begun
    left, verdict, hurt = read_left(url, victim.name), victim.verdict(), victim.casualties
    states = Counter(trial.state for trial in left.trials)
    stored = Counter(row.trial for row in left.attempts if row.outcome == "complete" and row.purpose != "replay")
    return Found(
        seconds=round(seconds, 2),
        kills={"workers": hurt.workers, "launchers": hurt.launchers},
        lost=TRIALS - states["COMPLETE"],
        # Written to the spool twice, or stored twice: whichever shows more.
        twice=max(len(verdict.twice), sum(times > 1 for times in stored.values())),
        stuck=states["RUNNING"],
        errors={f"exit code {code}": 1} if code else {},
        beside={
            "given up, with the cause": sum(
                trial.state == "FAIL" and trial.failure is not None for trial in left.trials
            ),
            "failed": states["FAIL"],
            "trials": len(left.trials),
            "trainings": len(left.attempts),
            "orphans": hurt.orphans,
            **{f"checker: {name}": len(found) for name, found in vars(verdict).items()},
        },
    )
