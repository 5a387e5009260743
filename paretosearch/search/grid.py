"""Lists the Recipes that a study is planned to train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType

from paretosearch.errors import RecipeError
from paretosearch.space import Genome, Space


def grid(space: Space, _named: Iterable[Genome] = ()) -> tuple[Genome, ...]:
    """Give a genome for every Recipe of a space, each Recipe once with each seed.

    Args:
        space: One whose axes can all be listed.
        _named: Genomes of the space that the study file names, which are in it anyway.

    Returns:
        Genomes in the order in which to train them. The seed changes last: trainings of one Recipe are then spread over
        the time of the study, and so is what disturbs them.
    """
    return _each_once(space, _all(space))


def star(space: Space, named: Iterable[Genome] = ()) -> tuple[Genome, ...]:
    """Give a genome for the plain Recipe of a space and for each that differs from it in one axis, with each seed.

    The plain one has the first value of every axis (one factor at a time, as the design of experiments calls it).

    Args:
        space: One whose axes can all be listed.
        named: Genomes of the space that the study file names, which may differ from the plain one in more than one
            axis: what needs another learning rate is one change with it.

    Returns:
        Genomes in the order in which to train them; the seed changes last, as in a `grid`.
    """
    return _each_once(space, _rays(space, tuple(named)))


#: Gives all trials of a study before any of them.
Plan = Callable[[Space, Iterable[Genome]], tuple[Genome, ...]]

#: Plans by the name of their sampler.
PLANS: Mapping[str, Plan] = MappingProxyType({"grid": grid, "one-at-a-time": star})


def _all(space: Space) -> Iterator[Genome]:
    names = sorted(space.axes, key=lambda name: name != "seed")  # which keeps the others in their order
    for values in product(*(space.values_of(name) for name in names)):
        yield dict(zip(names, values, strict=True))


def _rays(space: Space, named: Sequence[Genome]) -> Iterator[Genome]:
    names = [name for name in space.axes if name != "seed"]
    plain = space.corner
    for seed in [{"seed": seed} for seed in space.values_of("seed")] if "seed" in plain else [{}]:
        yield {**plain, **seed}
        yield from ({**plain, name: value, **seed} for name in names for value in space.values_of(name)[1:])
        yield from ({**genome, **seed} for genome in named)


def _each_once(space: Space, genomes: Iterable[Genome]) -> tuple[Genome, ...]:
    found: dict[object, Genome] = {}
    for genome in genomes:
        found.setdefault(_identity(space, genome), genome)
    return tuple(found.values())


def _identity(space: Space, genome: Genome) -> object:
    """Give what two genomes share if they are the same training; one without a Recipe, which will fail, is its own."""
    try:
        recipe = space.recipe(genome)
    except RecipeError:
        return tuple(genome.items())
    return recipe.digest, recipe.seed
