"""Puts other layers in the place of convolutions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.errors import SurgeryError
from paretosearch.training.surgery.optimizers import join, leave
from paretosearch.training.surgery.tracing import suited, undisturbed


def replace_layers(model: nn.Module, made: Mapping[str, nn.Module], optimizer: Optimizer | None = None) -> None:
    """Put layers in the place of convolutions.

    The map of the network is no longer valid: analyse it again.

    Args:
        model: The network.
        made: The new layers by the qualified name of the convolution.
        optimizer: Optimizer that the new parameters join, each in the group of the weight or the bias that was there,
            and that forgets the old ones.

    Raises:
        SurgeryError: If one of the names is of no convolution; nothing is changed then.
    """
    convolutions: dict[str, nn.Conv2d] = {}
    for name in made:
        conv = model.get_submodule(name)
        if not isinstance(conv, nn.Conv2d):
            raise SurgeryError(f"{name!r} is no convolution, and nothing else can be replaced; nothing was changed")
        convolutions[name] = conv
    for name, conv in convolutions.items():
        model.set_submodule(name, made[name].train(conv.training))
        if optimizer is not None:
            for parameter in made[name].parameters():
                like = conv.bias if parameter.ndim == 1 and conv.bias is not None else conv.weight
                join(optimizer, parameter, like)
            leave(optimizer, conv.parameters())


def inputs_of(model: nn.Module, layers: Collection[str], images: Tensor) -> dict[str, Tensor]:
    """Give what layers get when images go through a network in training, of which there is no trace.

    Args:
        model: The network.
        layers: Qualified names of layers that get one tensor each.
        images: Images (N, C, H, W).

    Returns:
        Copies (N, C', H', W') of what each gets first, in the order in which they get it; a layer that gets nothing is
        left out.
    """
    seen: dict[str, Tensor] = {}

    def note(name: str, given: tuple[Tensor, ...]) -> None:
        if name not in seen:
            seen[name] = given[0].clone()  # since layers may write over it

    handles = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, given, name=name: note(name, given))
        for name in layers
    ]
    try:
        with undisturbed(model, training=True):
            torch.manual_seed(0)  # what the network draws must not depend on what was drawn before
            model(suited(images, model))
    finally:
        for handle in handles:
            handle.remove()
    return seen
