"""Kernel rescaling in a training: small images with small kernels, one surgery, then everything at full size."""

from __future__ import annotations

import importlib
import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from paretosearch import methods, nets
from paretosearch.errors import RecipeError
from paretosearch.methods.kernel_rescaling import KernelRescaling
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import change_of, shape_lines
from paretosearch.testing.images import image_set
from paretosearch.training import Training, loop, replay, train
from paretosearch.training.flops import TRAINING_FORWARDS, flops_of
from paretosearch.training.sampling import Sample
from paretosearch.training.surgery import Surgeon

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32, size=16)
RECIPE = Recipe(
    "stripes",
    "convnet5",
    width=0.5,
    epochs=4,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.05,
    methods={"kernel_rescaling": {"until": 0.5}},
)


def kernels(model: nn.Module) -> list[int]:
    return [module.kernel_size[0] for module in model.modules() if isinstance(module, nn.Conv2d)]


def test_kernels_and_images_are_small_at_first_and_large_in_the_end() -> None:
    training = Training(RECIPE, IMAGES, CPU)
    seen: list[tuple[int, list[int]]] = []
    call = training.stepper._step

    def watched(run: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((x.shape[-1], kernels(run.model)))
        return call(run, x, y)

    training.stepper._step = watched
    before = flops_of(training.run.model, (1, 8, 8), CPU).forward
    outcome = training.go(with_test=False).outcome
    assert seen == [(8, [3, 3, 3, 3])] * 8 + [(16, [5, 5, 3, 3])] * 8
    assert [(phase.pattern, phase.steps, phase.epoch) for phase in outcome.phases] == [
        ("images of 8 pixels", 8, 0),
        ("", 8, 2),
    ]
    (surgery,) = outcome.surgeries
    assert (surgery.kind, surgery.epoch, surgery.channels_before) == ("rescale", 2, surgery.channels_after)
    assert surgery.figures == {"kernels": 2, "pixels_before": 8, "pixels": 16}
    assert surgery.seconds > 0
    after = flops_of(training.run.model, (1, 16, 16), CPU).forward
    assert [epoch.flops_per_image for epoch in outcome.epochs] == [before, before, after, after]
    assert outcome.training_flops == TRAINING_FORWARDS * 2 * 128 * (before + after)
    assert outcome.parameters == sum(
        p.numel() for p in nets.build("convnet5", classes=4, channels=1, image_size=16, width=0.5).parameters()
    )


def checkpoints(recipe: Recipe) -> tuple[nn.Module, list[bytes]]:
    kept: list[bytes] = []

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    return train(recipe, IMAGES, CPU, keep=keep).model, kept


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"ema": {"decay": 0.9}},
        {"muon": {"rate": 0.1}},
        {"schedule_free": {"beta": 0.9}},
        {"prunetrain": {"penalty_ratio": 0.8, "interval": 1, "threshold": 0.05}},
        {"net2net": {"schedule": "widen@0.25x1.5+deepen@0.75"}},
        {"gradient_pruning": {"sparsity": 0.9, "window": 2}},
    ],
    ids=lambda others: next(iter(others), "alone"),
)
def test_a_training_goes_on_from_every_checkpoint(others: dict[str, Any]) -> None:
    recipe = replace(RECIPE, channel_multiple=1, methods={**RECIPE.methods, **others})
    model, kept = checkpoints(recipe)
    for state in kept:
        continued = train(recipe, IMAGES, CPU, checkpoint=torch.load(io.BytesIO(state), weights_only=True))
        assert all(map(torch.equal, model.state_dict().values(), continued.model.state_dict().values()))
        assert [surgery.kind for surgery in continued.outcome.surgeries].count("rescale") == 1


def test_a_replay_makes_the_change_again(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome.from_json(train(RECIPE, IMAGES, CPU).outcome.to_json())
    assert [list(phase.changes) for phase in outcome.phases] == [
        [],
        [{"do": "rescale_kernels", "sizes": {"0.0": 5, "2.0": 5}}],
    ]
    seen: list[tuple[int, list[int]]] = []
    steps = loop.Training.steps

    def watched(training: Training, *arguments: Any) -> None:
        seen.append((training.run.image_size, kernels(training.run.model)))
        steps(training, *arguments)

    monkeypatch.setattr(loop.Training, "steps", watched)
    module = importlib.import_module("paretosearch.training.replay")
    monkeypatch.setattr(module, "sample", lambda _: Sample({0: 10, 1: 10}, 0.0))
    again = replay(RECIPE, IMAGES, CPU, outcome)
    assert seen == [(8, [3, 3, 3, 3]), (16, [5, 5, 3, 3])]
    assert again.phases[1].rebuild_seconds


@pytest.mark.parametrize("number_format", ["bf16", "fp16", "dfp16", "bfp8", "bf16-pure"])
def test_every_number_format_bears_the_change(number_format: str) -> None:
    outcome = train(replace(RECIPE, number_format=number_format, epochs=2), IMAGES, CPU).outcome
    assert (outcome.status, len(outcome.surgeries)) == ("complete", 1)


def test_off_is_as_absent() -> None:
    plain, off = (
        train(replace(RECIPE, epochs=1, methods=given), IMAGES, CPU).model
        for given in ({}, {"kernel_rescaling": {"until": 0.0}})
    )
    assert all(map(torch.equal, plain.state_dict().values(), off.state_dict().values()))


def test_what_is_told_of_it_is_no_change_of_channels() -> None:
    outcome = train(replace(RECIPE, epochs=2), IMAGES, CPU).outcome
    assert change_of(outcome.surgeries) == ""
    assert shape_lines(RECIPE, outcome) == [
        "after epoch 1 the kernels of 2 convolutions were scaled up, and the images from 8 to 16 pixels"
    ]


@pytest.mark.parametrize("network", ["convnet", "resnet8", "vgg11", "resnet18"])
def test_a_network_of_small_kernels_is_refused_with_a_way_out(network: str) -> None:
    model = nets.build(network, classes=3, channels=1, image_size=16, width=0.125)
    said = rf"kernel_rescaling has nothing to scale in {network}: .* progressive_resolution does the same"
    with pytest.raises(RecipeError, match=said) as caught:
        KernelRescaling(until=0.5).check_anatomy(Surgeon(model, torch.zeros(2, 1, 16, 16)), network)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match="nothing to scale in this network"):
        KernelRescaling(until=0.5).edit_model(model)


def test_a_network_that_takes_no_smaller_images_is_refused() -> None:
    model = nets.build("convnet5", classes=3, channels=1, image_size=8, width=0.125)
    with pytest.raises(RecipeError, match="needs smaller images than those of 8 pixels, and convnet5 takes none"):
        KernelRescaling(until=0.5).check_anatomy(Surgeon(model, torch.zeros(2, 1, 8, 8)), "convnet5")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 1}, "kernel_rescaling.until = 0.5 leaves no epoch for smaller kernels in a training of 1"),
        (
            {"methods": {**RECIPE.methods, "net2net": {"schedule": "deepen@0.5"}}},
            "kernel_rescaling.until = 0.5 changes the size of images after epoch 2 of 4, at which net2net grows",
        ),
        (
            {"methods": {**RECIPE.methods, "weight_norm": {"form": "plain"}}},
            "weight_norm does not go with kernel_rescaling",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        methods.active(replace(RECIPE, **fields))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stem_of_seven_begins_with_five() -> None:
    images = image_set(per_class=4, size=72)
    recipe = replace(RECIPE, network="resnet18", width=0.125, batch_size=8, epochs=2)
    training = Training(recipe, images, CPU)
    assert kernels(training.run.model)[0] == 5
    outcome = training.go(with_test=False).outcome
    assert kernels(training.run.model)[0] == 7
    assert [phase.pattern for phase in outcome.phases] == ["images of 64 pixels", ""]  # 51, in steps of 32


def test_it_settles_when_full_size_has_been_seen() -> None:
    assert methods.settled_at(RECIPE) == 3
    spelled = [KernelRescaling(until=until).canonical(with_until(until)) for until in (0.5, 0.6, 0.74, 0.75)]
    assert [dict(one or {}) for one in spelled] == [{"until": 0.5}] * 3 + [{"until": 0.8}]  # as short as can be


def with_until(until: float) -> Recipe:
    return replace(RECIPE, methods={"kernel_rescaling": {"until": until}})
