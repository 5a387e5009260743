"""What retime says is true to the last second."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from paretosearch.outcome import EpochResult, Outcome, PhaseResult
from paretosearch.report.retimed import phases_table, retimed_line, retimed_notes


def phase(epoch: int, seconds: float, tier: str = "eager") -> PhaseResult:
    return PhaseResult(epoch, 100, 32, tier, "", seconds, seconds / 100, 0.0)


RECORDED = Outcome(
    "complete",
    train_seconds=31.5,
    wall_seconds=33.0,
    accuracy=0.8,
    epochs=tuple(EpochResult(n, 3.0 * n, 0.5, 1.0, 0.1, 32, 1, 1, 0.01, 0.001) for n in range(1, 11)),
    phases=(phase(0, 12.0), phase(3, 2.25), phase(3, 7.5, "graph"), phase(9, 5.25)),
)
HERE = replace(
    RECORDED,
    train_seconds=17.25,
    phases=(phase(0, 6.0), phase(3, 1.25), phase(3, 4.0, "graph"), phase(9, 3.0)),
)


def lines(recorded: Outcome = RECORDED, here: Outcome = HERE) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(phases_table(recorded, here))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("column", "outcome"), [(-2, RECORDED), (-1, HERE)])
def test_the_seconds_of_the_table_add_up_to_the_training(column: int, outcome: Outcome) -> None:
    rows = [line.split() for line in lines()[3:]]
    assert sum(float(row[column]) for row in rows) == outcome.train_seconds
    assert lines()[-1].startswith("outside the steps")


def test_a_phase_is_named_by_the_epochs_that_it_spans() -> None:
    assert [line.split()[0] for line in lines()[3:-1]] == ["1-3", "4", "4-9", "10"]


def test_the_table_begins_at_the_edge_and_ends_without_blanks() -> None:
    assert lines()[1].startswith("epochs ")
    assert all(line == line.rstrip() for line in lines())


def test_a_disturbed_recording_is_marked_and_said_to_say_little() -> None:
    assert "~" not in retimed_line(RECORDED, "a", HERE, "a")
    noisy = replace(RECORDED, noisy=True)
    assert retimed_line(noisy, "a", HERE, "a") == "recorded ~31.50 s on a; here 17.25 s (-45.2%)"
    assert any("difference says little" in note for note in retimed_notes(noisy, HERE))
    assert list(retimed_notes(RECORDED, HERE)) == ["the study is left as it is"]
