"""Chooses the first trials of a study by a plan, since a good spread finds more than chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from paretosearch.axis import Value
from paretosearch.search.coding import Scale
from paretosearch.space import Genome, Space


def designed(space: Space, seed: int) -> Iterator[Genome]:
    """Give genomes to begin with, without an end; some of them may be the same Recipe.

    First every number format at reference settings, then the shortest and the longest training at reference settings,
    then points of a sequence of low discrepancy.

    Args:
        space: What is searched.
        seed: Seed of the study: where the sequence begins.
    """
    reference = reference_of(space)
    yield reference
    if "number_format" in space.axes:
        yield from ({**reference, "number_format": name} for name in space.values_of("number_format"))
    yield from _corners(space, reference)
    yield from _spread(space, seed)


def planned_of(space: Space) -> int:
    """Count the genomes that a study should not go without: those before the sequence."""
    formats = len(space.values_of("number_format")) if "number_format" in space.axes else 1
    return formats + (2 if "epochs" in space.axes else 0)


def reference_of(space: Space) -> dict[str, Value]:
    """Give the plain training of a space: what a Recipe has by default where that can be had, else what is plainest."""
    return {name: space.defaults.get(name, _plainest(Scale(axis))) for name, axis in space.axes.items()}


def _plainest(scale: Scale) -> Value:
    """Give the middle of a range; of a list without an order the first, where people put what is ordinary."""
    return scale.value_at(0.5 if scale.is_ordered else 0.0)


def _corners(space: Space, reference: Genome) -> Iterator[Genome]:
    """Give the shortest and the longest training."""
    if "epochs" in space.axes:
        for end in (0.0, 1.0):
            yield {**reference, "epochs": Scale(space.axes["epochs"]).value_at(end)}


def _spread(space: Space, seed: int) -> Iterator[Genome]:
    """Give the points of an additive recurrence, the fractions of multiples of the powers of one number.

    Short trainings are as much more frequent than long ones as they are cheaper: they teach nearly as much, and sooner.

    In d dimensions that number is the inverse of the root of ``x**(d + 1) = x + 1``, the golden ratio's for d = 1 (M.
    Roberts, The unreasonable effectiveness of quasirandom sequences, 2018: a web page, not a paper).
    """
    names = list(space.axes)
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (len(names) + 1))
    steps = root ** -np.arange(1.0, len(names) + 1)
    shift = np.random.default_rng(seed).random(len(names))
    scales, number = [Scale(space.axes[name]) for name in names], 0
    while True:
        number += 1
        points = (shift + number * steps) % 1
        values = {name: s.value_at(float(x)) for name, s, x in zip(names, scales, points, strict=True)}
        if "epochs" in values:
            place = names.index("epochs")
            values["epochs"] = _by_cost(scales[place], float(points[place]))
        yield values


def _by_cost(scale: Scale, share: float) -> Value:
    """Give a number of epochs so that, as the share goes from 0 to 1, all together take equally many epochs."""
    values = np.array(scale.values, dtype=float)
    shares = np.cumsum(1 / values) / np.sum(1 / values)
    return (scale.values or ())[min(int(np.searchsorted(shares, share, "right")), len(values) - 1)]
