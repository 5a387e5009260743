"""The networks that a Recipe can name."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from paretosearch import plugins
from paretosearch.errors import RecipeError, suggest
from paretosearch.method import Pool
from paretosearch.nets.convnet import LARGE, convnet
from paretosearch.nets.resnet import cifar_resnet, imagenet_resnet
from paretosearch.nets.spec import NetSpec
from paretosearch.nets.torchvision_models import PREFIX, check_torchvision_name, torchvision_model
from paretosearch.nets.vgg import vgg

__all__ = ["NetSpec", "build", "check_name", "names"]

Builder = Callable[[NetSpec], nn.Module]

_BUILDERS: dict[str, Builder] = {
    "convnet": convnet,
    "convnet5": partial(convnet, kernels=LARGE),
    **{f"resnet{depth}": partial(cifar_resnet, depth=depth) for depth in (8, 20, 32, 56)},
    **{f"vgg{depth}": partial(vgg, depth=depth) for depth in (11, 13, 16)},
    **{f"resnet{depth}": partial(imagenet_resnet, depth=depth) for depth in (18, 50)},
}


def names() -> tuple[str, ...]:
    """List the networks, beside which ``torchvision:NAME`` is any of torchvision's, and packages may bring more."""
    return tuple(_BUILDERS)


def check_name(name: str) -> None:
    """Refuse a network that there is not.

    Args:
        name: What the Recipe names.

    Raises:
        RecipeError: If there is no such network, or it is a package's that cannot be imported.
    """
    if name.startswith(PREFIX):
        check_torchvision_name(name)
    elif name not in _BUILDERS:
        _own(name).load()


def _own(name: str) -> plugins.Plugin:
    """Find what a package brings under a name that is none of ours."""
    found = plugins.find(plugins.NETWORKS, name, "network", RecipeError)
    if found is None:
        known = [*_BUILDERS, *plugins.names(plugins.NETWORKS), PREFIX + "NAME"]
        raise RecipeError(
            f"there is no network {name!r}{suggest(name, known)}; one of your own needs its package installed"
        )
    return found


def _built(name: str, spec: NetSpec) -> nn.Module:
    if name.startswith(PREFIX):
        return torchvision_model(spec, name)
    if name in _BUILDERS:
        return _BUILDERS[name](spec)
    own = _own(name)
    net = own.call(spec)
    if not isinstance(net, nn.Module):
        raise own.complaint(f"gave a value of type {type(net).__name__}, not a torch.nn.Module")
    return net


def build(name: str, *, classes: int, channels: int, image_size: int, width: float = 1.0) -> nn.Module:
    """Make a network with fresh weights from torch's global generator.

    It transforms images (N, channels, image_size, image_size) to logits (N, classes).

    Args:
        name: Name of the network, or ``torchvision:NAME``.
        classes: Number of classes.
        channels: Channels of an image.
        image_size: Edge of the square images in pixels.
        width: Factor on the channel counts.

    Raises:
        RecipeError: If there is no such network, it cannot have this width or take images of this size, or does not
            give a logit for each class.
    """
    check_name(name)
    spec = NetSpec(classes, channels, image_size, width)
    net = _built(name, spec)
    if (name, spec) not in _TRIED:
        _try_images(net, name, spec)
        _TRIED.add((name, spec))
    return net


#: Networks that are known to take their images: a warm Worker should not try again.
_TRIED: set[tuple[str, NetSpec]] = set()


def _try_images(net: nn.Module, name: str, spec: NetSpec) -> None:
    """Run the network on one image, in its own way and again as a pooling Method would have it.

    On the meta device it would be quicker for the largest networks, and slower for all others: torch imports its
    compiler for that, which takes two seconds.
    """
    twin = _twin(net).eval()
    image = torch.zeros(1, spec.channels, spec.image_size, spec.image_size)
    places = [module for module in twin.modules() if isinstance(module, Pool)]
    try:
        with torch.no_grad():
            logits = twin(image)
            for place in places:
                place.fill(nn.MaxPool2d(2))
            twin(image)
    except MemoryError:
        raise
    except Exception as error:  # a network of a package may raise anything
        reason = re.sub("^(RuntimeError|ValueError|AssertionError): ", "", plugins.said(error)).rstrip(".")
        size = f"{spec.image_size}x{spec.image_size}"
        raise RecipeError(f"{name} cannot take images of {size} ({reason}); set another image_size") from None
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (1, spec.classes):
        raise RecipeError(f"{name} gives {shape} for one image, and must give logits (1, {spec.classes})")


def _twin(net: nn.Module) -> nn.Module:
    """Copy the modules of a network, but none of its numbers: both have the same tensors."""
    shared: dict[int, Tensor] = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    return copy.deepcopy(net, shared)
