"""Ctrl-C and SIGTERM are ordinary events, whenever they come."""

import signal
import time
from collections.abc import Callable
from itertools import product

import pytest

from paretosearch.testing.checker import read_history, read_left
from paretosearch.testing.nemesis import MakeVictim, Victim

#: The last thing that has happened when a signal comes; None is a launch that is still importing.
PHASES = (None, "asked", "training", "told")

SIGNALS = {"Ctrl-C": (signal.SIGINT,), "SIGTERM": (signal.SIGTERM,), "Ctrl-C twice": (signal.SIGINT, signal.SIGINT)}


def wait_for(victim: Victim, phase: str | None, known: int) -> None:
    """Wait for something to happen that had not happened before."""
    if phase is None:
        time.sleep(1.0)
        return
    while all(event["event"] != phase for event in read_history(victim.history)[known:]):
        time.sleep(0.002)


@pytest.mark.faults
def test_a_signal_at_any_moment_leaves_a_study_that_can_go_on(
    make_victim: MakeVictim, note_fault: Callable[[str, str], None]
) -> None:
    victim, seconds, running = make_victim(80), [], 0
    for phase, signals in product(PHASES, SIGNALS.values()):
        known = len(read_history(victim.history))
        launcher = victim.start()
        wait_for(victim, phase, known)
        begun = time.monotonic()
        for number in signals:
            launcher.send_signal(number)
        code = victim.finish(launcher)
        seconds.append(time.monotonic() - begun)
        # Before the program has set up anything, a signal ends it as it would end any other.
        own = {128 + signals[0]} if phase else {128 + signals[0], -signals[0]}
        assert code in own, (phase, signals, code, victim.said())
        if phase:
            states = [trial.state for trial in read_left(victim.url, victim.name).trials]
            running += states.count("RUNNING")
    assert "Traceback" not in victim.said()
    assert victim.launch() == 0
    assert victim.verdict().is_clean, victim.verdict()
    count = len(PHASES) * len(SIGNALS)
    note_fault("F3", f"RUNNING after exit {running} over {count} signals, to stop at most {max(seconds):.1f} s")
    assert (running, victim.casualties.orphans) == (0, 0)
