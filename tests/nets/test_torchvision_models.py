import pytest
import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from paretosearch import nets
from paretosearch.errors import RecipeError
from paretosearch.method import Pool


def build(name, *, channels=3, size=64, classes=7, width=1.0):
    torch.manual_seed(0)
    return nets.build(f"torchvision:{name}", classes=classes, channels=channels, image_size=size, width=width)


@pytest.mark.parametrize(
    ("name", "channels", "size", "places"),
    [
        ("squeezenet1_1", 1, 28, 3),
        ("mobilenet_v3_small", 1, 28, 0),
        ("shufflenet_v2_x0_5", 3, 32, 1),
        ("mnasnet0_5", 4, 32, 0),
        ("resnet18", 1, 28, 1),
        ("googlenet", 1, 48, 4),
        ("densenet121", 3, 32, 1),
        ("inception_v3", 3, 75, 2),
    ],
)
def test_it_is_traced_trained_and_evaluated(name, channels, size, places):
    model = build(name, channels=channels, size=size)
    assert sum(isinstance(m, Pool) for m in model.modules()) == places
    x = torch.randn(2, channels, size, size)
    loss = F.cross_entropy(model(x), torch.tensor([0, 6]))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    logits = model.eval()(x)
    assert logits.shape == (2, 7)
    assert torch.equal(torch.fx.symbolic_trace(model)(x), logits)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "densenet121", "googlenet", "shufflenet_v2_x0_5"])
def test_every_place_to_pool_comes_after_a_relu(name):
    model = build(name)
    seen = []
    for module in model.modules():
        if isinstance(module, Pool):
            module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].min().item()))
    model(torch.randn(2, 3, 64, 64))
    assert seen
    assert min(seen) >= 0


def test_an_unfilled_place_is_the_models_own_pooling():
    from torchvision import models

    torch.manual_seed(0)
    original = models.squeezenet1_1(weights=None, num_classes=7).eval()
    ours = build("squeezenet1_1").eval()
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(x), original(x))


def test_the_first_convolution_keeps_everything_but_its_inputs():
    model = build("shufflenet_v2_x0_5", channels=1, size=32)
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    assert (first.in_channels, first.out_channels, first.stride, first.padding) == (1, 24, (2, 2), (1, 1))
    assert first.bias is None
    assert next(m for m in build("squeezenet1_1", channels=1).modules() if isinstance(m, nn.Conv2d)).bias is not None


@pytest.mark.parametrize(("name", "size"), [("alexnet", 28), ("inception_v3", 28), ("convnext_tiny", 28)])
def test_an_image_that_is_too_small_is_refused_in_one_line(name, size):
    with pytest.raises(RecipeError, match=f"torchvision:{name} cannot take images of {size}x{size} .*image_size") as e:
        build(name, size=size)
    assert "\n" not in str(e.value)


def test_an_image_of_the_wrong_size_is_refused_in_one_line():
    with pytest.raises(RecipeError, match="cannot take images of 64x64 .*Expected 224 but got 64.*set another"):
        build("vit_b_32")


def test_a_width_factor_is_refused():
    with pytest.raises(RecipeError, match="width = 0.5 is not for torchvision:resnet18, whose widths are fixed"):
        build("resnet18", width=0.5)
