"""A finished training is timed again from its record alone."""

import importlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from paretosearch.errors import SurgeryError
from paretosearch.methods import dynamic_batch
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import loop, replay, train
from paretosearch.training.clock import Clock
from paretosearch.training.phases import Phase
from paretosearch.training.precision import Precision
from paretosearch.training.rundelay import RunDelay
from paretosearch.training.sampling import Sample
from paretosearch.training.surgery import Surgeon

#: The module, whose name the package gives to its function.
REPLAY = importlib.import_module("paretosearch.training.replay")

CPU = torch.device("cpu")
IMAGES = image_set(per_class=64)
RECIPE = Recipe("stripes", "convnet", epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.05)
#: Prunes, widens, deepens and doubles its batch.
CHANGING = replace(
    RECIPE,
    network="resnet8",
    epochs=6,
    learning_rate=0.5,
    channel_multiple=4,
    methods={
        "prunetrain": {"penalty_ratio": 0.9, "interval": 1, "threshold": 0.1},
        "net2net": {"schedule": "widen@0.5x1.5+deepen@0.7"},
        "dynamic_batch": {"largest": 64},
    },
)


@pytest.fixture(autouse=True)
def _few_steps_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 0)


@pytest.fixture(scope="module")
def changed() -> Outcome:
    """A training whose network and batch change."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 0)
        return train(CHANGING, IMAGES, CPU).outcome


def timing(monkeypatch: pytest.MonkeyPatch, steps: Mapping[int, int]) -> None:
    """Let a replay time so many steps of these phases."""
    monkeypatch.setattr(REPLAY, "sample", lambda _: Sample(steps, 0.0))


def timing_all(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    timing(monkeypatch, dict.fromkeys(range(len(outcome.phases)), 14))


def through_the_store(outcome: Outcome) -> Outcome:
    return Outcome.from_json(outcome.to_json())


def shapes_of(recipe: Recipe, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Replay an Outcome; gives batch size and number of weights in every phase."""
    seen: list[tuple[int, int]] = []
    steps = loop.Training.steps

    def watched(training: loop.Training, *arguments: object) -> None:
        seen.append((training.run.batch_size, sum(p.numel() for p in training.run.model.parameters())))
        steps(training, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Training, "steps", watched)
    replay(recipe, IMAGES, CPU, through_the_store(outcome))
    return seen


def test_every_phase_has_the_shape_that_it_had(changed: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"prune", "widen", "deepen"} <= {surgery.kind for surgery in changed.surgeries}
    weights = {epoch.epoch - 1: epoch.parameters for epoch in changed.epochs}
    parameters = {phase.epoch: weights[phase.epoch] for phase in changed.phases}
    # A prune at the end of an epoch is before its EpochResult, and behind the steps of its phase.
    timing_all(monkeypatch, changed)
    replayed = shapes_of(CHANGING, changed, monkeypatch)
    assert [batch for batch, _ in replayed] == [phase.batch_size for phase in changed.phases]
    assert replayed[-1][1] == parameters[changed.phases[-1].epoch]
    assert len({size for _, size in replayed}) > 3


def test_seconds_are_those_of_here_and_the_rest_is_kept(changed: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps took a second there and take two here; rebuilding is timed here; decisions, 5 s there, follow the steps."""
    phases = tuple(replace(phase, seconds=float(phase.steps), rebuild_seconds=0.5) for phase in changed.phases)
    steps = sum(phase.steps for phase in phases)
    outcome = replace(changed, phases=phases, train_seconds=steps + 0.5 * len(phases) + 5.0)
    monkeypatch.setattr(Phase, "seconds_of", lambda _, steps: 2.0 * steps)
    timing_all(monkeypatch, outcome)
    again = replay(CHANGING, IMAGES, CPU, outcome)
    rebuilding = [phase.rebuild_seconds or 0.0 for phase in again.phases]
    assert all(0 < seconds < 0.5 for seconds in rebuilding)
    assert again.train_seconds == pytest.approx(2.0 * steps + sum(rebuilding) + 2 * 5.0)
    assert [phase.seconds for phase in again.phases] == [2.0 * phase.steps for phase in outcome.phases]
    assert again.accuracy == outcome.accuracy
    assert again.wall_seconds == again.train_seconds
    assert Outcome.from_json(again.to_json()) == again


def test_whether_the_training_was_disturbed_is_not_said_of_its_replay(
    changed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing(monkeypatch, {0: 1})
    for disturbed in (False, True):
        monkeypatch.setattr(Clock, "noisy", disturbed)
        again = replay(CHANGING, IMAGES, CPU, replace(changed, noisy=not disturbed, drift=0.3))
        assert (again.noisy, again.drift) == (disturbed, None)


def test_a_replayed_curve_ends_with_the_training_and_never_goes_back(changed: Outcome) -> None:
    slow = tuple(replace(epoch, train_seconds=100 * epoch.train_seconds) for epoch in changed.epochs)
    assert changed.train_seconds is not None
    again = replay(CHANGING, IMAGES, CPU, replace(changed, train_seconds=100 * changed.train_seconds, epochs=slow))
    ends = [epoch.train_seconds for epoch in again.epochs]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(again.train_seconds)


def test_a_phase_that_is_not_timed_is_gone_through_and_one_behind_the_last_is_not(
    changed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one gets a step of its own, so that what follows does not pay for a cold process."""
    timing_all(monkeypatch, changed)
    of_all = shapes_of(CHANGING, changed, monkeypatch)
    assert len(of_all) > 4
    timing(monkeypatch, {2: 14})
    assert shapes_of(CHANGING, changed, monkeypatch) == [of_all[0], of_all[2]]


def test_phases_that_are_not_timed_are_as_much_slower_as_those_that_are(
    changed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing(monkeypatch, {2: 14})
    again = replay(CHANGING, IMAGES, CPU, changed)
    slower = [now.step_seconds / then.step_seconds for now, then in zip(again.phases, changed.phases, strict=True)]
    assert slower == pytest.approx([slower[2]] * len(slower))


@pytest.mark.parametrize(
    ("there", "here"),
    [("integers by avx512-vnni", ""), ("", "integers by avx2"), ("integers by avx2", "integers by x")],
)
@pytest.mark.parametrize("number", [0, 2])
def test_every_phase_says_how_the_device_of_the_replay_computes(
    changed: Outcome, monkeypatch: pytest.MonkeyPatch, there: str, here: str, number: int
) -> None:
    """Integers there may be simulated here, and the other way round; what Methods did is as it was."""
    monkeypatch.setattr(Precision, "pattern", here)
    timing(monkeypatch, {number: 1})
    of_methods = ["", "prunetrain with its penalty", "images of 14 pixels, swa of every step"]
    patterns = [of_methods[i % 3] for i in range(len(changed.phases))]
    assert len(patterns) > 3

    def computed(way: str) -> list[str]:
        return [", ".join(filter(None, [way, pattern])) for pattern in patterns]

    phases = zip(changed.phases, computed(there), strict=True)
    recorded = replace(changed, phases=tuple(replace(phase, pattern=pattern) for phase, pattern in phases))
    again = replay(CHANGING, IMAGES, CPU, through_the_store(recorded))
    assert [phase.pattern for phase in again.phases] == computed(here)
    assert (recorded.by_integers, again.by_integers) == (bool(there), bool(here))


def test_a_method_measures_nothing_in_a_replay(changed: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of it is in the record, and twenty steps for each look would be more than a replay times."""
    assert "batch" in {surgery.kind for surgery in changed.surgeries}
    monkeypatch.setattr(loop, "step_cost", lambda *_: pytest.fail("measured"))
    replay(CHANGING, IMAGES, CPU, changed)


class _Still(RunDelay):
    def seconds(self) -> float:
        return 0.0


def test_a_training_notes_what_rebuilding_took_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that is a second later at every look, each rebuilding takes one, and asking for it another two."""
    looks, rebuilds, rebuild = itertools.count(), [], Clock.rebuild
    monkeypatch.setattr(Clock, "rebuild", lambda clock: rebuilds.append(1) or rebuild(clock))
    monkeypatch.setattr(loop, "Clock", lambda device: Clock(device, lambda: float(next(looks)), _Still()))
    training = loop.Training(CHANGING, IMAGES, CPU)
    outcome = training.go(with_test=False).outcome
    rebuilding = [phase.rebuild_seconds or 0.0 for phase in outcome.phases]
    assert all(seconds > 0 for seconds in rebuilding)
    behind_the_last = training.clock.state_dict()["events"]["rebuild"]  # of a pruning that had nothing to cut
    assert sum(rebuilding) + behind_the_last == len(rebuilds) > len(outcome.surgeries)
    assert all(surgery.seconds == 3 for surgery in outcome.surgeries)


def test_a_replay_of_a_long_training_ends_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REPLAY, "MOST_SECONDS", 0.3)
    outcome = train(replace(RECIPE, epochs=20), IMAGES, CPU).outcome
    assert [phase.steps for phase in outcome.phases] == [160]
    (longer,) = (replace(phase, steps=1_000_000) for phase in outcome.phases)
    again = replay(RECIPE, IMAGES, CPU, replace(outcome, phases=(longer,)))
    assert again.phases[0].seconds == pytest.approx(1_000_000 * again.phases[0].step_seconds)


def test_a_replay_of_another_network_is_refused(changed: Outcome) -> None:
    with pytest.raises(SurgeryError, match="no event in the history of this network"):
        replay(replace(CHANGING, network="convnet"), IMAGES, CPU, changed)


def test_an_outline_says_sizes_and_no_channels(changed: Outcome) -> None:
    changes = [change for phase in changed.phases for change in phase.changes]
    assert {change["do"] for change in changes} >= {"resize", "insert_identity"}
    assert len(json.dumps(changes)) < 5000


def test_a_surgeon_brings_a_network_to_the_sizes_of_an_outline() -> None:
    made = loop.Training(CHANGING, IMAGES, CPU)
    surgeon = made.shape.surgeon
    space = surgeon.channels.free[0]
    surgeon.remap({space.name: torch.tensor([3, 1, 1, 0])})
    twin = Surgeon(loop.Training(CHANGING, IMAGES, CPU).run.model, surgeon.images)
    twin.replay(surgeon.outline)
    assert [p.shape for p in twin.model.parameters()] == [p.shape for p in surgeon.model.parameters()]
