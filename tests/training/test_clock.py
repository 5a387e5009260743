"""The training clock counts what a Recipe causes and shrugs off what others cause."""

import pytest
import torch

from paretosearch.training.clock import Clock


class Hands:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> Clock:
    return Clock(torch.device("cpu"), hands)


def run(clock: Clock, hands: Hands, seconds: list[float]) -> None:
    with clock.steps() as step_done:
        for step in seconds:
            hands.seconds += step
            step_done()


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
    clock.new_phase()
    run(clock, hands, [0.06] * 10)
    assert clock.train_seconds == pytest.approx(30 * 0.03 + 10 * 0.06)


def test_steps_below_the_timer_are_averaged_in_blocks_before_the_median(clock: Clock, hands: Hands) -> None:
    # Alternating 1 and 3 ms: the median of single steps would be 1 or 3, the median of 20 ms blocks is 2.
    run(clock, hands, [0.001, 0.003] * 500)
    assert clock.train_seconds == pytest.approx(2.0, rel=0.01)


def test_what_happens_every_fourth_step_is_not_lost_in_the_median(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.03, 0.03, 0.03, 0.12] * 25)
    assert clock.train_seconds == pytest.approx(100 * 0.0525, rel=0.02)


def test_a_single_step_is_a_training_too(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [0.4])
    assert clock.train_seconds == pytest.approx(0.4)
    assert clock.latest(5) == pytest.approx((0.4, 0.0))


def test_no_step_takes_no_time(clock: Clock) -> None:
    assert clock.train_seconds == 0
    assert clock.wall_seconds == 0
    assert not clock.noisy


def test_the_latest_steps_have_a_median_and_a_spread(clock: Clock, hands: Hands) -> None:
    run(clock, hands, [9.0] * 10 + [0.1, 0.2, 0.3, 0.4, 0.5])
    median, iqr = clock.latest(5)
    assert median == pytest.approx(0.3)
    assert iqr == pytest.approx(0.3)
