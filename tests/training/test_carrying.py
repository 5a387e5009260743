"""All seconds of a replayed training are of here, and agree with each other."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from paretosearch.outcome import EpochResult, Outcome, PhaseResult, SurgeryResult
from paretosearch.training.carrying import carried_over

#: Two epochs of 10 steps of a second, then two of half a second; cutting took 2 s, 1 of them to decide.
PHASES = (
    PhaseResult(0, 20, 32, "fused", "", 20.0, 1.0, 0.1, rebuild_seconds=0.0),
    PhaseResult(2, 20, 32, "fused", "", 10.0, 0.5, 0.1, rebuild_seconds=1.0),
)
ENDS = {1: (10.0, 1.0), 2: (22.0, 1.0), 3: (27.0, 0.5), 4: (32.0, 0.5)}


def epochs(ends: Mapping[int, tuple[float, float]]) -> tuple[EpochResult, ...]:
    return tuple(EpochResult(n, end, 0.1 * n, 1.0, 0.1, 32, 100, 1000, step, 0.1) for n, (end, step) in ends.items())


RECORDED = Outcome(
    "complete",
    train_seconds=32.0,
    wall_seconds=33.0,
    accuracy=0.4,
    energy_joules=5.0,
    epochs=epochs(ENDS),
    surgeries=(SurgeryResult(2, "prune", 64, 48, 2.0), SurgeryResult(3, "prune", 48, 48, 0.2)),
    phases=PHASES,
)
#: Wide steps take twice as long here, narrow ones as long, and rebuilding a quarter.
HERE = (
    replace(PHASES[0], seconds=40.0, step_seconds=2.0, step_seconds_iqr=0.3),
    replace(PHASES[1], rebuild_seconds=0.25),
)


def test_steps_and_rebuilding_are_of_here_and_decisions_follow_the_steps() -> None:
    again = carried_over(RECORDED, HERE)
    assert again.train_seconds == pytest.approx(40 + 10 + 0.25 + 1.0 * 50 / 30)
    assert again.wall_seconds == again.train_seconds
    assert again.images_per_second == pytest.approx(40 * 32 / again.train_seconds)
    assert again.phases == HERE
    assert (again.accuracy, again.energy_joules) == (0.4, None)


def test_epochs_end_when_they_would_have_ended_here() -> None:
    again = carried_over(RECORDED, HERE)
    first, second, third, last = (epoch.train_seconds for epoch in again.epochs)
    assert first == pytest.approx(20, rel=0.05)
    assert second == pytest.approx(41.25, rel=0.02)  # 40 for its steps, 0.25 to cut, 1 to decide
    assert last - third == pytest.approx(5, rel=0.05)
    assert last == pytest.approx(again.train_seconds)
    steps = [(epoch.step_seconds, epoch.step_seconds_iqr) for epoch in again.epochs]
    assert steps == [(2.0, 0.2), (2.0, 0.2), (0.5, 0.1), (0.5, 0.1)]
    assert [epoch.accuracy for epoch in again.epochs] == [epoch.accuracy for epoch in RECORDED.epochs]


def test_changes_of_shape_take_what_rebuilding_takes_and_what_changed_nothing_follows_the_steps() -> None:
    assert [surgery.seconds for surgery in carried_over(RECORDED, HERE).surgeries] == pytest.approx([0.5, 0.2])


def test_the_same_device_changes_nothing() -> None:
    again = carried_over(RECORDED, PHASES)
    assert again.train_seconds == pytest.approx(RECORDED.train_seconds)
    seconds = [epoch.train_seconds for epoch in again.epochs]
    assert seconds == pytest.approx([epoch.train_seconds for epoch in RECORDED.epochs])


def test_a_curve_never_goes_back_even_if_the_record_is_of_a_clock_that_was_corrected_later() -> None:
    """While a phase goes on, its median moves; the record of an epoch is of then."""
    crooked = replace(RECORDED, epochs=epochs({**ENDS, 2: (23.5, 1.0), 3: (26.0, 0.5), 4: (32.0, 0.5)}))
    again = carried_over(crooked, HERE)
    seconds = [epoch.train_seconds for epoch in again.epochs]
    assert all(one < other for one, other in itertools.pairwise(seconds))
    assert again.train_seconds is not None
    assert seconds[-1] <= again.train_seconds


def test_an_old_record_has_the_seconds_of_changes_alone() -> None:
    old = replace(RECORDED, phases=tuple(replace(phase, rebuild_seconds=None) for phase in PHASES))
    here = tuple(replace(phase, rebuild_seconds=None) for phase in HERE)
    again = carried_over(old, here)
    assert again.train_seconds == pytest.approx(50)  # 2.2 s for changes of shape leave nothing for decisions


def test_phases_that_begin_in_the_same_epoch_are_in_order() -> None:
    """A step is tried op by op before it is recorded."""
    graph = (replace(PHASES[0], steps=2, seconds=2.0), replace(PHASES[1], epoch=0, rebuild_seconds=0.0, seconds=30.0))
    again = carried_over(replace(RECORDED, phases=graph), tuple(replace(p, seconds=2 * p.seconds) for p in graph))
    assert [epoch.train_seconds for epoch in again.epochs] == pytest.approx([20.0, 44.0, 54.0, 64.0])


def test_a_note_is_no_rebuilding() -> None:
    note = SurgeryResult(2, "gradient_pruning", 48, 48, 0.4)
    again = carried_over(replace(RECORDED, surgeries=(note,)), HERE)
    assert again.surgeries[0].seconds == pytest.approx(0.4)  # as the steps are, which take as long here
