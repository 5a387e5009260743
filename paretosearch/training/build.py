"""The parts of a training that a Recipe names: its network, its optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from paretosearch import nets
from paretosearch.data import ImageSet
from paretosearch.errors import about
from paretosearch.method import Method
from paretosearch.recipe import Recipe


def build_model(recipe: Recipe, images: ImageSet, active: Sequence[Method]) -> nn.Module:
    """Build a Recipe's network for a data set, with what the Methods make of it, on the CPU.

    Raises:
        RecipeError: If the network does not fit the images, or a Method does not fit the network.
    """
    channels, edge = images.channels, images.image_size
    for method in active:
        with about(method.key()):
            channels, edge = method.edit_input(channels, edge)
    shape = {"channels": channels, "image_size": edge}
    with about("network"):
        model = nets.build(recipe.network, classes=len(images.classes), width=recipe.width, **shape)
    for method in active:
        with about(method.key()):
            model = method.edit_model(model)
    return model


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Make SGD whose decay leaves biases and normalisation alone (He et al. 2019, arXiv:1812.01187, section 3.1).

    Args:
        model: The network, on its device.
        recipe: Momentum and decay; whoever trains sets the learning rate in every step.
    """
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    nesterov = recipe.momentum > 0
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    if recipe.momentum > 0:
        # Left to itself the fused step makes the buffers without filling them, and an overflow in the first step of a
        # scaled training would then keep whatever was in that memory.
        for p in model.parameters():
            optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return optimizer
