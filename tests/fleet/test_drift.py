"""A device that is not as fast as usual around a training makes it noisy, and looking costs little."""

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from paretosearch.fleet.drift import LEAST_STEPS, REMEMBERED, SHARE, STEPS, DriftWatch
from paretosearch.fleet.mail import Mail
from paretosearch.fleet.worker import _Worker
from paretosearch.outcome import Outcome
from paretosearch.testing.fleet import cpu_device

#: Seconds of a step of the reference on a device that is as fast as usual.
USUAL = 0.005
TRAINED = Outcome("complete", train_seconds=60.0, wall_seconds=60.0, accuracy=0.5)


class Device:
    """A device whose speed and clock move as they are told."""

    def __init__(self) -> None:
        self.now, self.slower = 1000.0, 1.0
        self.looks: list[int] = []

    def measure(self, steps: int) -> float:
        self.looks.append(steps)
        self.now += steps * USUAL * self.slower
        return USUAL * self.slower


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def watch(device: Device) -> DriftWatch:
    return DriftWatch(0.02, device.measure, lambda: device.now)


def train(watch: DriftWatch, device: Device, seconds: float, slower: float = 1.0, pause: float = 0.0) -> Outcome:
    """Train for so long, on a device that is so much slower from the middle on."""
    device.now += pause
    watch.begin()
    device.slower = slower
    device.now += seconds
    return watch.end(TRAINED)


def several(watch: DriftWatch, device: Device, speeds: Sequence[float]) -> list[float | None]:
    drifts = (train(watch, device, 60.0, slower).drift for slower in speeds)
    return [drift if drift is None else round(drift, 6) for drift in drifts]


def test_a_device_that_stays_as_it_is_does_not_drift(watch: DriftWatch, device: Device) -> None:
    outcome = train(watch, device, 60.0)
    assert outcome.drift == pytest.approx(0.0)
    assert not outcome.noisy


@pytest.mark.parametrize(("slower", "noisy"), [(1.03, True), (0.97, True), (1.01, False)])
def test_more_drift_than_the_margin_is_noise(watch: DriftWatch, device: Device, slower: float, noisy: bool) -> None:
    outcome = train(watch, device, 60.0, slower)
    assert outcome.drift == pytest.approx(slower - 1)
    assert outcome.noisy is noisy


def test_what_was_noisy_without_drift_stays_so(watch: DriftWatch) -> None:
    watch.begin()
    assert watch.end(Outcome("complete", noisy=True)).noisy


def test_the_look_behind_a_training_serves_the_next_one(watch: DriftWatch, device: Device) -> None:
    several(watch, device, [1.0, 1.0, 1.0])
    assert device.looks == [STEPS] * 4
    train(watch, device, 60.0, pause=30.0)
    assert device.looks == [STEPS] * 6


def test_a_neighbour_who_stays_disturbs_from_the_first_training_to_the_last(watch: DriftWatch, device: Device) -> None:
    """Before and behind the second and third training the device is as slow, and neither is to be believed."""
    drifts = several(watch, device, [1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5, 1.0, 1.0])
    assert drifts == [0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0]


def test_a_neighbour_who_never_leaves_becomes_usual(watch: DriftWatch, device: Device) -> None:
    drifts = several(watch, device, [1.0] * REMEMBERED + [1.5] * REMEMBERED)
    assert drifts[-1] == 0.0


@pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0, 60.0])
def test_looking_behind_a_training_costs_a_hundredth_of_it(watch: DriftWatch, device: Device, seconds: float) -> None:
    train(watch, device, 60.0)
    before = device.now
    train(watch, device, seconds)
    assert device.now - before - seconds <= SHARE * seconds


def test_short_trainings_are_not_looked_at(watch: DriftWatch, device: Device) -> None:
    outcomes = [train(watch, device, 1.0, pause=2.0) for _ in range(20)]
    assert [outcome.drift for outcome in outcomes] == [None] * 20
    assert device.looks == [STEPS]  # before the first, when nobody knew


def test_behind_short_ones_a_long_one_is_looked_at_from_its_end(watch: DriftWatch, device: Device) -> None:
    train(watch, device, 1.0)
    assert train(watch, device, 60.0, slower=1.25, pause=2.0).drift == pytest.approx(0.25)


def replay(watch: DriftWatch, device: Device, slower: float = 1.0) -> Outcome:
    device.slower = slower
    watch.begin(is_replay=True)
    device.now += 1.0
    return watch.end(TRAINED, is_replay=True)


def test_a_replay_is_looked_at_briefly_and_says_nothing_of_how_long_trainings_are(
    watch: DriftWatch, device: Device
) -> None:
    train(watch, device, 60.0)
    device.now += 30.0
    outcome = replay(watch, device, slower=1.2)
    assert outcome.drift == pytest.approx(0.2)
    assert outcome.noisy
    assert device.looks[2:] == [LEAST_STEPS] * 2
    assert train(watch, device, 60.0, pause=2.0).drift is not None
    assert device.looks[4:] == [STEPS] * 2


def test_a_medium_training_gets_fewer_steps(watch: DriftWatch, device: Device) -> None:
    train(watch, device, 60.0)
    assert train(watch, device, 4.0).drift is not None
    assert LEAST_STEPS <= device.looks[-1] < STEPS


def test_a_worker_says_how_far_its_device_was_off(device: Device, watch: DriftWatch) -> None:
    here, there = socket.socketpair()
    with here, there:
        worker = _Worker(Mail(here), cpu_device(), Path())
        worker._drift = watch
        watch.begin()
        device.now, device.slower = device.now + 60.0, 1.1
        assert worker._watched(TRAINED, is_replay=False).drift == pytest.approx(0.1)
