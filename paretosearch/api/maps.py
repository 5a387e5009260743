"""Notes where a Haar stem leaves a network maps of hardly a pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch

from paretosearch import methods
from paretosearch.data import ImageSet
from paretosearch.errors import RecipeError
from paretosearch.methods.haar_stem import HaarStem
from paretosearch.recipe import Recipe
from paretosearch.space import Space
from paretosearch.training import build_model
from paretosearch.training.surgery import smallest_map

#: Edge of maps below which a layer of 3x3 kernels sees little but padding.
LEAST = 2


def notes_on_maps(space: Space, data_sets: Sequence[ImageSet]) -> Iterator[str]:
    """Say once for each network and data set that a search may leave it maps that are too small.

    Args:
        space: What is searched.
        data_sets: What it is trained with.
    """
    on = [kind for kind in space.values_of(HaarStem.key()) if kind != HaarStem.off][:1]
    for images, network in product(data_sets if on else (), space.values_of("network")):
        changed = {"dataset": images.name, "network": network, HaarStem.key(): on[0]}
        recipes = (space.recipe({**space.corner, **changed, "pooling": p}) for p in space.values_of("pooling"))
        yield from [note for recipe in recipes if (note := note_on_maps(recipe, images))][:1]


def note_on_maps(recipe: Recipe, images: ImageSet) -> str:
    """Say that the Haar stem of a Recipe leaves its network maps that are too small; empty if not.

    Args:
        recipe: What is to be trained.
        images: What with.
    """
    kind = recipe.methods.get(HaarStem.name, {}).get("kind", HaarStem.off)
    if kind == HaarStem.off:
        return ""
    example = torch.zeros(2, images.channels, images.image_size, images.image_size)
    try:
        edge = smallest_map(build_model(recipe, images, methods.active(recipe)), example)
    except RecipeError:
        return ""  # which says more when it is trained
    return _said(str(kind), recipe.network, images.image_size, edge) if edge < LEAST else ""


def _said(kind: str, network: str, image_size: int, edge: int) -> str:
    return (
        f'haar_stem.kind = "{kind}" halves images of {image_size} pixels, and the last maps of {network} are then '
        f"{edge}x{edge}: it may learn badly; use a network with fewer strides, such as resnet8, or larger images"
    )
