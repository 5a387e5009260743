"""The standardization loss: its values, its gradients, and what listens when."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from paretosearch import methods, nets
from paretosearch.methods import standardization_loss
from paretosearch.methods.standardization_loss import (
    LEAST_SHARE,
    LEAST_VARIANCE,
    StandardizationLoss,
    alive,
    standardized,
)
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import STEPS, TinyTraining
from paretosearch.training import train
from paretosearch.training.surgery import Surgeon

CPU = torch.device("cpu")
STRENGTH = 1e-3
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.5,
    epochs=4,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.05,
    methods={"standardization_loss": {"strength": STRENGTH}},
)


def batch(*shape: int, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    """Draw images (N, C, H, W) whose channels have exactly this mean and this deviation."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), correction=0, keepdim=True)
    return mean + deviation * x


def distance(x: Tensor, counted: Tensor | None = None) -> Tensor:
    ones = torch.ones(x.shape[1], dtype=torch.float64) if counted is None else counted
    return standardized(x, ones)[1]


def plainly(x: Tensor) -> Tensor:
    """The definition, channel by channel."""
    channels = x.double().transpose(0, 1).flatten(1)
    return sum(  # type: ignore[return-value]  # there are channels
        (c.mean() ** 2 + c.var(correction=0) - c.var(correction=0).log() - 1) / 2 for c in channels
    )


def test_a_channel_of_mean_2_and_deviation_3_costs_4_901() -> None:
    cost = distance(batch(4, 3, 5, 5, mean=2, deviation=3)).item() / 3
    print(f"\ncost of N(2, 9): {cost:.6f}")
    assert cost == pytest.approx((4 + 9 - math.log(9) - 1) / 2)
    assert cost == pytest.approx(4.901, abs=1e-3)


@pytest.mark.parametrize(
    ("mean", "deviation", "is_zero"), [(0, 1, True), (0.1, 1, False), (0, 1.1, False), (0, 0.9, False)]
)
def test_it_is_zero_for_standard_channels_and_for_no_others(mean: float, deviation: float, is_zero: bool) -> None:
    cost = distance(batch(4, 3, 5, 5, mean=mean, deviation=deviation)).item()
    assert (abs(cost) < 1e-12) is is_zero
    assert cost > -1e-12


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_its_gradient_is_that_of_the_paper_and_of_the_function(layout: torch.memory_format) -> None:
    x = batch(3, 4, 2, 3, mean=0.7, deviation=1.6).contiguous(memory_format=layout).requires_grad_()
    (grad,) = torch.autograd.grad(distance(x), x)
    mean, variance = x.detach().mean((0, 2, 3), keepdim=True), x.detach().var((0, 2, 3), correction=0, keepdim=True)
    expected = (mean + (1 - 1 / variance) * (x.detach() - mean)) / (3 * 2 * 3)
    torch.testing.assert_close(grad, expected)
    (reference,) = torch.autograd.grad(plainly(x), x)
    torch.testing.assert_close(grad, reference)
    assert grad.is_contiguous(memory_format=layout)
    counted = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: standardized(x, counted), (x,))
    (masked,) = torch.autograd.grad(distance(x, counted), x)
    assert not masked[:, 1].any()
    torch.testing.assert_close(masked[:, ::2], expected[:, ::2])


def test_what_passes_through_has_its_gradient_bit_by_bit() -> None:
    x, weights = batch(3, 4, 2, 3).float().requires_grad_(), batch(3, 4, 2, 3).float()
    passed, _ = standardized(x, torch.ones(4))
    assert torch.equal(passed, x)
    (grad,) = torch.autograd.grad((passed * weights).sum(), x)
    assert torch.equal(grad, weights)


def test_a_strength_of_zero_leaves_gradients_bit_equal() -> None:
    plain, off = TinyTraining((), "resnet8"), TinyTraining((StandardizationLoss(strength=0.0),), "resnet8")
    grads = []
    for tiny in (plain, off):
        x, y = tiny.batch
        for method in tiny.methods:
            x, y = method.on_batch(tiny.run, x, y)
        tiny.run.optimizer.step = lambda: None  # type: ignore[method-assign,assignment]  # gradients alone
        tiny.run.optimizer.zero_grad = lambda: None  # type: ignore[method-assign,assignment]
        tiny.step(tiny.run, x, y)
        grads.append([p.grad for p in tiny.run.model.parameters()])
    assert all(map(torch.equal, *grads))


def test_what_follows_may_write_over_what_is_measured() -> None:
    x = batch(3, 4, 2, 3, mean=0.3).requires_grad_()
    passed, cost = standardized(x, torch.ones(4, dtype=torch.float64))
    (nn.functional.relu(passed, inplace=True).sum() + cost).backward()
    other = x.detach().clone().requires_grad_()
    (nn.functional.relu(other).sum() + plainly(other)).backward()
    torch.testing.assert_close(x.grad, other.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_measured_in_fp32(dtype: torch.dtype) -> None:
    x = batch(64, 2, 8, 8, mean=200, deviation=100).to(dtype).requires_grad_()  # whose squares fp16 does not have
    with torch.autocast("cpu", dtype=torch.bfloat16):
        passed, cost = standardized(x, torch.ones(2))
    assert (passed.dtype, cost.dtype) == (dtype, torch.float32)
    assert cost.item() == pytest.approx(plainly(x).item(), rel=1e-5)
    (grad,) = torch.autograd.grad(cost, x)
    assert grad.dtype is dtype
    assert grad.any()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_dead_channel_is_no_infinity_and_is_not_pushed_back_to_life(value: float) -> None:
    x = torch.full((4, 2, 3, 3), value, dtype=torch.float64)
    x[:, 0] += batch(4, 1, 3, 3, deviation=0.5 * LEAST_VARIANCE**0.5)[:, 0]
    x.requires_grad_()
    cost = distance(x)
    (grad,) = torch.autograd.grad(cost, x)
    assert cost.isfinite()
    assert grad.isfinite().all()
    away = (grad[:, 0] * (x.detach()[:, 0] - value)).sum()  # down the gradient, the variance falls
    assert away > 0
    assert not (grad[:, 1] - grad[:, 1].mean()).abs().max() > 1e-12


def test_filters_much_shorter_than_others_are_left_out() -> None:
    filters = batch(8, 3, 3, 3).float()
    filters[2] *= 1e-3
    filters[5] = 0
    assert alive(filters).tolist() == [1, 1, 0, 1, 1, 0, 1, 1]
    assert not alive(torch.zeros(4, 3, 3, 3)).any()
    assert alive(filters.half()).tolist() == alive(filters).tolist()
    assert alive(1e-4 * filters[:2].half()).all()  # whose squares fp16 does not have


def network() -> nn.Module:
    torch.manual_seed(0)
    return nets.build("resnet8", classes=4, channels=1, image_size=16, width=0.25)


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_batch_norm_is_gone_and_convolutions_have_biases() -> None:
    model = StandardizationLoss(strength=STRENGTH).edit_model(network())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert all(conv.bias is not None and not conv.bias.any() for conv in convolutions(model))
    assert len(convolutions(model)) == 9


@pytest.mark.parametrize("every", [1, 4])
def test_the_term_is_the_sum_over_all_convolutions_and_no_part_of_the_loss_that_is_told(every: int) -> None:
    tiny = TinyTraining((StandardizationLoss(strength=STRENGTH, every=every),), "resnet8")
    (method,) = tiny.methods
    model, (x, y) = tiny.run.model.train(), tiny.batch
    expected = torch.zeros((), dtype=torch.float64)
    seen: list[Tensor] = []
    handles = [
        c.register_forward_hook(lambda *call: seen.append(call[-1].detach().clone())) for c in convolutions(model)
    ]
    with torch.no_grad():
        plain_loss = nn.functional.cross_entropy(model(x), y)
    for handle in handles:
        handle.remove()
    expected = STRENGTH * every * sum(plainly(output) for output in seen)
    told: list[Tensor | None] = []
    add_loss = method.add_loss
    method.add_loss = lambda run: told.append(add_loss(run)) or told[-1]  # type: ignore[method-assign,func-returns-value]
    method.on_batch(tiny.run, x, y)
    loss = tiny.step(tiny.run, x, y)
    assert told[0] is not None
    assert told[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.item() == pytest.approx(plain_loss.item())
    assert expected.item() > 0.01


def test_of_a_few_steps_one_has_the_term() -> None:
    tiny = TinyTraining((StandardizationLoss(strength=STRENGTH, every=4),), "resnet8")
    (method,) = tiny.methods
    told: list[tuple[str, bool]] = []
    add_loss = method.add_loss

    def watched(run: Run) -> Tensor | None:
        term = add_loss(run)
        told.append((method.variant(tiny.run), term is not None))
        return term

    method.add_loss = watched  # type: ignore[method-assign]
    for _ in range(3):
        tiny.epoch()
    assert STEPS == 2
    with_term, without = ("with its term", True), ("", False)
    assert told == [with_term, without, without, without, with_term, without]


def test_nothing_listens_between_steps_or_in_evaluation() -> None:
    tiny = TinyTraining((StandardizationLoss(strength=STRENGTH),), "resnet8")
    counts: list[int] = []
    step = tiny.run.optimizer.step

    def watched() -> None:
        counts.append(hooks(tiny.run.model))
        step()

    tiny.run.optimizer.step = watched  # type: ignore[method-assign,assignment]
    tiny.epoch()
    assert counts == [9, 9]
    assert hooks(tiny.run.model) == hooks(copy.deepcopy(tiny.run.model)) == 0
    (method,) = tiny.methods
    assert isinstance(method, StandardizationLoss)
    assert not method._terms


def test_a_step_that_fails_leaves_nothing_behind() -> None:
    tiny = TinyTraining((StandardizationLoss(strength=STRENGTH),), "resnet8")
    x, y = tiny.methods[0].on_batch(tiny.run, *tiny.batch)
    with pytest.raises(ValueError):
        tiny.step(tiny.run, x, y[:-1])
    assert hooks(tiny.run.model) == 0


def test_layers_that_are_inserted_later_are_heard_too() -> None:
    tiny = TinyTraining((StandardizationLoss(strength=STRENGTH),), "resnet8", width=1.0).epoch()
    for stage in tiny.surgeon.stages:
        tiny.surgeon.insert_identity(stage, torch.Generator())
    counts: list[int] = []
    hear = StandardizationLoss._hear

    def counted(self: StandardizationLoss, *call: object) -> Tensor | None:
        counts.append(1)
        return hear(self, *call)  # type: ignore[arg-type]  # those of a hook

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StandardizationLoss, "_hear", counted)
        tiny.epoch()
    assert len(counts) == STEPS * len(convolutions(tiny.run.model)) == STEPS * 15


def test_residual_branches_are_found_behind_which_batch_norm_was() -> None:
    x = torch.randn(2, 1, 16, 16)
    with_norm, without = network(), StandardizationLoss(strength=STRENGTH).edit_model(network())
    expected, found = Surgeon(with_norm, x).channels, Surgeon(without, x).channels
    assert [branch.block for branch in found.branches] == [branch.block for branch in expected.branches]
    assert [branch.last for branch in found.branches] == ["1.conv2", "3.conv2", "5.conv2"]
    assert [space.size for space in found.free] == [space.size for space in expected.free]


def test_a_silent_branch_is_removed_and_its_bias_stays() -> None:
    model, x = StandardizationLoss(strength=STRENGTH).edit_model(network()), torch.randn(2, 1, 16, 16)
    surgeon = Surgeon(model, x)
    block = surgeon.channels.branches[0]
    last = model.get_submodule(block.last)
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.uniform_()
    before = model(x)
    surgeon.remove_branch(block.block)
    torch.testing.assert_close(model(x), before)


@pytest.mark.parametrize(
    ("network", "number_format"),
    [("resnet8", "fp32"), *(("convnet", name) for name in ("bf16", "bf16-pure", "dfp16", "bfp8"))],
)
def test_a_network_learns_without_batch_norm(network: str, number_format: str) -> None:
    fields = {} if network == "resnet8" else {"network": network, "width": 1.0, "learning_rate": 0.1}
    strong = {"standardization_loss": {"strength": STRENGTH if network == "resnet8" else 10 * STRENGTH}}
    recipe = replace(RECIPE, number_format=number_format, methods=strong, **fields)  # type: ignore[arg-type]
    outcome = train(recipe, image_set(), CPU).outcome
    assert outcome.epochs[-1].loss < 0.7 * outcome.epochs[0].loss
    assert outcome.accuracy is not None
    assert outcome.accuracy > 0.5


def test_a_shrinking_channel_is_let_die(monkeypatch: pytest.MonkeyPatch) -> None:
    def shortest(least: float) -> float:
        monkeypatch.setattr(standardization_loss, "LEAST_SHARE", least)
        conv, x = nn.Conv2d(3, 4, 3).double(), batch(8, 3, 6, 6)
        optimizer = torch.optim.SGD(conv.parameters(), lr=0.02)
        with torch.no_grad():
            conv.weight[1] *= 0.05
        for _ in range(100):
            _, cost = standardized(conv(x), alive(conv.weight).double())
            (0.1 * cost + 0.2 * conv.weight.flatten(1).norm(dim=1).sum()).backward()
            optimizer.step()
            optimizer.zero_grad()
        lengths = conv.weight.detach().flatten(1).norm(dim=1)
        return (lengths[1] / lengths.max()).item()

    masked, unmasked = shortest(LEAST_SHARE), shortest(0.0)
    print(f"\nlength of the one that began at a twentieth: {masked:.4f}, with the term {unmasked:.4f} of the longest")
    assert masked < 0.01
    assert unmasked > 0.1


def test_channels_that_died_are_cut() -> None:
    pruned = {"prunetrain": {"penalty_ratio": 0.9, "interval": 1}}
    recipe = replace(RECIPE, epochs=6, learning_rate=0.1, methods={**RECIPE.methods, **pruned}, channel_multiple=1)
    surgeries = train(recipe, image_set(), CPU).outcome.surgeries
    assert any(s.channels_after < s.channels_before for s in surgeries if s.kind == "prune")


def test_it_stands_behind_what_changes_the_shape() -> None:
    names = [method.name for method in methods.CATALOGUE]
    assert names.index("standardization_loss") > max(names.index("net2net"), names.index("prunetrain"))
