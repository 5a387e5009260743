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

_LEVELS = f"{HaarStem.name}.levels"


def notes_on_maps(space: Space, data_sets: Sequence[ImageSet]) -> Iterator[str]:
    """Say once for each network, data set and level of the stem that a search may leave it maps that are too small.

    Args:
        space: What is searched.
        data_sets: What it is trained with.
    """
    on = [kind for kind in space.values_of(HaarStem.key()) if kind != HaarStem.off][:1]  # all leave maps of one size
    levels = space.values_of(_LEVELS) if on else ()
    for images, network, level in product(data_sets, space.values_of("network"), levels):
        changed = {"dataset": images.name, "network": network, HaarStem.key(): on[0], _LEVELS: level}
        recipes = (space.recipe({**space.corner, **changed, "pooling": p}) for p in space.values_of("pooling"))
        yield from [note for recipe in recipes if (note := note_on_maps(recipe, images))][:1]


def note_on_maps(recipe: Recipe, images: ImageSet) -> str:
    """Say that the Haar stem of a Recipe leaves its network maps that are too small; empty if not.

    Args:
        recipe: What is to be trained.
        images: What with.
    """
    example = torch.zeros(2, images.channels, images.image_size, images.image_size)
    try:
        active = methods.active(recipe)
        stem = next((method for method in active if isinstance(method, HaarStem)), None)
        edge = LEAST if stem is None else smallest_map(build_model(recipe, images, active), example)
    except RecipeError:
        return ""  # which says more when it is trained
    return _said(stem, recipe.network, images, edge) if stem is not None and edge < LEAST else ""


def _said(stem: HaarStem, network: str, images: ImageSet, edge: int) -> str:
    _, bands = stem.edit_input(images.channels, images.image_size)
    other = "a network with fewer strides, such as resnet8"
    if stem.levels > 1:
        other = f"{_LEVELS} = 1, a network with fewer strides"
    return (
        f'haar_stem.kind = "{stem.kind}" with levels = {stem.levels} makes {bands}x{bands} pixels of the '
        f"{images.image_size}x{images.image_size} of an image, and the last maps of {network} are then {edge}x{edge}: "
        f"it may learn badly; use {other}, or larger images"
    )
