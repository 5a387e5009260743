"""Lists every Recipe of a space that can be listed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from paretosearch.errors import RecipeError
from paretosearch.space import Genome, Space


def grid(space: Space) -> tuple[Genome, ...]:
    """Give a genome for every Recipe of a space, each Recipe once with each seed.

    Args:
        space: One whose axes can all be listed.

    Returns:
        Genomes in the order in which to train them. The seed changes last: trainings of one Recipe are then spread over
        the time of the study, and so is what disturbs them.
    """
    found: dict[object, Genome] = {}
    for genome in _genomes(space):
        found.setdefault(_identity(space, genome), genome)
    return tuple(found.values())


def _genomes(space: Space) -> Iterator[Genome]:
    names = sorted(space.axes, key=lambda name: name != "seed")  # which keeps the others in their order
    for values in product(*(space.values_of(name) for name in names)):
        yield dict(zip(names, values, strict=True))


def _identity(space: Space, genome: Genome) -> object:
    """Give what two genomes share if they are the same training; one without a Recipe, which will fail, is its own."""
    try:
        recipe = space.recipe(genome)
    except RecipeError:
        return tuple(genome.items())
    return recipe.digest, recipe.seed
