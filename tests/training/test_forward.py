"""The forward pass in training: plain, fused, compiled."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from paretosearch.errors import RecipeError
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import forward, train
from paretosearch.training.forward import Forward

RECIPE = Recipe("stripes", "convnet", epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.05, width=0.25)


def test_a_recipe_is_not_compiled_unless_it_says_so() -> None:
    plain = Forward(nn.Linear(2, 2), "off", fuse=False)
    plain.adapt()
    assert (plain.tier, plain.is_compiled) == ("eager", False)


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
