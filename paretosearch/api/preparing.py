"""Finds out before any Worker starts whether a study's data and networks can be had."""

from __future__ import annotations

from itertools import product

from rich.console import Console

from paretosearch import data, methods
from paretosearch.report.decoding import decoding_bar
from paretosearch.space import Space
from paretosearch.training import build_model


def prepare(space: Space, console: Console) -> None:
    """Get and decode the data sets, and build each network once with each pooling.

    Args:
        space: What is searched.
        console: Where to show the decoding, and which files were left out.

    Raises:
        DataError: If a data set is not to be had.
        RecipeError: If a network does not fit the images, or a pooling does not fit the network.
    """
    for dataset, image_size in product(space.values_of("dataset"), space.values_of("image_size")):
        images = _load(str(dataset), int(image_size), console)
        for network, pooling in product(space.values_of("network"), space.values_of("pooling")):
            changed = {"dataset": dataset, "image_size": image_size, "network": network, "pooling": pooling}
            recipe = space.recipe({**space.corner, **changed})
            build_model(recipe, images, methods.active(recipe))


def _load(dataset: str, image_size: int, console: Console) -> data.ImageSet:
    with decoding_bar(console) as progress:
        images = data.load(dataset, image_size, progress)
    if images.left_out:
        names = ", ".join(images.left_out[:3]) + (" ..." if len(images.left_out) > 3 else "")
        console.print(f"{len(images.left_out)} files are no readable images and are left out: {names}")
    return images
