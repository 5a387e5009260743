"""Muon: the orthogonal matrices, what moves by them, and what stays with plain SGD."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from paretosearch.errors import RecipeError
from paretosearch.methods.muon import QUINTIC, Muon, MuonSGD, in_batches, orthogonalised
from paretosearch.recipe import Recipe
from paretosearch.testing.methods import TinyTraining

SHAPES = [(16, 144), (144, 16), (32, 32), (8, 9)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_singular_values(matrix: Tensor, steps: int) -> Tensor:
    """Apply the polynomial to the singular values, in fp64."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.square().sum().sqrt()
    for _ in range(steps):
        s = QUINTIC[0] * s + QUINTIC[1] * s**3 + QUINTIC[2] * s**5
    return u @ s.diag() @ v


@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_polynomial_of_the_singular_values(shape: tuple[int, int], steps: int) -> None:
    matrices = random(3, *shape)
    expected = torch.stack([by_singular_values(matrix, steps) for matrix in matrices])
    found = orthogonalised(matrices, steps)
    print(f"{shape}, {steps} steps: at most {(found - expected).abs().max():.1e} off")
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_five_steps_leave_singular_values_near_one(shape: tuple[int, int]) -> None:
    values = torch.linalg.svdvals(orthogonalised(random(4, *shape), 5))
    spread = torch.linalg.svdvals(random(4, *shape))
    ordinary = spread / spread.square().sum(1, keepdim=True).sqrt() > 0.01  # a square matrix has a few tiny ones
    print(f"{shape}: singular values from {values[ordinary].min():.2f} to {values.max():.2f}")
    assert values.max() < 1.25
    assert values[ordinary].min() > 0.6


def test_sixteen_bits_are_near() -> None:
    matrices = random(2, 16, 144)
    short = orthogonalised(matrices, 3, torch.bfloat16)
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), orthogonalised(matrices, 3), atol=0.03, rtol=0)


def test_the_size_of_a_gradient_does_not_matter_and_nothing_stays_nothing() -> None:
    matrices = random(2, 16, 36)
    torch.testing.assert_close(orthogonalised(1e-6 * matrices, 3), orthogonalised(matrices, 3), atol=1e-4, rtol=0)
    assert not orthogonalised(torch.zeros(1, 4, 9), 5).any()


def test_a_batch_of_equal_shapes_is_as_each_alone() -> None:
    tensors = [random(4, 2, 3, 3), random(4, 3, 3, 3), random(4, 2, 3, 3, seed=1), random(8, 2, 1, 1)]
    tensors[2] = tensors[2].to(memory_format=torch.channels_last)
    called = []

    def function(matrices: Tensor) -> Tensor:
        called.append(matrices.shape)
        return orthogonalised(matrices, 3)

    found = in_batches(tensors, function)
    assert called == [(2, 4, 18), (1, 4, 27), (1, 8, 2)]
    for tensor, made in zip(tensors, found, strict=True):
        expected = orthogonalised(tensor.flatten(1)[None], 3)[0].view(tensor.shape)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def network() -> nn.Module:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(8, 8, 3, groups=8)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), depthwise, nn.Linear(4, 3))


def sgd(model: nn.Module) -> torch.optim.SGD:
    decayed, plain = [p for p in model.parameters() if p.ndim > 1], [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    made = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True, fused=True)
    for parameter in model.parameters():
        made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return made


def stepped(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int = 3) -> list[Tensor]:
    """Make steps on gradients of which nobody knows where they come from."""
    for number in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1
        for index, parameter in enumerate(model.parameters()):
            parameter.grad = random(*parameter.shape, seed=100 * number + index).contiguous()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


def test_filters_that_read_several_channels_are_muons_and_all_else_is_sgds_bit_by_bit() -> None:
    ours, theirs = network(), network()
    muon = MuonSGD(sgd(ours), momentum=0.6, steps=3, renormalise=True)
    filters = [p for group in muon.param_groups if group["muon"] for p in group["params"]]
    assert [id(p) for p in filters] == [id(ours[1].weight)]  # type: ignore[index]
    pairs = zip(stepped(muon, ours), stepped(sgd(theirs), theirs), strict=True)
    same = [torch.equal(a, b) for a, b in pairs]
    assert [number for number, equal in enumerate(same) if not equal] == [2]


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("steps", [3, 5])
def test_a_filter_moves_as_in_plain_code(renormalise: bool, steps: int) -> None:
    model = network()
    muon = MuonSGD(sgd(model), momentum=0.6, steps=steps, renormalise=renormalise)
    muon.factor = 2.0
    weight = model[1].weight.detach().double().clone()  # type: ignore[index]
    momentum = torch.zeros_like(weight)
    for number in range(3):
        gradient = random(*weight.shape, seed=100 * number + 2).double()
        momentum = 0.6 * momentum + gradient
        direction = by_singular_values((gradient + 0.6 * momentum).flatten(1), steps).view_as(weight)
        if renormalise:
            weight = weight * math.sqrt(4) / weight.norm()
        decay = 0.0 if renormalise else 0.01 / (1 - 0.9)
        weight = weight - 0.1 * (2.0 * direction + decay * weight)
    stepped(muon, model)
    torch.testing.assert_close(model[1].weight.detach().double(), weight, atol=1e-4, rtol=0)  # type: ignore[index]


def test_more_filters_than_weights_move_further() -> None:
    model = nn.Conv2d(32, 128, 1, bias=False)
    muon = MuonSGD(sgd(model), momentum=0.0, steps=5, renormalise=True)
    before = model.weight.detach() * math.sqrt(128) / model.weight.detach().norm()
    stepped(muon, model, steps=1)
    values = torch.linalg.svdvals((model.weight.detach() - before).flatten(1)) / (0.1 * math.sqrt(128 / 32))
    assert 0.6 < values.min() < values.max() < 1.25


def test_a_step_with_an_infinite_gradient_changes_nothing() -> None:
    model = network()
    muon = MuonSGD(sgd(model), momentum=0.6, steps=3, renormalise=True)
    stepped(muon, model, steps=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    momenta = [muon.state[p]["momentum_buffer"].clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.inf)
    muon.found_inf = torch.ones(())
    muon.step()
    del muon.found_inf
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(
        torch.equal(muon.state[p]["momentum_buffer"], m) for p, m in zip(model.parameters(), momenta, strict=True)
    )


def test_a_scaler_that_found_nothing_makes_no_difference() -> None:
    results = []
    for found in (None, torch.zeros(())):
        model = network()
        muon = MuonSGD(sgd(model), momentum=0.6, steps=3, renormalise=True)
        if found is not None:
            muon.found_inf = found
        results.append(stepped(muon, model))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_scaler_lets_it_skip_by_itself() -> None:
    model = network()
    muon = MuonSGD(sgd(model), momentum=0.6, steps=3, renormalise=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before = model[1].weight.detach().clone()  # type: ignore[index]
    scaler.scale(torch.ones(())).item()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    scaler.unscale_(muon)
    scaler.step(muon)
    scaler.update()
    assert torch.equal(model[1].weight.detach(), before)  # type: ignore[index]
    assert scaler.get_scale() == 4.0


def test_a_peak_of_the_recipe_makes_no_difference_to_the_filters() -> None:
    method = Muon(rate=0.3)
    training = TinyTraining((method,)).epoch()
    assert isinstance(training.run.optimizer, MuonSGD)
    peak = training.run.recipe.peak_learning_rate
    assert training.run.optimizer.factor * peak == pytest.approx(0.3)


@pytest.mark.parametrize("renormalise", [True, False])
def test_it_goes_on_when_the_shape_changes(renormalise: bool) -> None:
    training = TinyTraining((Muon(rate=0.1, renormalise=renormalise),), "resnet8", width=0.5).epoch()
    surgeon = training.surgeon
    surgeon.remap({space.name: torch.arange(2 * space.size) % space.size for space in surgeon.channels.free})
    training.epoch()
    surgeon.remap({space.name: torch.arange(space.size // 4) for space in surgeon.channels.free})
    training.epoch()
    surgeon.insert_identity(surgeon.stages[0], torch.Generator().manual_seed(0))
    training.epoch()
    optimizer = training.run.optimizer
    filters = [p for group in optimizer.param_groups if group["muon"] for p in group["params"]]
    assert len(filters) == sum(p.ndim == 4 and p.shape[1] > 1 for p in training.run.model.parameters())
    assert all(optimizer.state[p]["momentum_buffer"].shape == p.shape for p in training.run.model.parameters())
    assert training.logits().isfinite().all()


def test_a_network_without_such_filters_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"muon needs convolution filters .* set muon\.rate = 0"):
        Muon(rate=0.1).wrap_optimizer(sgd(nn.Linear(3, 2)))


def test_filters_of_one_size_are_refused_where_they_are_to_be_pruned_and_decay_in_a_search() -> None:
    muon = {"rate": 0.1, "renormalise": True}
    pruned = Recipe("fashion-mnist", "convnet", epochs=8, methods={"muon": muon, "prunetrain": {"penalty_ratio": 0.2}})
    with pytest.raises(RecipeError, match="prunetrain would never cut"):
        Muon(**muon).check(pruned)
    assert Muon(**muon).canonical(pruned)["renormalise"] is False
    assert Muon(**muon).canonical(Recipe("fashion-mnist", "convnet", methods={"muon": muon})) == muon
