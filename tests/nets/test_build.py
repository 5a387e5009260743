import pytest
import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from paretosearch import nets
from paretosearch.errors import RecipeError
from paretosearch.method import Pool

ONCE = ("resnet20", "resnet32", "resnet56", "vgg13", "vgg16", "resnet50")  # deeper than one that has both shapes
SHAPES = [(1, 28), (3, 32)]
CASES = [(name, shape) for name in nets.names() for shape in SHAPES if name not in ONCE or shape == SHAPES[0]]

every_network = pytest.mark.parametrize(
    ("name", "shape"), CASES, ids=lambda v: v if isinstance(v, str) else f"{v[1]}px"
)


def build(name, shape=(3, 32), *, width=0.25, classes=10):
    torch.manual_seed(0)
    return nets.build(name, classes=classes, channels=shape[0], image_size=shape[1], width=width)


@every_network
def test_it_is_traced_trained_and_evaluated(name, shape):
    model = build(name, shape).to(memory_format=torch.channels_last)
    x, y = torch.randn(4, shape[0], shape[1], shape[1]), torch.arange(4)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    assert not any(map(torch.equal, before, model.parameters())), "every parameter must take part"
    logits = model.eval()(x)
    assert logits.shape == (4, 10)
    assert logits.isfinite().all()
    assert torch.equal(torch.fx.symbolic_trace(model)(x), logits)


@every_network
def test_no_layer_with_weights_is_used_twice(name, shape):
    model = build(name, shape)
    owners = dict(model.named_modules())
    graph = torch.fx.symbolic_trace(model).graph
    used = [n.target for n in graph.nodes if n.op == "call_module" and any(True for _ in owners[n.target].parameters())]
    assert len(used) == len(set(used))


@every_network
def test_every_place_to_pool_comes_after_a_relu(name, shape):
    model = build(name, shape)
    seen = []
    for module in model.modules():
        if isinstance(module, Pool):
            module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].min().item()))
    model(torch.randn(4, shape[0], shape[1], shape[1]))
    assert seen
    assert all(smallest >= 0 for smallest in seen)


def test_weights_come_from_the_global_generator_alone():
    first, again = build("resnet8"), build("resnet8")
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    torch.manual_seed(1)
    other = nets.build("resnet8", classes=10, channels=3, image_size=32, width=0.25)
    assert not torch.equal(next(iter(first.parameters())), next(iter(other.parameters())))


@pytest.mark.parametrize("name", ["convnet", "resnet20", "vgg11", "resnet18"])
def test_convolutions_start_as_he_et_al_say(name):
    convs = [m for m in build(name, width=1.0).modules() if isinstance(m, nn.Conv2d) and m.weight.numel() > 5000]
    for conv in convs:
        expected = (2 / (conv.out_channels * conv.kernel_size[0] ** 2)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert conv.weight.mean().item() == pytest.approx(0, abs=0.05 * expected)


def test_activations_neither_vanish_nor_explode_through_the_deepest_network():
    model = build("resnet56", width=1.0)
    assert 0.05 < model(torch.randn(16, 3, 32, 32)).std().item() < 20


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "there is no network 'resnet19' (did you mean 'resnet18'?)"),
        ("x", "there is no network 'x' (allowed: convnet, "),
        ("torchvision:resnet19", "torchvision has no classification network 'resnet19' (did you mean"),
        ("torchvision:fasterrcnn_resnet50_fpn", "torchvision has no classification network 'fasterrcnn_resnet50_fpn'"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(name, message):
    with pytest.raises(RecipeError) as caught:
        nets.check_name(name)
    assert message in str(caught.value)
    with pytest.raises(RecipeError):
        build(name)


@pytest.mark.parametrize("name", [*nets.names(), "torchvision:alexnet", "torchvision:vit_b_16"])
def test_a_known_name_passes(name):
    nets.check_name(name)


@pytest.mark.parametrize(("name", "smallest"), [("convnet", 8), ("resnet8", 4), ("resnet18", 8), ("vgg16", 1)])
def test_an_image_that_is_too_small_is_refused_in_one_line(name, smallest):
    build(name, (1, smallest))
    if smallest > 1:
        with pytest.raises(RecipeError, match=f"{name} cannot take images of {smallest - 1}x{smallest - 1}") as caught:
            build(name, (1, smallest - 1))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "size"), [("convnet", 8), ("resnet8", 4), ("resnet18", 9), ("vgg11", 7)])
def test_the_smallest_images_can_be_pooled_in_every_way(name, size):
    model = build(name, (1, size))
    for module in model.modules():
        if isinstance(module, Pool):
            module.fill(nn.MaxPool2d(2))
    assert model(torch.randn(4, 1, size, size)).shape == (4, 10)


@pytest.mark.parametrize("width", [1 / 8, 1 / 4])
@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
def test_narrow_residual_networks_have_the_same_gradients_in_channels_last_format(name, width):
    """With the stride in the 1x1 convolution the gradients are wrong or the process dies (oneDNN issue 6035)."""

    def gradients(dtype, memory_format):
        model = build(name, width=width).to(dtype, memory_format=memory_format)
        x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)
        F.cross_entropy(model(x), torch.arange(8)).backward()
        return torch.cat([p.grad.flatten().double() for p in model.parameters()])

    exact = gradients(torch.float64, torch.contiguous_format)
    assert (
        gradients(torch.float32, torch.channels_last) - exact
    ).norm() < 0.05 * exact.norm()  # a ReLU at a kink makes 0.01
