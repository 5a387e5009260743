"""The forward pass in training: plain, fused, compiled."""

import gc
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from paretosearch.errors import RecipeError
from paretosearch.methods import dynamic_batch
from paretosearch.recipe import Recipe
from paretosearch.run import Run, StepCost
from paretosearch.testing.images import image_set
from paretosearch.training import Training, forward, loop, train
from paretosearch.training.forward import Forward

RECIPE = Recipe("stripes", "convnet", epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.05, width=0.25)


def test_a_recipe_is_not_compiled_unless_it_says_so() -> None:
    plain = Forward(nn.Linear(2, 2), "off", fuse=False)
    plain.adapt(0, 8)
    assert (plain.tier, plain.is_compiled) == ("eager", False)


def test_it_is_adapted_once_to_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(forward, "fused", lambda _: seen.append(len(seen)))
    fusing = Forward(nn.Linear(2, 2), "off", fuse=True)
    for shape in ((0, 8), (0, 16), (1, 16), (1, 16)):  # without a compiler the batch does not matter
        fusing.adapt(*shape)
    assert seen == [0, 1]


def test_what_a_step_would_cost_is_asked_of_the_network_as_it_has_become(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two epochs the batch is chosen for a network that has grown in the same moment."""
    seen: list[tuple[bool, int]] = []

    def step_cost(_: Run, forward: Forward, *__: object) -> StepCost:
        seen.append((forward._adapted == (len(training.shape.surgeon.history), 0), len(training.shape.surgeon.history)))
        return StepCost(1.0, 0, None)

    monkeypatch.setattr(loop, "step_cost", step_cost)
    monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 0)
    growing = {"net2net": {"schedule": "widen@0.5x2"}, "dynamic_batch": {"largest": 64}}
    recipe = replace(RECIPE, network="resnet8", methods=growing)
    training = Training(recipe, image_set(), torch.device("cpu"))
    training.go(with_test=False)
    assert seen
    assert all(is_adapted and changes for is_adapted, changes in seen)


def test_an_old_recipe_keeps_its_digest() -> None:
    assert Recipe("mnist", "convnet").digest == replace(Recipe("mnist", "convnet"), compile="off").digest
    assert Recipe("mnist", "convnet").digest != replace(Recipe("mnist", "convnet"), compile="default").digest


def test_a_compiled_training_learns_the_same_and_pays_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    real, modes = torch.compile, []

    def quick(model: nn.Module, *, mode: str, dynamic: bool) -> object:
        modes.append((mode, dynamic))
        return real(model, backend="aot_eager", dynamic=dynamic)  # all but the making of machine code

    monkeypatch.setattr(torch, "compile", quick)
    ours = train(replace(RECIPE, compile="default"), image_set(), torch.device("cpu")).outcome
    plain = train(RECIPE, image_set(), torch.device("cpu")).outcome
    assert modes[0] == ("default", False)
    assert [epoch.loss for epoch in ours.epochs] == pytest.approx([epoch.loss for epoch in plain.epochs], rel=1e-4)
    assert [phase.tier for phase in ours.phases] == ["compile"]
    (phase,) = ours.phases
    assert phase.seconds > 1.5 * phase.steps * phase.step_seconds  # the compiler's seconds are in it


def test_a_changed_shape_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[nn.Module] = []

    def watched(model: nn.Module, **_: object) -> nn.Module:
        made.append(model)
        return model

    monkeypatch.setattr(torch, "compile", watched)
    growing = replace(RECIPE, compile="default", epochs=4, methods={"net2net": {"schedule": "widen@0.5x2"}})
    train(growing, image_set(), torch.device("cpu"))
    assert len(made) == 2


def test_the_compiler_never_finds_what_an_earlier_training_has_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Path] = []

    def watched(model: nn.Module, **_: object) -> nn.Module:
        places.append(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]))
        assert not list(places[-1].iterdir())
        (places[-1] / "left").write_text("for the next one")
        return model

    monkeypatch.setattr(torch, "compile", watched)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/nowhere")  # and set it back in the end
    monkeypatch.setenv("TRITON_CACHE_DIR", "/nowhere")
    for _ in range(2):
        train(replace(RECIPE, compile="default", epochs=1), image_set(), torch.device("cpu"))
    assert len(set(places)) == 2
    gc.collect()
    assert not any(place.exists() for place in places)


def test_a_compiler_that_is_missing_is_a_fault_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class CompilerError(Exception):
        pass

    CompilerError.__module__ = "torch._inductor.exc"

    def fail(_: object) -> None:
        raise CompilerError("no C++ compiler\nmore")

    monkeypatch.setattr(forward.torch, "compile", lambda *_, **__: fail)
    with pytest.raises(
        RecipeError, match=r'torch.compile does not work here \(no C\+\+ compiler\); set compile = "off"'
    ):
        train(replace(RECIPE, compile="default"), image_set(), torch.device("cpu"))
