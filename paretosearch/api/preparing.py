"""Finds out before any Worker starts whether a study's data and networks can be had."""

from __future__ import annotations

from itertools import product

import torch
from rich.console import Console
from torch import nn

from paretosearch import data, methods
from paretosearch.errors import RecipeError
from paretosearch.report.decoding import decoding_bar
from paretosearch.space import Space
from paretosearch.training import build_model
from paretosearch.training.surgery import analyze


def prepare(space: Space, console: Console) -> None:
    """Get and decode the data sets, and build each network once with each pooling.

    Args:
        space: What is searched.
        console: Where to show the decoding, and which files were left out.

    Raises:
        DataError: If a data set is not to be had.
        RecipeError: If a network does not fit the images, a pooling does not fit the network, a batch is larger
            than what there is to train on, or a Method shall change channels that nothing may change.
    """
    for dataset, image_size in product(space.values_of("dataset"), space.values_of("image_size")):
        images = _load(str(dataset), int(image_size), console)
        _check_batches(space, len(images.train))
        for network, pooling in product(space.values_of("network"), space.values_of("pooling")):
            changed = {"dataset": dataset, "image_size": image_size, "network": network, "pooling": pooling}
            recipe = space.recipe({**space.corner, **changed})
            model = build_model(recipe, images, methods.active(recipe))
            _check_channels(space, model, str(network), images)


def _check_channels(space: Space, model: nn.Module, network: str, images: data.ImageSet) -> None:
    reshaping = [method.name for method in methods.CATALOGUE if method.reshapes and space.may_use(method.name)]
    if reshaping:
        example = torch.zeros(2, images.channels, images.image_size, images.image_size)
        analyze(model, example).require_free(reshaping[0], network)


def _check_batches(space: Space, images: int) -> None:
    smallest = min(int(count) or images for count in space.values_of("train_images"))
    largest = max(map(int, space.values_of("batch_size")))
    if largest > min(smallest, images):
        raise RecipeError(
            f"batch_size goes up to {largest}, and there are {min(smallest, images)} images to train on; "
            f"lower it in the study file"
        )


def _load(dataset: str, image_size: int, console: Console) -> data.ImageSet:
    with decoding_bar(console) as progress:
        images = data.load(dataset, image_size, progress)
    if images.left_out:
        names = ", ".join(images.left_out[:3]) + (" ..." if len(images.left_out) > 3 else "")
        console.print(f"left out, because they are no readable images: {len(images.left_out)} ({names})")
    return images
