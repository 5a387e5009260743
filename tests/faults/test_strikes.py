"""Trainings that fail in every way cost themselves, and nobody else."""

import json
from collections.abc import Callable

import pytest

from paretosearch.fleet.breaker import MOST_BLAMELESS
from paretosearch.testing.checker import read_left
from paretosearch.testing.faults import STRIKE
from paretosearch.testing.nemesis import MakeVictim

#: What strikes, the class of failure that it is, and how often it is tried; by the number of the trial.
STRUCK = {
    "1": ("device memory", "out_of_memory", 1),
    "3": ("abort", "infrastructure", 3),
    "5": ("host memory", "host_memory", 1),
    "7": ("segmentation fault", "infrastructure", 3),
    "9": ("bug", "bug", 1),
    "11": ("exit", "infrastructure", 3),
}


@pytest.mark.faults
def test_what_strikes_one_training_costs_only_that(
    make_victim: MakeVictim, note_fault: Callable[[str, str], None]
) -> None:
    victim = make_victim(13)
    strikes = {trial: strike for trial, (strike, _, _) in STRUCK.items()}
    assert victim.launch(variables={STRIKE: json.dumps(strikes)}) == 0, victim.said()
    left = read_left(victim.url, victim.name)
    found = {
        str(trial.number): (strikes[str(trial.number)], trial.failure, len(left.attempts_of(trial.number)))
        for trial in left.trials
        if trial.state == "FAIL"
    }
    assert found == STRUCK, victim.said()
    unhurt = [trial for trial in left.trials if str(trial.number) not in STRUCK]
    assert [trial.state for trial in unhurt] == ["COMPLETE"] * 7
    assert victim.verdict().is_clean, victim.verdict()
    for row, strikes_of_row in {
        "F15": ("device memory",),
        "F16": ("abort", "segmentation fault", "exit"),
        "F19": ("host memory",),
        "F21": ("bug",),
    }.items():
        tries = ", ".join(f"{strike}: {tried}" for strike, _, tried in STRUCK.values() if strike in strikes_of_row)
        count = len(strikes_of_row)
        note_fault(
            row, f"classified {count} of {count}, the next trial ok {count} of {count}, attempts spent on {tries}"
        )


@pytest.mark.faults
@pytest.mark.parametrize("strike", ["abort", "device error"])
def test_a_device_that_fails_again_and_again_gets_no_more_work(
    make_victim: MakeVictim, strike: str, note_fault: Callable[[str, str], None]
) -> None:
    victim = make_victim(12, slots="2")
    strikes = {"cpu 0": strike, "cpu 1": "slow"}  # or all would be done before the first one has failed often enough
    assert victim.launch(variables={STRIKE: json.dumps(strikes)}) == 0, victim.said()
    assert victim.said().count("cpu 0 gets no more work, since 3 trials in a row were lost on it") == 1
    left = read_left(victim.url, victim.name)
    states = [trial.state for trial in left.trials]
    assert states.count("COMPLETE") + states.count("FAIL") == 12
    assert {trial.failure for trial in left.trials if trial.state == "FAIL"} <= {"infrastructure"}
    assert victim.verdict().is_clean, victim.verdict()
    completed = states.count("COMPLETE")
    note_fault("F16", f"{strike}: quarantined 1 of 1; {completed} of 12 trials complete on the other")


@pytest.mark.faults
def test_a_program_that_is_wrong_stops_the_launch(
    make_victim: MakeVictim, note_fault: Callable[[str, str], None]
) -> None:
    victim = make_victim(MOST_BLAMELESS + 3)
    assert victim.launch(variables={STRIKE: json.dumps({"*": "bug"})}) == 1
    assert f"{MOST_BLAMELESS} trials in a row failed by an error of the program" in victim.said()
    assert "ZeroDivisionError: what should never have happened" in victim.said()
    logs = list(victim.folder.glob("store.db.spool/victim/worker-*.log"))
    assert "Traceback" in logs[0].read_text(encoding="utf-8")
    left = read_left(victim.url, victim.name)
    assert [attempt.outcome for attempt in left.attempts] == ["failed"] * MOST_BLAMELESS
    assert victim.launch() == 0, victim.said()
    left = read_left(victim.url, victim.name)
    assert [trial.state for trial in left.trials] == ["FAIL"] * MOST_BLAMELESS + ["COMPLETE"] * 3
    note_fault("F21", f"a wrong program stops the launch after {MOST_BLAMELESS} trials, with its cause")
