"""A replay times what says most of a training, and no more than it must."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from paretosearch.outcome import Outcome, PhaseResult
from paretosearch.training.sampling import LEAST_STEPS, SHARE, TOLERABLE, completed, sample

PLAIN = PhaseResult(0, 1000, 32, "fused", "", 20.0, 0.02, 0.001, rebuild_seconds=0.1)


def phase(step_seconds: float, steps: int = 1000, **changed: object) -> PhaseResult:
    return replace(PLAIN, steps=steps, step_seconds=step_seconds, seconds=steps * step_seconds, **changed)  # type: ignore[arg-type]


def outcome(*phases: PhaseResult, noisy: bool = False) -> Outcome:
    seconds = sum(phase.seconds for phase in phases)
    return Outcome("complete", train_seconds=seconds, accuracy=0.5, noisy=noisy, phases=phases)


def cost(phases: Sequence[PhaseResult], steps: dict[int, int]) -> float:
    return sum(count * phases[i].step_seconds for i, count in steps.items())


def test_of_equal_phases_one_is_timed_for_all() -> None:
    assert list(sample(outcome(*[phase(0.02)] * 5)).steps.values()) == [round(SHARE * 5000)]


def test_a_phase_that_is_much_slower_is_timed_too() -> None:
    assert set(sample(outcome(phase(0.02), phase(0.0202), phase(0.04))).steps) >= {2}
    assert len(sample(outcome(phase(0.02), phase(0.0202), phase(0.04))).steps) == 2


def test_a_phase_that_is_next_to_nothing_of_the_training_is_not_timed() -> None:
    assert list(sample(outcome(phase(0.02), phase(0.03, steps=2))).steps) == [0]


@pytest.mark.parametrize("changed", [{"batch_size": 64}, {"tier": "graph"}, {"pattern": "with its penalty"}])
def test_steps_of_another_kind_are_timed_even_if_they_took_as_long(changed: dict[str, object]) -> None:
    assert len(sample(outcome(phase(0.02), phase(0.02, **changed))).steps) == 2


def test_of_a_disturbed_training_nearly_all_is_timed() -> None:
    phases = [phase(0.02)] * 6
    assert len(sample(outcome(*phases)).steps) == 1
    assert len(sample(outcome(*phases, noisy=True)).steps) > 3


def test_a_short_training_is_timed_as_long_as_a_median_needs_and_no_longer_than_it_was() -> None:
    assert sample(outcome(phase(0.02, steps=100))).steps == {0: LEAST_STEPS}
    assert sample(outcome(phase(0.02, steps=6))).steps == {0: 6}


def test_a_training_of_no_seconds_has_a_sample() -> None:
    assert sample(outcome(phase(0.0, steps=1))).steps == {0: 1}


def test_doubt_is_small_and_a_long_training_cheap_whatever_its_phases_are_like() -> None:
    dice = random.Random(7)
    for _ in range(50):
        phases = [phase(math.exp(dice.gauss(-4, 0.3)), steps=dice.randint(2000, 9000)) for _ in range(12)]
        found = sample(outcome(*phases))
        assert found.doubt <= TOLERABLE
        whole = sum(phase.seconds for phase in phases)
        assert cost(phases, dict(found.steps)) <= 1.3 * SHARE * whole


def test_a_training_that_shrinks_bit_by_bit_is_timed_here_and_there() -> None:
    phases = [phase(0.04 * 0.97**i, steps=500) for i in range(30)]
    found = sample(outcome(*phases))
    assert 2 < len(found.steps) < 30
    assert cost(phases, dict(found.steps)) <= 1.1 * SHARE * sum(phase.seconds for phase in phases)


def test_what_is_timed_stands_as_it_is_and_the_others_are_scaled_between_their_neighbours() -> None:
    recorded = phase(0.01), phase(0.02), phase(0.04)
    timed = {0: phase(0.02, rebuild_seconds=0.2), 2: phase(0.04, rebuild_seconds=0.4)}
    first, middle, last = completed(recorded, timed)
    assert (first, last) == (timed[0], timed[2])
    assert middle.step_seconds == pytest.approx(0.02 * math.sqrt(2))  # 2 times as long, and as long
    assert middle.seconds == pytest.approx(20 * math.sqrt(2))
    assert middle.step_seconds_iqr == pytest.approx(0.001 * math.sqrt(2))
    assert middle.rebuild_seconds == pytest.approx(0.3)  # 3 times as long, over both


def test_beyond_the_timed_ones_the_nearest_counts() -> None:
    slower, faster = phase(0.05), phase(0.005)
    found = completed((slower, phase(0.02), faster), {1: phase(0.06)})
    assert [one.step_seconds for one in found] == pytest.approx([0.15, 0.06, 0.015])


def test_phases_of_the_same_setting_count_before_others() -> None:
    recorded = phase(0.02), phase(0.02, batch_size=64), phase(0.021, batch_size=64)
    found = completed(recorded, {0: phase(0.1), 1: phase(0.04, batch_size=64)})
    assert found[2].step_seconds == pytest.approx(0.042)


def test_an_old_record_does_not_know_what_rebuilding_took() -> None:
    old = phase(0.02, rebuild_seconds=None)
    assert completed((old, old), {0: phase(0.04)})[1].rebuild_seconds is None
