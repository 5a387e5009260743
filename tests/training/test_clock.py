"""The training clock counts what a Recipe causes and shrugs off what others cause."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import loop
from paretosearch.training.clock import Clock
from paretosearch.training.phases import Setting
from paretosearch.training.rundelay import RunDelay


class Hands:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Waiting(RunDelay):
    """A process that is kept from its core only when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def seconds(self) -> float:
        return self.waited


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def clock(hands: Hands, waiting: Waiting) -> Clock:
    clock = Clock(torch.device("cpu"), hands, waiting)
    clock.set(Setting(batch_size=32), epoch=0)
    return clock


def run(clock: Clock, hands: Hands, seconds: list[float]) -> None:
    with clock.steps() as step_done:
        for step in seconds:
            hands.seconds += step
            step_done()


def test_choosing_images_and_laying_them_out_is_on_no_clock(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept for the next training, which must not seem to be faster."""
    monkeypatch.setattr(loop, "Clock", lambda device: Clock(device, hands, Waiting()))
    for part, seconds in (("training_split", 1000.0), ("edited_split", 1.0), ("build_batches", 1000.0)):
        monkeypatch.setattr(loop, part, taking(seconds, getattr(loop, part), hands))
    training = loop.Training(Recipe("stripes", "convnet", batch_size=16), image_set(), torch.device("cpu"))
    assert training.clock.event_seconds == 1.0


def taking(seconds: float, part: Callable[..., Any], hands: Hands) -> Callable[..., Any]:
    def slow(*arguments: Any) -> Any:
        hands.seconds += seconds
        return part(*arguments)

    return slow


def test_equal_steps_take_their_sum(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 40)
    assert clock.train_seconds == pytest.approx(1.2)
    assert clock.wall_seconds == pytest.approx(1.2)
    assert not clock.noisy


def test_an_interruption_moves_the_wall_time_only(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 20 + [2.0] + [0.03] * 20)
    assert clock.train_seconds == pytest.approx(41 * 0.03)
    assert clock.wall_seconds == pytest.approx(40 * 0.03 + 2.0)
    assert clock.noisy


def test_building_kernels_in_the_first_steps_is_no_noise(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.5] + [0.03] * 39)
    assert clock.train_seconds == pytest.approx(40 * 0.03)
    assert not clock.noisy


def test_time_between_runs_of_steps_is_free(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 10)
    hands.seconds += 50
    run(clock, hands, [0.03] * 10)
    assert clock.train_seconds == pytest.approx(0.6)


def test_an_event_counts_as_it_is(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 10)
    with clock.event():
        hands.seconds += 0.7
    assert clock.train_seconds == pytest.approx(1.0)
    assert clock.wall_seconds == pytest.approx(1.0)


def test_each_phase_has_its_own_median(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 30)
    clock.set(Setting(batch_size=64), epoch=3)
    run(clock, hands, [0.06] * 10)
    assert clock.train_seconds == pytest.approx(30 * 0.03 + 10 * 0.06)
    assert [(phase.epoch, len(phase.steps)) for phase in clock.phases] == [(0, 30), (3, 10)]


def test_the_same_setting_goes_on_with_its_phase(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 30)
    clock.set(Setting(batch_size=32), epoch=1)
    run(clock, hands, [0.03] * 30)
    assert [len(phase.steps) for phase in clock.phases] == [60]


def test_what_a_change_of_shape_makes_the_next_steps_take_longer_counts(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03] * 50)
    clock.set(Setting(batch_size=32, changes=1), epoch=1)
    run(clock, hands, [0.5] + [0.03] * 49)
    assert clock.train_seconds == pytest.approx(99 * 0.03 + 0.5)


def test_compiling_counts_in_the_first_phase_too(hands: Hands, waiting: Waiting) -> None:
    clock = Clock(torch.device("cpu"), hands, waiting)
    clock.set(Setting(batch_size=32, tier="compile"), epoch=0)
    run(clock, hands, [20.0] + [0.03] * 49)
    assert clock.train_seconds == pytest.approx(49 * 0.03 + 20)


def test_time_in_which_another_process_has_the_core_does_not_count(
    clock: Clock, hands: Hands, waiting: Waiting
) -> None:
    with clock.steps() as step_done:
        for step in range(40):
            hands.seconds += 0.03 + 0.02 * (step % 2)  # half of the steps are disturbed, which no median survives
            waiting.waited += 0.02 * (step % 2)
            step_done()
    with clock.event() as event:
        hands.seconds += 0.5
        waiting.waited += 0.4
    assert event.seconds == pytest.approx(0.1)
    assert clock.train_seconds == pytest.approx(40 * 0.03 + 0.1)
    assert clock.wall_seconds == pytest.approx(40 * 0.04 + 0.5)
    assert clock.noisy


def test_a_clock_goes_on_from_its_state(clock: Clock, hands: Hands, waiting: Waiting) -> None:
    run(clock, hands, [0.03] * 30)
    clock.set(Setting(batch_size=32, changes=1, pattern="something"), epoch=2)
    waiting.waited += 0.5
    run(clock, hands, [0.06] * 30)
    other = Clock(torch.device("cpu"), hands, waiting)
    other.load_state_dict(json.loads(json.dumps(clock.state_dict())))
    assert other.phases == clock.phases
    assert (other.train_seconds, other.wall_seconds) == (clock.train_seconds, clock.wall_seconds)


def test_steps_below_the_timer_are_averaged_in_blocks_before_the_median(clock: Clock, hands: Hands) -> None:
    # Alternating 1 and 3 ms: the median of single steps would be 1 or 3, the median of 20 ms blocks is 2.
    run(clock, hands, [0.001, 0.003] * 500)
    assert clock.train_seconds == pytest.approx(2.0, rel=0.01)


def test_what_happens_every_fourth_step_is_not_lost_in_the_median(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03, 0.03, 0.03, 0.12] * 25)
    assert clock.train_seconds == pytest.approx(100 * 0.0525, rel=0.02)


def test_what_few_steps_do_apart_counts_as_it_is_and_not_in_their_median(
    clock: Clock, hands: Hands, waiting: Waiting
) -> None:
    with clock.steps() as step_done:
        for number in range(100):
            hands.seconds += 0.03
            for _ in range(2 if number == 50 else 0):
                with clock.apart():
                    hands.seconds += 0.5
                    waiting.waited += 0.1
            step_done()
    assert clock.train_seconds == pytest.approx(3.0 + 2 * 0.4)
    assert clock.wall_seconds == pytest.approx(3.0 + 2 * 0.5)
    assert clock.phases[-1].steps == pytest.approx([0.03] * 100)
    run(clock, hands, [0.03] * 60)
    assert clock.train_seconds == pytest.approx(3.8 + 1.8)
    assert not clock.noisy


def test_a_single_step_is_a_training_too(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.4])
    assert clock.train_seconds == pytest.approx(0.4)
    assert clock.latest(5) == pytest.approx((0.4, 0.0))


def test_no_step_takes_no_time(clock: Clock) -> None:
    with clock.steps():
        pass
    assert clock.train_seconds == 0
    assert clock.wall_seconds == 0
    assert not clock.noisy


def test_the_latest_steps_have_a_median_and_a_spread(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [9.0] * 10 + [0.1, 0.2, 0.3, 0.4, 0.5])
    median, iqr = clock.latest(5)
    assert median == pytest.approx(0.3)
    assert iqr == pytest.approx(0.3)
