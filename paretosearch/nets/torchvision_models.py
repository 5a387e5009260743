"""The classification networks of torchvision, fitted to the images at hand."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn

from paretosearch.errors import RecipeError, suggest
from paretosearch.method import Pool
from paretosearch.nets.spec import NetSpec

PREFIX = "torchvision:"

#: What some need beyond the number of classes: no second classifier, which would make the output a tuple.
_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


@cache
def torchvision_names() -> tuple[str, ...]:
    """List the names that may follow the prefix."""
    from torchvision import models  # takes two seconds, which most processes need not wait

    return tuple(models.list_models(module=models))


def check_torchvision_name(name: str) -> None:
    """Refuse a name that torchvision does not know.

    Args:
        name: The network, with its prefix.

    Raises:
        RecipeError: If there is no such model.
    """
    model = name.removeprefix(PREFIX)
    if model not in torchvision_names():
        raise RecipeError(f"torchvision has no classification network {model!r}{suggest(model, torchvision_names())}")


def torchvision_model(spec: NetSpec, name: str) -> nn.Module:
    """Make a network of torchvision without its weights, with places to pool for its max poolings of stride 2.

    Args:
        spec: What the network must fit.
        name: The network, with its prefix.

    Raises:
        RecipeError: If a width factor is asked for.
    """
    if spec.width != 1:
        raise RecipeError(f"width = {spec.width:g} is not for {name}, whose widths are fixed; use 1 or another network")
    from torchvision import models

    model = name.removeprefix(PREFIX)
    net: nn.Module = models.get_model(model, weights=None, num_classes=spec.classes, **_OPTIONS.get(model, {}))
    _fit_channels(net, spec.channels)
    _open_places(net)
    return net


def _fit_channels(net: nn.Module, channels: int) -> None:
    """Replace the first convolution by one for other images than RGB."""
    path, old = next((path, m) for path, m in net.named_modules() if isinstance(m, nn.Conv2d))
    if channels == old.in_channels:
        return
    bias = old.bias is not None
    padding: Any = old.padding
    kernel: Any = old.kernel_size
    stride: Any = old.stride
    net.set_submodule(path, nn.Conv2d(channels, old.out_channels, kernel, stride, padding, bias=bias))


def _open_places(net: nn.Module) -> None:
    for path, module in list(net.named_modules()):
        if isinstance(module, nn.MaxPool2d) and module.stride in (2, (2, 2)):
            net.set_submodule(path, Pool(native=module))
