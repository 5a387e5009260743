"""Number formats say what they are, and a skipped step changes nothing."""

import pytest
import torch

from paretosearch.errors import DeviceError
from paretosearch.recipe import NUMBER_FORMATS, SIMULATED_FORMATS
from paretosearch.training.precision import FIRST_LOSS_SCALE, FORMATS, Precision, refusal

CPU = torch.device("cpu")


def test_every_number_format_of_a_recipe_is_in_the_table() -> None:
    assert tuple(FORMATS) == NUMBER_FORMATS
    assert tuple(name for name in FORMATS if FORMATS[name].simulated) == SIMULATED_FORMATS


def test_a_cpu_is_told_why_it_has_no_tf32() -> None:
    assert refusal("fp32", CPU) is None
    with pytest.raises(DeviceError, match="number_format = 'tf32' needs an NVIDIA GPU.*this is a cpu device"):
        Precision("tf32", CPU)


@pytest.mark.parametrize(("name", "tf32"), [("fp32", False), ("bf16", False)])
def test_fp32_never_means_tf32(name: str, tf32: bool) -> None:
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = True
    Precision(name, CPU).set_flags()
    assert torch.backends.cudnn.allow_tf32 is tf32
    assert torch.backends.cuda.matmul.allow_tf32 is tf32


def _model() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_sixteen_bits_compute_and_thirty_two_bits_remember(name: str) -> None:
    model, _ = _model()
    with Precision(name, CPU).autocast():
        assert model(torch.ones(2, 4)).dtype is FORMATS[name].autocast
    assert model.weight.dtype is torch.float32


def test_fp32_is_bit_identical_to_no_precision_at_all() -> None:
    (ours, optimizer), (plain, plain_optimizer) = _model(), _model()
    precision, x = Precision("fp32", CPU), torch.randn(5, 4)
    with precision.autocast():
        loss = ours(x).square().mean()
    precision.backward(loss, optimizer)
    precision.step(optimizer)
    plain(x).square().mean().backward()
    plain_optimizer.step()
    assert torch.equal(ours.weight, plain.weight)


def test_fp16_gradients_are_unscaled_before_anybody_sees_them() -> None:
    model, optimizer = _model()
    precision, x = Precision("fp16", CPU), torch.randn(5, 4)
    with precision.autocast():
        loss = model(x).float().square().mean()
    precision.backward(loss, optimizer)
    seen = model.weight.grad.clone()
    model.zero_grad()
    model(x).square().mean().backward()
    assert (seen - model.weight.grad).norm() / model.weight.grad.norm() < 0.02


def test_an_overflow_in_the_first_step_leaves_the_momentum_empty() -> None:
    from paretosearch.recipe import Recipe
    from paretosearch.training.build import build_optimizer

    model, _ = _model()
    optimizer = build_optimizer(model, Recipe("d", "n", momentum=0.9, weight_decay=0.0))
    precision = Precision("fp16", CPU)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    precision.backward(model(torch.ones(2, 4)).sum() * torch.tensor(torch.inf), optimizer)
    precision.step(optimizer)
    optimizer.zero_grad()
    before = model.weight.detach().clone()
    precision.backward(model(torch.ones(2, 4)).sum() / FIRST_LOSS_SCALE, optimizer)
    gradient = model.weight.grad.clone()
    precision.step(optimizer)
    nesterov = gradient + 0.9 * gradient
    assert torch.allclose(model.weight, before - 0.1 * nesterov)


def test_an_infinite_gradient_skips_the_step_and_is_counted_once() -> None:
    model, optimizer = _model()
    precision, before = Precision("fp16", CPU), model.weight.detach().clone()
    precision.backward(model(torch.ones(2, 4)).sum() * torch.tensor(torch.inf), optimizer)
    precision.step(optimizer)
    assert torch.equal(model.weight, before)
    optimizer.zero_grad()
    precision.backward(model(torch.ones(2, 4)).sum() / FIRST_LOSS_SCALE, optimizer)
    precision.step(optimizer)
    assert not torch.equal(model.weight, before)
    assert precision.take_skipped() == (1, FIRST_LOSS_SCALE / 2)
    assert precision.take_skipped() == (0, FIRST_LOSS_SCALE / 2)
