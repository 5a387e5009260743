"""The operations of a training are those that its steps compute, whatever Methods make of them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import Training, train
from paretosearch.training.checkpoint import Checkpoint
from paretosearch.training.flops import flops_of
from paretosearch.weightnorm import WeightNormConv2d

CPU = torch.device("cpu")
IMAGES = image_set(per_class=16)
EDGE, BATCH, EPOCHS, STEPS = 12, 16, 4, 4
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.25,
    epochs=EPOCHS,
    batch_size=BATCH,
    reference_batch_size=BATCH,
    learning_rate=0.01,
    norm_batches=0,
)
ALL_HARD = {"keep": 0.5, "start": 0.0, "until": 1.0, "every": 0}
SKIPPING = {"kind": "zero", "layers": "all", "every": 4}


class Counted(Training):
    """A training that counts the operations of each step, the hard way, and how many images went backward.

    Attributes:
        really: Operations of all steps.
        towards_images: Those that a gradient of the images would have needed, which is counted and not computed.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, IMAGES, CPU)
        self.really = self.towards_images = 0
        loss = self.loss

        def watched(logits: Tensor, labels: Tensor) -> Tensor:
            first = next(module for module in self.run.model.modules() if isinstance(module, nn.Conv2d))
            if first.weight.requires_grad:
                self.towards_images += len(labels) * 2 * first.weight.numel() * EDGE * EDGE
            return loss(logits, labels)

        self.loss = watched

    def _batch(self, x: Tensor, y: Tensor) -> Tensor:
        with FlopCounterMode(display=False) as counter:
            loss = super()._batch(x, y)
        self.really += counter.get_total_flops()
        return loss


@pytest.mark.parametrize(
    "methods",
    [
        {},
        {"selective_backprop": ALL_HARD},
        {"selective_backprop": {"keep": 0.3, "start": 0.5, "until": 0.8, "every": 2}},
        {"gradient_approximation": SKIPPING},
        {"gradient_approximation": {"kind": "random", "every": 2}},
        {"gradient_approximation": {"kind": "channels", "every": 2, "keep": 0.3}},
        {"gradient_approximation": {"kind": "samples", "every": 2, "keep": 0.3}},
        {"selective_backprop": ALL_HARD, "gradient_approximation": SKIPPING},
        {"isgd": {"limit": 0.05, "stop": 20}},
        {"isgd": {"limit": 0.05, "stop": 20}, "gradient_approximation": SKIPPING},
        {"ssf": {"structure": "initial"}},
        {"ssf": {"structure": "initial", "unfreeze": 0.5}},
        {"ssf": {"structure": "initial"}, "selective_backprop": ALL_HARD},
        {"whitening": {"size": 2}},
        {"whitening": {"size": 2}, "gradient_approximation": SKIPPING},
        {"weight_norm": {"form": "mean_only"}, "gradient_approximation": SKIPPING},
        {"lottery_ticket": {"pruned": 0.5}},
        {"gradient_pruning": {"sparsity": 0.9, "start": 0.0}},
        {"prunetrain": {"penalty_ratio": 0.9, "interval": 1}, "selective_backprop": ALL_HARD},
    ],
    ids=lambda methods: "+".join(f"{name}-{'-'.join(map(str, m.values()))}" for name, m in methods.items()) or "plain",
)
def test_all_that_is_computed_is_counted_and_nothing_else(methods: dict[str, dict[str, Any]]) -> None:
    training = Counted(replace(RECIPE, methods=methods))
    outcome = training.go(with_test=False).outcome
    assert outcome.training_flops is not None
    assert outcome.training_flops - training.really == training.towards_images
    assert training.effort.images == EPOCHS * STEPS * BATCH


def flops(**methods: dict[str, Any]) -> int:
    found = train(replace(RECIPE, methods=methods), IMAGES, CPU).outcome.training_flops
    assert found is not None
    return found


def test_a_look_is_one_of_three_passes_and_half_of_the_images_half_of_them_all() -> None:
    plain = flops()
    assert flops(selective_backprop=ALL_HARD) == plain * (1 + 1.5) / 3
    assert flops(selective_backprop={**ALL_HARD, "every": 2}) == plain * (5.5 / 6)


def test_gradients_of_weights_are_a_third_at_most_and_what_is_only_simulated_saves_nothing() -> None:
    plain, skipping = flops(), flops(gradient_approximation=SKIPPING)
    print(f"three of four steps without the gradient of weights: {skipping / plain:.3f} of the operations")
    assert plain * 0.75 < skipping < 0.8 * plain
    assert flops(gradient_pruning={"sparsity": 0.9, "start": 0.0}) == plain


def test_a_training_that_was_stopped_has_the_operations_of_one_that_was_not() -> None:
    recipe = replace(RECIPE, methods={"isgd": {"limit": 0.05, "stop": 20}, "gradient_approximation": SKIPPING})
    kept: list[bytes] = []

    def keep(checkpoint: Checkpoint) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    whole = train(recipe, IMAGES, CPU, keep=keep).outcome
    steps = [surgery.figures["steps"] for surgery in whole.surgeries if surgery.kind == "isgd"]
    assert steps[0] == 0 < steps[-1]
    for written in kept:
        checkpoint = torch.load(io.BytesIO(written), weights_only=True)
        assert train(recipe, IMAGES, CPU, checkpoint=checkpoint).outcome.training_flops == whole.training_flops


def test_layers_that_are_fixed_need_no_gradient_of_weights_and_none_of_what_nobody_trains() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    of = [2 * 4 * 2 * 9, 2 * 4 * 4, 2 * 4 * 4, 2 * 24]
    model.requires_grad_(False)
    assert flops_of(model, (1, 4, 4), CPU).of_step() == sum(of)
    model[1].requires_grad_(True)
    found = flops_of(model, (1, 4, 4), CPU)
    assert (found.forward, found.of_step()) == (sum(of), of[0] + 3 * of[1] + 2 * of[2] + 2 * of[3])
    assert found.layers == {model[1]: of[1], model[3]: 0}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_layer_with_more_parameters_than_its_weight_is_one_layer() -> None:
    conv = WeightNormConv2d.of(nn.Conv2d(1, 2, 3))
    assert flops_of(nn.Sequential(conv), (1, 3, 3), CPU).layers == {conv: 2 * 2 * 9}
