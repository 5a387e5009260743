"""A class of device that disappears takes no trial with it, and ends no search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from paretosearch.axis import Choice
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import Outcome
from paretosearch.space import Space
from tests.fleet.conftest import SPACE
from tests.fleet.worlds import NARROW, WIDE, Fading, World, recorded, shown, told, trained, wide_device

if TYPE_CHECKING:
    from tests.fleet.conftest import Bench

Fade = Callable[[str, int], None]


@pytest.fixture
def fade(monkeypatch: pytest.MonkeyPatch) -> Fade:
    """Let a class lose its Device after so many Attempts."""

    def fade(device_class: str, after: int) -> None:
        monkeypatch.setattr(Fading, "fading", device_class)
        monkeypatch.setattr(Fading, "after", after)

    monkeypatch.setattr("tests.fleet.conftest.ScriptedFleet", Fading)
    return fade


@pytest.mark.parametrize("gone", [NARROW, WIDE])
def test_a_class_that_disappears_costs_the_search_nothing(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.setattr("tests.fleet.conftest.ScriptedFleet", Fading)
    monkeypatch.setattr(Fading, "after", 9)
    monkeypatch.setattr(Fading, "fading", gone)
    bench.launch(world, trials=16, devices=1, wide=1)
    assert bench.states() == {"COMPLETE": 16}
    assert set(trained(bench).values()) == {1}
    estimated = [how for _, how in told(bench).values() if how is not None]
    assert bool(estimated) == (gone == NARROW)


def test_a_replay_that_was_lost_with_the_last_of_its_class_is_told_by_an_estimate(
    bench: Bench, world: World, fade: Fade
) -> None:
    def script(assignment: Assignment) -> Outcome | None:
        if assignment.replay is not None and bench.fleet.device_of(assignment) == "cpu-test-0":
            fade(NARROW, 0)
            return None
        return world(assignment)

    bench.launch(script, trials=12, devices=1, wide=1)
    assert bench.states() == {"COMPLETE": 12}
    assert any(how is not None for _, how in told(bench).values())


def test_a_disturbed_training_that_is_taken_after_all_is_noted_on_its_front(
    bench: Bench, world: World, fade: Fade
) -> None:
    world.noisy_trainings = set(range(20))
    fade(NARROW, 2)
    bench.launch(world, trials=6, devices=1, wide=1)
    assert shown(bench.store, NARROW)
    assert all(recorded(bench.store, name) == shown(bench.store, name) for name in (NARROW, WIDE))


def test_a_class_whose_machine_has_lost_the_data_is_gone_as_well(bench: Bench, world: World) -> None:
    def script(assignment: Assignment) -> Outcome:
        if assignment.trial >= 4 and bench.fleet.device_of(assignment) == "cpu-test-0":
            return Outcome("stopped", "data", "'folder:x': there is no such folder")
        return world(assignment)

    bench.launch(script, trials=12, devices=1, wide=1, hosts=("other",))
    assert bench.states() == {"COMPLETE": 12}


class TestFormats:
    """Trials of formats that only the class can do which is gone."""

    @pytest.fixture
    def space(self) -> Space:
        return replace(SPACE, axes={**SPACE.axes, "number_format": Choice(("fp32", "bf16", "fp16", "tf32"))})

    def test_the_others_are_trained_until_too_many_wait(self, bench: Bench, world: World, fade: Fade) -> None:
        fade(WIDE, 3)
        bench.launch(world, trials=40, devices=1, wide=1, formats={NARROW: ["fp32"]})
        states = bench.states()
        assert states.keys() == {"COMPLETE", "WAITING"}
        assert states["WAITING"] == 20
        asked = {a.trial for a in bench.store.attempts("s")}
        assert states["COMPLETE"] == len(asked) > 10
        said = [line for line in bench.notes.messages if "nothing more is asked for" in line]
        assert said == [
            "nothing more is asked for, as 20 trials wait for devices that are gone; the same command goes on with all "
            "of them when these are back"
        ]
        bench.launch(world, trials=40, devices=1, wide=1, formats={NARROW: ["fp32"]})
        assert bench.states() == {"COMPLETE": 40}

    def test_what_has_waited_is_trained_by_a_device_that_comes(self, bench: Bench, world: World, fade: Fade) -> None:
        def script(assignment: Assignment) -> Outcome:
            if assignment.trial == 15:
                bench.fleet.newcomers.append(wide_device(7))
            return world(assignment)

        fade(WIDE, 3)
        bench.launch(script, trials=24, devices=1, wide=1, formats={NARROW: ["fp32"]})
        assert any("waits for another launch" in line for line in bench.notes.messages)
        assert bench.states() == {"COMPLETE": 24}
