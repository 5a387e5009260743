"""Networks and measurements for tests of surgery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.channels import ChannelMap, ChannelSpace

IMAGE_SIZE = 64


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Fill a network, such as one on the meta device, with numbers that hide no mistake.

    Scales, shifts and statistics of batch norm differ from channel to channel, biases are not zero; dropout is off.

    Args:
        model: The network.
        seed: Seed of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    if any(p.is_meta for p in model.parameters()):
        model = model.to_empty(device="cpu")
    for module in model.modules():
        _start(module, generator)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.ndim == 1:
                tensor.normal_(0, 0.2, generator=generator)
    return model


def _start(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear", generator=generator)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.reset_parameters()
    elif isinstance(module, nn.Dropout):
        module.p = 0.0


def _ours(name: str, width: float) -> nn.Module:
    return nets.build(name, classes=10, channels=3, image_size=IMAGE_SIZE, width=width)


def _torchvision(name: str) -> nn.Module:
    """Make a network of torchvision as it is, but for the width of hidden dense layers: 64 instead of 4096."""
    model = nets.build(f"torchvision:{name}", classes=10, channels=3, image_size=IMAGE_SIZE)
    hidden = [m for m in model.modules() if isinstance(m, nn.Linear) and 4096 in (m.in_features, m.out_features)]
    for linear in hidden:
        for attribute in ("in_features", "out_features"):
            setattr(linear, attribute, {4096: 64}.get(getattr(linear, attribute), getattr(linear, attribute)))
        linear.weight = nn.Parameter(torch.empty(linear.out_features, linear.in_features))
        linear.bias = nn.Parameter(torch.empty(linear.out_features))
    return model


#: Makers of networks by name, without numbers: to be called on the meta device.
NETWORKS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "convnet": partial(_ours, "convnet", 1.0),
        "resnet8": partial(_ours, "resnet8", 0.5),
        "resnet20": partial(_ours, "resnet20", 0.5),
        "vgg11": partial(_ours, "vgg11", 1 / 8),
        "resnet18": partial(_ours, "resnet18", 1 / 8),
        "resnet50": partial(_ours, "resnet50", 1 / 8),
        **{
            f"torchvision:{name}": partial(_torchvision, name)
            for name in ("resnet18", "resnet50", "vgg11_bn", "densenet121", "mobilenet_v2", "alexnet")
        },
    }
)


def network(name: str) -> nn.Module:
    """Make a network of `NETWORKS` with random numbers in it."""
    with torch.device("meta"):
        model = NETWORKS[name]()
    return randomised(model)


def images(n: int = 4) -> Tensor:
    """Draw images (n, 3, 64, 64), always the same."""
    return torch.randn(n, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(1))


def output(model: nn.Module, x: Tensor) -> Tensor:
    """Give the logits of images, in the number format of the network."""
    with torch.no_grad():
        logits: Tensor = model(x.to(next(model.parameters()).dtype))
    return logits


def relative_change(before: Tensor, after: Tensor) -> float:
    """Give the largest difference relative to the largest entry."""
    before, after = before.detach(), after.detach()
    return float((after - before).abs().max() / before.abs().max())


def silence(model: nn.Module, channel_map: ChannelMap, space: ChannelSpace, channels: Tensor) -> None:
    """Let nothing read some channels of a space, given as a mask or an index."""
    for place in space.consumers:
        for own in channel_map.slices(place, space.name, place.find(model).data):
            own[channels] = 0
