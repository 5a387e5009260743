"""What each change of a plain Recipe does alone: to the seconds, to the accuracy, to the accuracy at equal seconds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from paretosearch.recipe import Recipe
from paretosearch.report.replicates import Replicates, Spread
from paretosearch.report.words import axis_value, called, words
from paretosearch.store import Point

#: The sampler whose studies are made of such changes.
SAMPLER = "one-at-a-time"

#: What a change comes to.
Verdict = Literal["pays", "costs", "unclear"]

#: The axis along which more seconds can always be had.
LENGTH = "epochs"

#: How many times as short as the shortest plain training, or as long as the longest, another one may be to be compared.
BEYOND = 2.001


@dataclass(frozen=True)
class Effect:
    """What one change does, over pairs of trainings with the same seed.

    Args:
        recipe: The changed Recipe.
        axes: The fields and ``method.parameter`` names that it changes.
        pairs: How many pairs there are.
        seconds: Relative change of the training seconds.
        accuracy: Change of the accuracy.
        worth: Accuracy beyond what the plain Recipe reaches in the same seconds, with more or fewer epochs; None where
            the study has no other number of epochs, it is the epochs that are changed, or the seconds are far from all
            that the plain Recipe takes.
        off: Names of the Methods that it turns off.
        operations: Relative change of the floating-point operations of all training steps, over the pairs that have
            them; None where none has, as in old records.
    """

    recipe: Recipe
    axes: tuple[str, ...]
    pairs: int
    seconds: Spread
    accuracy: Spread
    worth: Spread | None
    off: tuple[str, ...] = ()
    operations: Spread | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether it is better or worse than its seconds, beyond what chance does; a single pair tells nothing."""
        worth = self.worth
        if worth is None or worth.half_width is None or abs(worth.mean) <= worth.half_width:
            return "unclear"
        return "pays" if worth.mean > 0 else "costs"

    @property
    def name(self) -> str:
        """What was changed, in words."""
        said = [words(self.recipe, self.axes)] if self.axes else []
        return ", ".join([*said, *(f"without {called(method)}" for method in self.off)])


def effects(groups: Sequence[Replicates], axes: Collection[str]) -> tuple[Effect, ...]:
    """Compare every Recipe with the plain one, the one that differs least from all others.

    Args:
        groups: Recipes, each with its trainings.
        axes: The searched fields and ``method.parameter`` names.

    Returns:
        An effect for each Recipe that has a training with the seed of one of the plain Recipe's, in their order.
    """
    searched = [axis for axis in axes if axis != "seed"]
    if len(groups) < 2:
        return ()
    plain = min(groups, key=lambda group: sum(len(_differing(group, other, searched)) for other in groups))
    lengths = [group for group in groups if _differing(plain, group, searched) in ((), (LENGTH,))]
    curves = _curves(lengths)
    others = ((group, _differing(plain, group, searched)) for group in groups if group is not plain)
    found = (_effect(plain, group, changed, curves) for group, changed in others)
    return tuple(effect for effect in found if effect is not None)


def by_worth(found: Sequence[Effect]) -> tuple[Effect, ...]:
    """Order changes by the accuracy that they have beyond their seconds, the best first; those without are the last."""
    return tuple(sorted(found, key=lambda effect: math.inf if effect.worth is None else -effect.worth.mean))


def effects_rows(found: Sequence[Effect]) -> Iterator[dict[str, Any]]:
    """Make the rows of a table."""
    for effect in found:
        yield {
            "change": effect.name,
            "pairs": effect.pairs,
            **_cells("seconds_change_percent", "seconds_half_width_95", effect.seconds),
            **_cells("operations_change_percent", "operations_half_width_95", effect.operations),
            **_cells("accuracy_change_points", "accuracy_half_width_95", effect.accuracy),
            **_cells("points_at_equal_seconds", "points_at_equal_seconds_half_width_95", effect.worth),
            "verdict": effect.verdict if effect.worth is not None else "",
        }


def _cells(mean: str, half_width: str, spread: Spread | None) -> dict[str, float | None]:
    both = (None, None) if spread is None else (spread.mean, spread.half_width)
    return {name: None if v is None else 100 * v for name, v in zip((mean, half_width), both, strict=True)}


def _differing(one: Replicates, other: Replicates, axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(axis for axis in axes if axis_value(one.recipe, axis) != axis_value(other.recipe, axis))


def _effect(
    plain: Replicates, group: Replicates, changed: tuple[str, ...], curves: Mapping[int, Sequence[Point]]
) -> Effect | None:
    by_seed = {point.recipe.seed: point for point in plain.points}
    pairs = [(by_seed[p.recipe.seed], p) for p in group.points if p.recipe.seed in by_seed]
    if not pairs:
        return None
    on, off = _parted(group.recipe, changed)
    seconds = Spread.of([after.train_seconds / before.train_seconds - 1 for before, after in pairs])
    accuracy = Spread.of([after.accuracy - before.accuracy for before, after in pairs])
    worths = [
        after.accuracy - _at(curves[after.recipe.seed], after.train_seconds)
        for _, after in pairs
        if after.recipe.seed in curves
        and changed != (LENGTH,)
        and _tells(curves[after.recipe.seed], after.train_seconds)
    ]
    worth = Spread.of(worths) if worths else None
    return Effect(group.recipe, on, len(pairs), seconds, accuracy, worth, off, _operations(pairs))


def _operations(pairs: Sequence[tuple[Point, Point]]) -> Spread | None:
    known = [(before.training_flops, after.training_flops) for before, after in pairs]
    changes = [after / before - 1 for before, after in known if before and after is not None]
    return Spread.of(changes) if changes else None


def _parted(recipe: Recipe, changed: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part the changed axes that have a value from the Methods that have none any more."""
    on = tuple(axis for axis in changed if axis_value(recipe, axis) is not None)
    off = dict.fromkeys(axis.partition(".")[0] for axis in changed if axis not in on)
    return on, tuple(method for method in off if method not in {axis.partition(".")[0] for axis in on})


def _curves(lengths: Sequence[Replicates]) -> dict[int, list[Point]]:
    """Give the plain Recipe's trainings of several lengths by seed, the shortest first, where there are several."""
    by_seed: dict[int, list[Point]] = {}
    for point in sorted((p for group in lengths for p in group.points), key=lambda point: point.train_seconds):
        by_seed.setdefault(point.recipe.seed, []).append(point)
    return {seed: points for seed, points in by_seed.items() if len({p.recipe.total_epochs for p in points}) > 1}


def _tells(curve: Sequence[Point], seconds: float) -> bool:
    """Whether a curve says something of so many seconds: they are not far beyond its ends."""
    return curve[0].train_seconds <= BEYOND * seconds and seconds <= BEYOND * curve[-1].train_seconds


def _at(curve: Sequence[Point], seconds: float) -> float:
    """Read a curve off between its points, over the logarithm of the seconds; beyond its ends it goes straight on."""
    x, y = np.log([point.train_seconds for point in curve]), np.array([point.accuracy for point in curve])
    left = int(np.clip(np.searchsorted(x, math.log(seconds)) - 1, 0, len(x) - 2))
    slope = (y[left + 1] - y[left]) / max(x[left + 1] - x[left], 1e-9)
    return float(y[left] + slope * (math.log(seconds) - x[left]))
