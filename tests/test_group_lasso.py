"""The penalty against a few lines that spell the paper's sums out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from paretosearch.group_lasso import SMOOTHING, GroupLasso
from paretosearch.testing.surgery import images, network
from paretosearch.training.surgery import analyze

NETWORKS = ("convnet", "resnet8", "vgg11", "torchvision:alexnet", "torchvision:densenet121")


def chain() -> nn.Sequential:
    """Make two convolutions and two dense layers behind a flatten, in fp64."""
    torch.manual_seed(0)
    convs = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU()]
    dense = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 10)]
    return nn.Sequential(*convs, *dense).double()


def by_hand(model: nn.Sequential) -> Tensor:
    """Sum the groups of `chain` one by one: no images, no classes, four columns for each channel behind the flatten."""
    first, second, third, last = model[0].weight, model[3].weight, model[7].weight, model[9].weight
    groups = [*first, *second, *third]
    groups += [second[:, c] for c in range(8)]
    groups += [third[:, 4 * c : 4 * c + 4] for c in range(6)]
    groups += [last[:, c] for c in range(5)]
    return sum((group.square().sum() + SMOOTHING).sqrt() for group in groups)  # type: ignore[return-value]


def lasso_of(model: nn.Module) -> GroupLasso:
    return GroupLasso(model, analyze(model, images()))


def test_the_penalty_is_the_sum_of_both_kinds_of_groups_but_for_images_and_classes() -> None:
    model = chain()
    assert lasso_of(model).penalty().item() == pytest.approx(by_hand(model).item(), rel=1e-12)


def test_the_gradient_is_that_of_the_sum() -> None:
    model = chain()
    by_hand(model).backward()
    expected = {name: 0.3 * p.grad for name, p in model.named_parameters() if p.grad is not None}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    lasso_of(model).add_gradient(torch.tensor(0.3, dtype=torch.float64))
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected.get(name, torch.zeros_like(p)), rtol=1e-12, atol=1e-12)


def test_a_weight_without_a_gradient_gets_that_of_the_penalty() -> None:
    model, other = chain(), chain()
    for p in other.parameters():
        p.grad = torch.zeros_like(p)
    for each in (model, other):
        lasso_of(each).add_gradient(torch.tensor(0.3, dtype=torch.float64))
    assert torch.equal(model[3].weight.grad, other[3].weight.grad)
    assert model[1].weight.grad is None


def test_a_shrink_takes_the_amount_off_every_norm_and_ends_at_exact_zeros() -> None:
    model = chain()
    weight = model[0].weight
    with torch.no_grad():
        weight[2] *= 0.01
    norms = weight.flatten(1).norm(dim=1)
    lasso_of(model).shrink(torch.tensor(0.1, dtype=torch.float64))
    assert torch.equal(weight[2], torch.zeros_like(weight[2]))
    shrunk = weight.flatten(1).norm(dim=1)
    assert shrunk[0].item() == pytest.approx(norms[0].item() - 0.1, rel=1e-6)


def test_frozen_spaces_and_depthwise_convolutions_are_left_alone() -> None:
    model = network("torchvision:mobilenet_v2")
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    lasso_of(model).add_gradient(torch.tensor(1.0))
    depthwise = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert depthwise
    assert not any(m.weight.grad.any() for m in depthwise)
    assert not any(p.grad.any() for p in model.parameters() if p.ndim == 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_against_the_gradient_lowers_the_penalty_of_every_kind_of_network(name: str) -> None:
    model = network(name)
    lasso = lasso_of(model)
    before = lasso.penalty()
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    lasso.add_gradient(torch.tensor(1.0))
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.01 * p.grad
    assert lasso.penalty() < before
    half_way = lasso.penalty()
    lasso.shrink(torch.tensor(0.01))
    assert lasso.penalty() < half_way
