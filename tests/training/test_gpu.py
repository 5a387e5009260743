"""What only a GPU can show: recorded steps, and the clock of the device."""

from dataclasses import replace

import pytest
import torch

from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import Training, replay, tiers

pytestmark = pytest.mark.gpu

RECIPE = Recipe(
    "stripes", "resnet8", epochs=4, batch_size=16, reference_batch_size=16, learning_rate=0.05, pooling="stochastic"
)
CHANGING = replace(
    RECIPE,
    channel_multiple=8,
    methods={
        "prunetrain": {"penalty_ratio": 0.8, "interval": 1, "threshold": 0.05},
        "net2net": {"schedule": "widen@0.5x2"},
    },
)


class Never:
    """Records nothing."""

    def record(self, *_: object) -> None:
        raise RuntimeError("not today")

    def forget(self) -> None:
        """Do nothing."""


#: Trains on images of 8 pixels, then on those of 12.
GROWING_IMAGES = replace(RECIPE, methods={"progressive_resolution": {"smallest": 0.5}})


@pytest.fixture
def _recording_always_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "worth_recording", lambda *_: True)


@pytest.fixture
def _same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose algorithms that add up in the same order each time."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def go(recipe: Recipe, recorded: bool = True) -> tuple[Outcome, Training]:
    recorder = None if recorded else Never()
    training = Training(recipe, image_set(per_class=256), torch.device("cuda"), recorder=recorder)  # type: ignore[arg-type]
    return training.go(with_test=False).outcome, training


@pytest.mark.usefixtures("_recording_always_pays", "_same_sums")
@pytest.mark.parametrize("number_format", ["fp32", "bf16", "fp16", "dfp16", "bfp8", "bf16-pure", "fp16-pure"])
@pytest.mark.parametrize(
    "recipe",
    [replace(RECIPE, pooling="native"), CHANGING, GROWING_IMAGES],
    ids=["plain", "changing", "images that grow"],
)
def test_a_recorded_training_goes_as_an_eager_one(recipe: Recipe, number_format: str) -> None:
    recipe = replace(recipe, number_format=number_format)
    (ours, training), (eager, _) = go(recipe), go(recipe, recorded=False)
    assert not training.stepper.refusal
    assert "graph" in {phase.tier for phase in ours.phases}
    alike = 1e-4 if (recipe.pooling, number_format) == ("native", "fp32") else 0.05
    assert ours.epochs[0].loss == pytest.approx(eager.epochs[0].loss, rel=alike)
    assert ours.accuracy == pytest.approx(eager.accuracy, abs=0.1)


@pytest.mark.usefixtures("_recording_always_pays")
def test_steps_are_recorded_before_gradients_are_pruned_and_when_they_are() -> None:
    pruning = {"sparsity": 0.9, "start": 0.5, "window": 3}
    outcome, training = go(replace(RECIPE, pooling="native", methods={"gradient_pruning": pruning}))
    assert training.stepper.refusal == ""
    recorded = {phase.pattern for phase in outcome.phases if phase.tier == "graph"}
    assert recorded == {"", "gradient_pruning prunes"}


def test_a_small_network_is_recorded_since_that_pays() -> None:
    outcome, _ = go(replace(RECIPE, epochs=16, pooling="native"))
    eager, graph = outcome.phases
    assert (eager.tier, graph.tier) == ("eager", "graph")
    assert graph.step_seconds < 0.8 * eager.step_seconds


def test_a_replay_times_what_was_recorded() -> None:
    outcome, _ = go(replace(CHANGING, epochs=6))
    again = replay(CHANGING, image_set(per_class=256), torch.device("cuda"), outcome)
    assert outcome.train_seconds is not None
    assert again.train_seconds == pytest.approx(outcome.train_seconds, rel=0.5)  # short, so rough


def test_the_clock_reads_the_device() -> None:
    outcome, training = go(RECIPE)
    assert outcome.train_seconds is not None
    assert outcome.wall_seconds is not None
    assert outcome.train_seconds <= 1.2 * outcome.wall_seconds
    assert all(seconds > 0 for phase in training.clock.phases for seconds in phase.steps)
