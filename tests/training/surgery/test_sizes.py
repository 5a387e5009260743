"""Which sizes of images suit a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from paretosearch import methods, nets
from paretosearch.training.surgery import Surgeon, smallest_map


def surgeon_of(network: str, size: int, pooling: str = "native") -> Surgeon:
    width = 1.0 if ":" in network else 0.125
    model = nets.build(network, classes=3, channels=3, image_size=size, width=width)
    return Surgeon(methods.by_name(pooling)().edit_model(model), torch.zeros(2, 3, size, size))


@pytest.mark.parametrize("pooling", ["native", "max", "stochastic", "s3", "ll"])
@pytest.mark.parametrize(
    ("network", "size", "stride"),
    [
        ("convnet", 28, 8),
        ("resnet20", 32, 4),
        ("resnet20", 30, 4),  # 30, 15, 7: a size need not be a multiple
        ("vgg11", 32, 32),
        ("vgg11", 28, 16),  # it pools no map of one pixel
        ("resnet18", 32, 8),
        ("resnet18", 224, 32),
    ],
)
def test_the_total_stride_is_that_of_the_way_through_the_network(
    network: str, size: int, stride: int, pooling: str
) -> None:
    assert surgeon_of(network, size, pooling).total_stride == stride


@pytest.mark.parametrize(
    ("network", "size", "stride"),
    [("torchvision:alexnet", 224, 32), ("torchvision:densenet121", 64, 32), ("torchvision:mobilenet_v2", 64, 32)],
)
def test_networks_of_torchvision_have_theirs(network: str, size: int, stride: int) -> None:
    assert surgeon_of(network, size).total_stride == stride


@pytest.mark.parametrize(
    ("network", "size", "edge"),
    [
        ("convnet", 28, 3),
        ("resnet20", 30, 8),
        ("vgg11", 28, 1),
        ("resnet18", 28, 4),
        ("torchvision:efficientnet_b0", 64, 2),  # whose squeezes are no maps
    ],
)
def test_the_smallest_map_is_that_before_global_pooling(network: str, size: int, edge: int) -> None:
    surgeon = surgeon_of(network, size)
    assert smallest_map(surgeon.model, surgeon.images) == edge


def test_looking_leaves_the_network_as_it_was() -> None:
    surgeon = surgeon_of("convnet", 28)
    before = {name: value.clone() for name, value in surgeon.model.state_dict().items()}
    state = torch.random.get_rng_state()
    assert surgeon.takes(16)
    assert not surgeon.takes(4)
    assert surgeon.total_stride == 8
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(map(torch.equal, before.values(), surgeon.model.state_dict().values()))
    assert all(module.training and not module._forward_hooks for module in surgeon.model.modules())


def test_a_network_for_one_size_takes_no_other() -> None:
    flat = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(2 * 16, 3))
    surgeon = Surgeon(flat, torch.zeros(2, 1, 8, 8))
    assert surgeon.takes(8)
    assert not surgeon.takes(4)
    assert surgeon.total_stride == 2


def test_kernels_that_may_begin_smaller_are_known() -> None:
    assert surgeon_of("convnet5", 32).large_kernels == {"0.0": 5, "2.0": 5}
    assert surgeon_of("convnet", 32).large_kernels == {}
