import pytest
import torch
from torch import nn

from paretosearch import nets
from paretosearch.method import Pool
from paretosearch.nets.spec import NetSpec


def build(name, *, channels=3, size=32, width=1.0, classes=10):
    with torch.device("meta"):
        return nets.build(name, classes=classes, channels=channels, image_size=size, width=width)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def pools(model):
    return [m for m in model.modules() if isinstance(m, Pool)]


def convs(model):
    return [m for m in model.modules() if isinstance(m, nn.Conv2d)]


def map_sizes(model, channels, size):
    """Edge of the map behind every convolution of the main path."""
    sizes = []
    for conv in convs(model):
        if conv.kernel_size != (1, 1):
            conv.register_forward_hook(lambda _module, _x, out: sizes.append(out.shape[-1]))
    model.eval()(torch.empty(1, channels, size, size, device="meta"))
    return sizes


@pytest.mark.parametrize(
    ("width", "channels", "expected"),
    [
        (1, 64, 64),
        (0.5, 64, 32),
        (0.3, 64, 16),
        (0.33, 64, 24),
        (1 / 16, 64, 4),
        (1 / 16, 8, 1),
        (0.75, 8, 6),
        (2, 8, 16),
    ],
)
def test_widths_are_multiples_of_eight_from_eight_on(width, channels, expected):
    assert NetSpec(10, 3, 32, width).scaled(channels) == expected


def test_a_larger_factor_never_gives_fewer_channels():
    widths = [NetSpec(10, 3, 32, k / 100).scaled(16) for k in range(1, 400)]
    assert widths == sorted(widths)
    assert min(widths) == 1


@pytest.mark.parametrize(("depth", "published"), [(20, 0.27), (32, 0.46), (56, 0.85)])
def test_cifar_resnets_have_the_parameters_of_the_paper_and_their_projections(depth, published):
    """Table 6 of the paper counts networks without projections; ours add two convolutions, each with a batch norm."""
    projections = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert round((parameters(build(f"resnet{depth}")) - projections) / 1e6, 2) == published


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("convnet", 25_298),  # 3 colours
        ("resnet8", 78_042),
        ("resnet20", 272_474),  # 269 722 without projections, 2 752 in them
        ("vgg16", 14_724_042),
        ("resnet18", 11_173_962),
        ("resnet50", 23_520_842),
    ],
)
def test_parameter_counts_stay_as_they_are(name, exact):
    assert parameters(build(name)) == exact


@pytest.mark.parametrize(("name", "published"), [("resnet18", 11_689_512), ("resnet50", 25_557_032)])
def test_large_resnets_have_the_parameters_of_torchvisions(name, published):
    assert parameters(build(name, size=224, classes=1000)) == published


@pytest.mark.parametrize(("depth", "published"), [(11, 132_863_336), (13, 133_047_848), (16, 138_357_544)])
def test_vgg_has_the_convolutions_of_torchvisions(depth, published):
    """Less its three dense layers; what it has in biases ours has in batch norms."""
    dense = 25088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    assert sum(conv.weight.numel() + conv.out_channels for conv in convs(build(f"vgg{depth}"))) == published - dense


@pytest.mark.parametrize("depth", [8, 20, 32, 56])
def test_cifar_resnets_have_as_many_layers_as_their_name_says(depth):
    model = build(f"resnet{depth}")
    assert sum(conv.kernel_size == (3, 3) for conv in convs(model)) + 1 == depth
    assert len(pools(model)) == 2


@pytest.mark.parametrize(("name", "stages"), [("resnet18", [5, 4, 4, 4]), ("resnet50", [4, 4, 6, 3])])
def test_large_resnets_keep_small_images_whole_in_the_stem(name, stages):
    assert len(pools(build(name, size=64))) == 3
    assert len(pools(build(name, size=65))) == 4
    small = map_sizes(build(name, size=32), 3, 32)
    large = map_sizes(build(name, size=224), 3, 224)
    assert [small.count(edge) for edge in (32, 16, 8, 4)] == stages
    assert [large.count(edge) for edge in (56, 28, 14, 7)] == [stages[0] - 1, *stages[1:]]
    assert large[0] == 112


@pytest.mark.parametrize(("size", "places"), [(224, 5), (32, 5), (31, 4), (28, 4), (15, 3), (2, 1), (1, 0)])
def test_vgg_leaves_out_the_poolings_that_small_images_have_no_pixels_for(size, places):
    model = build("vgg11", size=size)
    assert len(pools(model)) == places
    assert map_sizes(model, 3, size)[-1] >= 1


def test_convnet_halves_the_map_three_times():
    assert map_sizes(build("convnet", channels=1, size=28), 1, 28) == [28, 14, 7, 3]


def test_convnet5_is_convnet_with_larger_kernels_in_two_layers():
    small, large = convs(build("convnet")), convs(build("convnet5"))
    assert [conv.kernel_size[0] for conv in large] == [5, 5, 3, 3]
    assert [conv.out_channels for conv in large] == [conv.out_channels for conv in small]
    assert map_sizes(build("convnet5", channels=1, size=28), 1, 28) == [28, 14, 7, 3]


@pytest.mark.parametrize("name", ["convnet", "resnet8", "vgg11", "resnet18", "resnet50"])
def test_the_width_factor_reaches_every_convolution(name):
    whole, half = convs(build(name)), convs(build(name, width=0.5))
    assert all(a.out_channels == 2 * b.out_channels or b.out_channels == 4 for a, b in zip(whole, half, strict=True))
    assert half[0].in_channels == 3
    assert parameters(build(name, width=2.0)) > 3 * parameters(build(name))


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50"])
def test_the_places_of_a_residual_network_own_all_its_strides(name):
    model = build(name)
    for place in pools(model):
        place.fill(nn.AvgPool2d(2))
    strided = (
        m for m in model.modules() if isinstance(m, nn.Conv2d | nn.AvgPool2d) and m not in {p.op for p in pools(model)}
    )
    assert {layer.stride for layer in strided} == {(1, 1)}
