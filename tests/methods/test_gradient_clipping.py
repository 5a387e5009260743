"""Gradient clipping against the formula, and in every way in which a step can be made."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from paretosearch import methods
from paretosearch.methods.gradient_clipping import GradientClipping, clip
from paretosearch.methods.prunetrain import PruneTrain
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.testing.recorder import OpRecorder
from paretosearch.training import Training, forward, tiers
from paretosearch.training.precision import Precision

CPU = torch.device("cpu")
RECIPE = Recipe("stripes", "convnet", epochs=2, batch_size=8, reference_batch_size=8, learning_rate=0.1, width=0.5)


def norm_of(tensors: list[Tensor]) -> float:
    return sum(tensor.double().square().sum().item() for tensor in tensors) ** 0.5


@settings(deadline=None)  # the first operation of a process takes a second
@given(
    st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5), min_size=1, max_size=4),
    st.floats(0.01, 100),
)
def test_it_shortens_all_gradients_by_one_factor_and_only_those_that_are_too_long(
    values: list[list[float]], norm: float
) -> None:
    given_ones = [torch.tensor(row) for row in values]
    clipped, reference = [g.clone() for g in given_ones], [nn.Parameter(torch.zeros_like(g)) for g in given_ones]
    for parameter, gradient in zip(reference, given_ones, strict=True):
        parameter.grad = gradient.clone()
    total = clip(clipped, norm)
    torch.nn.utils.clip_grad_norm_(reference, norm)
    assert total.item() == pytest.approx(norm_of(given_ones), rel=1e-5, abs=1e-18)  # where squares underflow
    assert norm_of(clipped) <= norm * (1 + 1e-5)
    for ours, parameter, before in zip(clipped, reference, given_ones, strict=True):
        torch.testing.assert_close(ours, parameter.grad)
        if norm_of(given_ones) < norm * 0.999:
            torch.testing.assert_close(ours, before, rtol=1e-6, atol=0)


def test_short_gradients_keep_every_bit() -> None:
    gradients = [torch.randn(3, 4), torch.randn(5)]
    before = [g.clone() for g in gradients]
    clip(gradients, 100.0)
    assert all(map(torch.equal, gradients, before))


def test_the_norm_of_half_precision_does_not_overflow_and_types_may_be_mixed() -> None:
    kinds = (torch.float16, torch.float32, torch.bfloat16)
    gradients = [torch.full((16,), value, dtype=kind) for value, kind in zip((3e4, 3e4, 1.0), kinds, strict=True)]
    total = clip(gradients, 8.0)
    assert total.item() == pytest.approx(3e4 * 32**0.5, rel=1e-3)
    halves = [torch.full((16,), 3e4, dtype=torch.float16)]
    assert clip(halves, 8.0).item() == pytest.approx(1.2e5, rel=1e-3)
    assert norm_of(halves) == pytest.approx(8.0, rel=1e-2)
    assert norm_of(gradients) == pytest.approx(8.0, rel=1e-2)
    assert [g.dtype for g in gradients] == [torch.float16, torch.float32, torch.bfloat16]


def test_nothing_to_clip_is_nothing() -> None:
    assert clip([], 1.0) == 0


def test_every_step_of_a_training_is_clipped() -> None:
    """With plain SGD the step is the gradient: no step is longer than the norm, and without the Method all are."""

    def steps(norm: float) -> list[float]:
        training = TinyTraining((GradientClipping(norm=norm),))
        (group,) = training.run.optimizer.param_groups
        group.update(momentum=0.0, nesterov=False)
        seen = []
        for _ in range(3):
            before = [p.detach().clone() for p in training.run.model.parameters()]
            training._batch(*training.batch)
            moved = [p.detach() - old for p, old in zip(training.run.model.parameters(), before, strict=True)]
            seen.append(norm_of(moved) / training.run.learning_rate)
        return seen

    free, limit = steps(0.0), 0.01
    print(f"norms {free}, clipped to {steps(limit)}")
    assert min(free) > 2 * limit
    assert steps(limit) == pytest.approx([limit] * 3, rel=1e-3)


class _Overflowing(nn.Module):
    """Gives the one weight the gradient that one is told."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))


def stepped(gradient: float, number_format: str) -> tuple[_Overflowing, float]:
    """Make one step whose gradient is a number in one place and 1 in the others."""
    model, precision = _Overflowing(), Precision(number_format, CPU)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    precision.backward((model.weight.sum() + model.other.sum() + model.weight[0] * (gradient - 1)), optimizer)
    run = Run.__new__(Run)
    run.model = model
    GradientClipping(norm=0.5).after_backward(run)
    return model, precision.step(optimizer).item()


@pytest.mark.parametrize("number_format", ["fp32", "fp16"])
def test_the_norm_is_that_of_the_gradient_without_its_loss_scale(number_format: str) -> None:
    model, made = stepped(3.0, number_format)
    moved = norm_of([1 - model.weight.detach(), 1 - model.other.detach()])
    assert made == 1
    assert moved == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("gradient", [float("inf"), float("nan"), 3e38])
def test_a_gradient_that_is_not_finite_skips_the_step_of_a_scaled_format(gradient: float) -> None:
    model, made = stepped(gradient, "fp16")  # the last one is finite before it is scaled
    assert made == 0
    assert torch.equal(model.weight, torch.ones(2))
    assert torch.equal(model.other, torch.ones(2))


def test_it_sees_what_pruning_adds_to_the_gradient() -> None:
    names = [method.name for method in methods.CATALOGUE]
    assert names.index("gradient_clipping") > names.index("prunetrain")
    pruning = PruneTrain(penalty_ratio=0.5, form="subgradient")
    seen: list[float] = []

    class Watching(GradientClipping):
        def after_backward(self, run: Run) -> None:
            super().after_backward(run)
            seen.append(norm_of([p.grad for p in run.model.parameters() if p.grad is not None]))

    TinyTraining((pruning, Watching(norm=0.01)), "resnet8").epoch()
    assert seen == pytest.approx([0.01] * len(seen), rel=1e-3)


def test_a_recorded_step_is_clipped_as_one_op_by_op(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "worth_recording", lambda *_: True)
    monkeypatch.setattr(forward, "fused", lambda _: None)

    def losses(norm: float, recorder: OpRecorder | None) -> list[float]:
        recipe = replace(RECIPE, methods={"gradient_clipping": {"norm": norm}})
        training = Training(recipe, image_set(per_class=40), CPU, recorder=recorder)
        found = [epoch.loss for epoch in training.go(with_test=False).outcome.epochs]
        assert not training.stepper.refusal
        return found

    recorder = OpRecorder()
    clipped, recorded = losses(0.1, None), losses(0.1, recorder)
    assert recorder.recordings > 0
    assert recorded == pytest.approx(clipped, abs=1e-5)
    assert losses(1000.0, None) != pytest.approx(clipped, abs=1e-3)
