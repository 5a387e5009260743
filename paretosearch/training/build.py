"""The parts of a training that a Recipe names: its images, its network, its optimizer."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import nn

from paretosearch import nets
from paretosearch.data import Batches, ImageSet, Split, subset
from paretosearch.errors import RecipeError, about
from paretosearch.method import Method
from paretosearch.recipe import Recipe
from paretosearch.run import Sight


def training_split(recipe: Recipe, images: ImageSet) -> Split:
    """Choose the training images of a Recipe."""
    if recipe.train_images or recipe.train_share < 1:
        return subset(images.train, recipe.train_images, recipe.seed, recipe.train_share)
    return images.train


def edited_split(recipe: Recipe, images: ImageSet, split: Split, active: Sequence[Method]) -> Split:
    """Give what the Methods make of the training images, who learn first how the network will see them."""
    for method in active:
        method.see(Sight(images.mean, images.std, images.flip and recipe.augmentation != "none"))
        pixels, labels = method.edit_data(split.images, split.labels)
        if pixels is not split.images or labels is not split.labels:
            split = Split(pixels, labels)
    return split


def build_batches(
    recipe: Recipe, images: ImageSet, split: Split, device: torch.device, generator: torch.Generator
) -> Batches:
    """Make the batches of a Recipe.

    Args:
        recipe: Says how large they are, and how images are augmented.
        images: The data set.
        split: The images that are trained on.
        device: Where batches are made.
        generator: Source of their order, on the CPU.
    """
    alternate = recipe.seed if recipe.augmentation == "alternating" else None
    drawn = images, device, recipe.batch_size, recipe.augmentation != "none", generator
    return Batches(split, *drawn, alternate=alternate)


def build_model(recipe: Recipe, images: ImageSet, active: Sequence[Method]) -> nn.Module:
    """Build a Recipe's network for a data set, with what the Methods make of it, on the CPU.

    Raises:
        RecipeError: If the network does not fit the images, or a Method does not fit the network.
    """
    model = _built(recipe, images, active)
    for method in active:
        with about(method.key()):
            model = method.edit_model(model)
    return model


def _built(recipe: Recipe, images: ImageSet, active: Sequence[Method]) -> nn.Module:
    """Build the network for what the Methods let it read."""
    channels, size = images.channels, images.image_size
    edge = size
    for method in active:
        with about(method.key()):
            channels, edge = method.edit_input(channels, edge)
    shape = {"channels": channels, "image_size": edge}
    with about("network"):
        try:
            return nets.build(recipe.network, classes=len(images.classes), width=recipe.width, **shape)
        except RecipeError as error:
            if edge == size:
                raise
            changing = ", ".join(_settings(method) for method in active if method.changes_input())
            raise RecipeError(f"{error}; {edge}x{edge} is what {changing} makes of images of {size}x{size}") from None


def _settings(method: Method) -> str:
    """Write a Method with its parameters, such as ``haar_stem (kind = "haar", levels = 2)``."""
    return f"{method.name} ({', '.join(f'{key} = {json.dumps(getattr(method, key))}' for key in method.space)})"


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
