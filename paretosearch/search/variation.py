"""Makes children of parents: crossover by axis, and mutation that knows which values are neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numpy.random import Generator

from paretosearch.axis import Value
from paretosearch.search.coding import Scale
from paretosearch.space import Genome

CROSSOVER_SHARE = 0.9

#: Width of a mutation, as a share of an ordered axis.
STEP = 0.15

#: Share of mutations of a listed ordered axis that go to any of its values.
LEAP_SHARE = 0.2


def child(
    scales: Mapping[str, Scale], parents: Sequence[Genome], rate: float, rng: Generator, neighbours: bool = True
) -> dict[str, Value]:
    """Cross two parents and mutate what comes of it.

    Args:
        scales: The scale of every axis.
        parents: Two genomes.
        rate: Probability of a mutation of each axis, in [0, 1].
        rng: Where chance comes from.
        neighbours: Whether a mutation on an ordered axis goes to a neighbour.
    """
    first, second = parents
    mixed = rng.random() < CROSSOVER_SHARE
    chances = rng.random((2, len(scales)))
    genome: dict[str, Value] = {}
    for (name, scale), swap, change in zip(scales.items(), *chances.tolist(), strict=True):
        value = second[name] if mixed and swap < 0.5 else first[name]
        genome[name] = mutated(scale, value, rng, neighbours) if change < rate else value
    return genome


def mutated(scale: Scale, value: Value, rng: Generator, neighbours: bool = True) -> Value:
    """Change a value: to one nearby on an ordered axis, to any other of a list without an order."""
    if scale.values is None:
        if not neighbours:
            return scale.value_at(rng.random())
        return scale.value_at(_reflected(scale.position(value) + STEP * rng.standard_normal()))
    if not (scale.is_ordered and neighbours) or rng.random() < LEAP_SHARE:
        others = [other for other in scale.values if other != value]
        return others[rng.integers(len(others))] if others else value
    last = len(scale.values) - 1
    here = round(scale.position(value) * last)
    step = int(rng.integers(1, max(1, round(STEP * last)) + 1)) * (1 if rng.random() < 0.5 else -1)
    there = here + step if 0 <= here + step <= last else here - step
    return scale.values[min(last, max(0, there))]


def _reflected(x: float) -> float:
    x = abs(x) % 2
    return 2 - x if x > 1 else x
