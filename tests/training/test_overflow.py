"""A gradient that is not finite costs one step and half of the loss scale, and is on record."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.store import open_store
from paretosearch.testing.images import image_set
from paretosearch.testing.store.builders import CPU, study_record, train
from paretosearch.training.loop import Training
from paretosearch.training.precision import FIRST_LOSS_SCALE

#: Small, since convolutions of fp16 take a CPU without hardware for them hundreds of times as long.
RECIPE = Recipe(
    "stripes",
    "convnet",
    width=0.125,
    image_size=8,
    epochs=2,
    batch_size=8,
    train_images=32,
    reference_batch_size=8,
    norm_batches=0,
    number_format="fp16",
)

OVERFLOWS = 2  # the step, from 1


class Watched(Training):
    """Notes in which steps the weights changed; in one of them a gradient is infinite."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, image_set(size=8), torch.device("cpu"))
        self.changed: list[bool] = []
        weight = next(self.run.model.parameters())
        weight.register_hook(lambda grad: grad * torch.inf if self.run.step + 1 == OVERFLOWS else grad)

    def _ordinary_step(self, run: object, x: Tensor, y: Tensor) -> Tensor:
        before = [p.detach().clone() for p in self.run.model.parameters()]
        loss = super()._ordinary_step(self.run, x, y)
        self.changed.append(not all(map(torch.equal, before, self.run.model.parameters())))
        return loss


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    training = Watched(RECIPE)
    found = training.go(with_test=False).outcome
    assert training.changed == [step != OVERFLOWS for step in range(1, 9)]
    return found


def test_the_epoch_says_what_was_skipped_and_what_became_of_the_scale(outcome: Outcome) -> None:
    half = FIRST_LOSS_SCALE / 2
    said = [(epoch.skipped_steps, epoch.overflow_share, epoch.loss_scale) for epoch in outcome.epochs]
    assert said == [(1, 0.25, half), (0, 0.0, half)]


def test_the_store_says_so_too(outcome: Outcome, tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store:
        store.add_study(study_record("s"))
        store.add_device(CPU)
        attempt = train(store, "s", 0, Outcome.from_json(outcome.to_json()))
        assert store.epochs(attempt) == outcome.epochs


@pytest.mark.parametrize("number_format", ["fp32", "bf16"])
def test_a_format_without_a_loss_scale_skips_nothing(number_format: str) -> None:
    training = Training(replace(RECIPE, number_format=number_format), image_set(size=8), torch.device("cpu"))
    for epoch in training.go(with_test=False).outcome.epochs:
        assert (epoch.skipped_steps, epoch.overflow_share, epoch.loss_scale) == (0, 0.0, None)
