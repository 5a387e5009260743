"""Weights of 16 bits without a copy in fp32: what is kept how, what that loses, and that all else works."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from paretosearch.channels import Noise, widened
from paretosearch.nets import build
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.testing.surgery import relative_change
from paretosearch.training import Trained, train
from paretosearch.training.build import build_optimizer
from paretosearch.training.flops import flops_of
from paretosearch.training.precision import FORMATS, Precision
from paretosearch.training.surgery import Surgeon

CPU = torch.device("cpu")
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.25,
    epochs=4,
    batch_size=32,
    reference_batch_size=32,
    channel_multiple=2,
    number_format="bf16-pure",
)
PURE = ("bf16-pure", "fp16-pure")


def trained(**changes: object) -> Trained:
    return train(replace(RECIPE, **changes), image_set(), CPU)  # type: ignore[arg-type]


def network(name: str = "resnet8", number_format: str = "bf16-pure") -> nn.Module:
    torch.manual_seed(0)
    width = 1.0 if name.startswith("torchvision:") else 0.25
    size = 40 if name.startswith("torchvision:") else 12
    model = build(name, classes=4, channels=1, image_size=size, width=width)
    return Precision(number_format, CPU).convert(model)


def check_kept(model: nn.Module, kept: torch.dtype) -> None:
    """Check that weights are of 16 bits, and normalisation of 32."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    assert len(layers) > 3
    assert len(norms) > 3
    assert {p.dtype for layer in layers for p in layer.parameters()} == {kept}
    of_norms = [t for norm in norms for t in (*norm.parameters(), *norm.buffers()) if t.is_floating_point()]
    assert {t.dtype for t in of_norms} == {torch.float32}


@pytest.mark.parametrize("name", PURE)
def test_weights_have_sixteen_bits_and_normalisation_thirty_two(name: str) -> None:
    kept = FORMATS[name].autocast
    assert kept is not None
    check_kept(network(number_format=name), kept)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {*PURE, "tf32"}))
def test_every_other_format_keeps_its_weights_in_fp32(name: str) -> None:
    assert {p.dtype for p in network(number_format=name).parameters()} == {torch.float32}


@pytest.mark.parametrize("name", PURE)
def test_a_step_computes_and_updates_in_sixteen_bits(name: str) -> None:
    torch.manual_seed(0)
    precision = Precision(name, CPU)
    model = precision.convert(nn.Linear(4, 3))
    optimizer = build_optimizer(model, replace(RECIPE, learning_rate=0.1))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    before = model.weight.detach().clone()
    with precision.autocast():
        logits = model(torch.randn(8, 4))
        loss = nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long))
    precision.backward(loss, optimizer)
    assert precision.step(optimizer) == 1
    assert (logits.dtype, loss.dtype) == (FORMATS[name].autocast, torch.float32)
    assert optimizer.state[model.weight]["momentum_buffer"].dtype is FORMATS[name].autocast
    assert not torch.equal(model.weight, before)
    assert precision.take_skipped() == (0, None)


@pytest.mark.parametrize(("name", "held"), [("bf16-pure", False), ("bf16", True)])
def test_an_update_far_below_its_weight_is_lost(name: str, held: bool) -> None:
    precision = Precision(name, CPU)
    model = precision.convert(nn.Linear(1, 1, bias=False))
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=2**-9, fused=True)
    with precision.autocast():
        loss = model(torch.ones(1, 1)).float().sum()
    precision.backward(loss, optimizer)
    precision.step(optimizer)
    assert (model.weight.item() != 1) is held


@pytest.mark.parametrize("name", ["convnet", "resnet8"])
def test_a_network_learns(name: str) -> None:
    result = trained(network=name)
    losses = [epoch.loss for epoch in result.outcome.epochs]
    assert losses[-1] < 0.5 * losses[0]
    assert result.outcome.accuracy is not None
    assert result.outcome.accuracy > 0.8
    check_kept(result.model, torch.bfloat16)


def test_counting_operations_sees_the_same_and_leaves_no_trace() -> None:
    half, whole = network(), network(number_format="fp32")
    half.train()
    before = {name: value.clone() for name, value in half.state_dict().items()}
    assert flops_of(half, (1, 12, 12), CPU).forward == flops_of(whole, (1, 12, 12), CPU).forward > 0
    assert all(torch.equal(before[name], value) for name, value in half.state_dict().items())
    assert half.training


@pytest.mark.parametrize("form", ["subgradient", "proximal"])
def test_prunetrain_cuts(form: str) -> None:
    pruned = {"prunetrain": {"penalty_ratio": 0.9, "interval": 1, "form": form, "threshold": 0.1}}
    result = trained(methods=pruned, learning_rate=0.5, epochs=6)
    assert any(s.channels_after < s.channels_before for s in result.outcome.surgeries if s.kind == "prune")
    assert {p.dtype for p in result.model.parameters() if p.ndim > 1} == {torch.bfloat16}


def test_net2net_grows_and_what_is_new_is_kept_alike() -> None:
    result = trained(methods={"net2net": {"schedule": "widen@0.3x1.5+deepen@0.5"}})
    assert [s.kind for s in result.outcome.surgeries] == ["widen", "deepen"]
    assert all(s.channels_after > s.channels_before for s in result.outcome.surgeries)
    assert result.outcome.epochs[-1].loss < 0.6 * result.outcome.epochs[0].loss
    check_kept(result.model, torch.bfloat16)


@pytest.mark.parametrize("name", ["convnet", "resnet8"])
@pytest.mark.parametrize("number_format", PURE)
def test_growth_keeps_the_function_to_sixteen_bits(name: str, number_format: str) -> None:
    kept = FORMATS[number_format].autocast
    assert kept is not None
    precision, model, x = Precision(number_format, CPU), network(name, number_format), torch.randn(16, 1, 12, 12)
    surgeon = Surgeon(model, x, build_optimizer(model, RECIPE))

    def logits() -> torch.Tensor:
        with torch.no_grad(), precision.autocast():
            result: torch.Tensor = model(x)
        return result.float()

    before = logits()
    generator = torch.Generator().manual_seed(0)
    plan = {space.name: widened(space.size, 2 * space.size, generator) for space in surgeon.channels.free}
    surgeon.remap(plan, noise=Noise(0.3, generator))
    assert relative_change(before, logits()) < 16 * torch.finfo(kept).eps
    before = logits()
    for stage in surgeon.stages:
        surgeon.insert_identity(stage, generator)
    assert relative_change(before, logits()) < 16 * torch.finfo(kept).eps
    check_kept(model, kept)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "torchvision:convnext_tiny"])
def test_networks_without_batch_norm_are_looked_into_as_well(name: str) -> None:
    half, whole = network(name), network(name, "fp32")
    x = torch.zeros(2, 1, 40, 40)
    found, expected = Surgeon(half, x).channels, Surgeon(whole, x).channels
    assert found.spaces == expected.spaces
    assert not any("cannot be traced" in str(space.frozen_reason) for space in found.spaces.values())
