"""The Space: which values of a Recipe are fixed, and which may vary."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

from paretosearch.axis import Choice, Int, Real, SearchAxis, Value
from paretosearch.recipe import Recipe, without_later_fields

Genome = Mapping[str, Value]

#: To train every genome of a larger space is no plan but a mistake.
MOST_GENOMES = 2000


@dataclass(frozen=True)
class Activation:
    """When a Method is part of a Recipe.

    A Method with a slot of its own is chosen by a field of the Recipe (``pooling = "s3"``). Any other is off while its
    switch, one of its own parameters, has the value ``off`` (``prunetrain.penalty_ratio = 0``).

    Args:
        method: Name of the Method.
        key: Field or ``method.parameter`` that decides.
        value: The value that turns the Method on (a slot) or off (a switch).
        on: Whether ``value`` turns on rather than off.
        parameters: Names of all parameters of the Method.
        canonical: Gives the parameters that equal trainings share, of a Recipe with the Method in it; None where the
            Method could never act. Without it they are as they are.
    """

    method: str
    key: str
    value: Value
    on: bool
    parameters: tuple[str, ...]
    canonical: Callable[[Recipe], Mapping[str, Value] | None] | None = field(default=None, repr=False, compare=False)

    def is_active(self, values: Mapping[str, Value]) -> bool:
        return (values[self.key] == self.value) is self.on


@dataclass(frozen=True)
class Space:
    """A flat search space: every axis is drawn for every trial.

    Optuna's NSGA-II draws conditional parameters at random, so nothing is conditional here; what a Recipe does not
    use is dropped when the genome becomes a Recipe, and equal Recipes come out with equal digests.

    Args:
        fixed: Value of every field and ``method.parameter`` that is not searched.
        axes: Range of every one that is.
        activations: When each Method is part of a Recipe.
        defaults: What an axis would have if it were not searched, where its range contains that.
    """

    fixed: Mapping[str, Value]
    axes: Mapping[str, SearchAxis]
    activations: tuple[Activation, ...] = field(default=())
    defaults: Mapping[str, Value] = field(default_factory=dict)

    def recipe(self, genome: Genome) -> Recipe:
        """Make the canonical Recipe of a genome.

        Args:
            genome: A value for every axis.

        Returns:
            The Recipe, without the parameters of Methods that are off, and without Methods that could not act in it.

        Raises:
            RecipeError: If a value is outside what any Recipe allows.
        """
        recipe = self.spelled(genome)
        while True:
            found = {
                a.method: a.canonical(recipe) for a in self.activations if a.canonical and a.method in recipe.methods
            }
            kept = {name: p for name, p in {**recipe.methods, **found}.items() if p is not None}
            if kept == dict(recipe.methods):
                return self._without_inert_rules(recipe)
            recipe = replace(recipe, methods=kept)  # a Method that goes may have been what another one acts on

    def _without_inert_rules(self, recipe: Recipe) -> Recipe:
        """Put the rules that are searched and say nothing in a Recipe at their `corner`."""
        idle = {name: self._lowest[name] for name in recipe.inert if name in self.axes}
        changed = {name: value for name, value in idle.items() if getattr(recipe, name) != value}
        return replace(recipe, **changed) if changed else recipe  # type: ignore[arg-type]  # an axis holds what it may be

    def spelled(self, genome: Genome) -> Recipe:
        """Make the Recipe that a genome spells out, with every Method that it turns on.

        Raises:
            RecipeError: If a value is outside what any Recipe allows.
        """
        values = {**self.fixed, **{name: genome[name] for name in self.axes}}
        methods = {a.method: self._parameters(a, values) for a in self.activations if a.is_active(values)}
        slots = {a.method for a in self.activations if a.on}
        plain = {name: value for name, value in values.items() if "." not in name}
        kept = {name: p for name, p in methods.items() if p or name not in slots}
        return Recipe(**plain, methods=kept)  # type: ignore[arg-type]  # Recipe checks every field itself

    def genome_of(self, recipe: Recipe) -> dict[str, Value]:
        """Give the genome that all genomes of one Recipe share: an axis that says nothing in it is at its `corner`.

        Args:
            recipe: One of this space.

        Returns:
            A value for every axis; that of a parameter may lie outside the axis where several trainings are one.
        """
        switches = {a.key: a.value for a in self.activations if not a.on}
        genome: dict[str, Value] = {}
        for name in self.axes:
            method, dot, parameter = name.partition(".")
            if not dot:
                genome[name] = getattr(recipe, name)
            elif method in recipe.methods:
                genome[name] = recipe.methods[method][parameter]
            else:
                genome[name] = switches.get(name, self._lowest[name])
        return genome

    def settled(self, genome: Genome) -> dict[str, Value]:
        """Put the parameters of every Method that a genome turns off at their `corner`.

        That is what `genome_of` gives, where no Method that is on could not act, and no rule that is searched says
        nothing; no Recipe has to be made for it.
        """
        values = {**self.fixed, **genome}
        off = [a for a in self._switched if not a.is_active(values)]
        inert = {f"{a.method}.{name}" for a in off for name in a.parameters} - {a.key for a in off}
        return {name: self._lowest[name] if name in inert else value for name, value in genome.items()}

    @cached_property
    def _switched(self) -> tuple[Activation, ...]:
        """Methods with an axis, that another one may turn off."""
        return tuple(a for a in self.activations if any(f"{a.method}.{name}" in self.axes for name in a.parameters))

    def corners(self, keys: Iterable[str]) -> Iterator[dict[str, Value]]:
        """Give the genomes with every listed value, or both ends, of some axes; the others stay at their `corner`.

        Args:
            keys: Names of fields and ``method.parameter``; those that are not searched are passed over.

        Yields:
            The first or lowest values first, those of the first key changing last.
        """
        open_axes = {key: self.axes[key] for key in keys if key in self.axes}
        for values in product(*map(_ends, open_axes.values())):
            yield {**self.corner, **dict(zip(open_axes, values, strict=True))}

    def _parameters(self, activation: Activation, values: Mapping[str, Value]) -> dict[str, Value]:
        return {name: values[f"{activation.method}.{name}"] for name in activation.parameters}

    def values_of(self, key: str) -> tuple[Value, ...]:
        """List the values that a field or ``method.parameter`` can take; one of a continuum has no list."""
        axis = self.axes.get(key)
        if axis is None:
            return (self.fixed[key],)
        assert not isinstance(axis, Real)
        return tuple(axis.values() or range(axis.low, axis.high + 1)) if isinstance(axis, Int) else axis.values()

    @property
    def corner(self) -> dict[str, Value]:
        """The genome of the first or lowest value of every axis, to be changed as one likes."""
        return dict(self._lowest)

    @cached_property
    def _lowest(self) -> Mapping[str, Value]:
        return {name: _ends(axis)[0] for name, axis in self.axes.items()}

    @property
    def size(self) -> int | None:
        """Number of genomes; None if an axis is a continuum."""
        counts = [axis.count for axis in self.axes.values()]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def has(self, genome: Genome) -> bool:
        """Whether every value of a genome, of this or of a larger space, can be had."""
        return all(
            self.axes[key].contains(value) if key in self.axes else self.fixed.get(key) == value
            for key, value in genome.items()
        )

    def may_use(self, method: str) -> bool:
        """Whether a genome could turn a Method on."""
        return any(a.method == method and self._may_be_active(a) for a in self.activations)

    def to_plain(self) -> dict[str, Any]:
        """Describe the space as JSON can hold it, for the hash and for messages.

        Parameters of a Method that no genome turns on are left out, so that a Method that is new in the catalogue
        leaves the spaces of older studies as they are.
        """
        idle = {f"{a.method}.{name}" for a in self.activations if not self._may_be_active(a) for name in a.parameters}
        fixed = {name: value for name, value in without_later_fields(self.fixed).items() if name not in idle}
        axes = {name: {"kind": type(axis).__name__, **asdict(axis)} for name, axis in self.axes.items()}
        return {"fixed": fixed, "axes": axes}

    def _may_be_active(self, activation: Activation) -> bool:
        axis = self.axes.get(activation.key)
        if axis is None:
            return activation.is_active(self.fixed)
        return not activation.on or axis.contains(activation.value)

    @property
    def hash(self) -> str:
        """Name of this space: 16 hexadecimal digits, equal for equal spaces in any order of keys."""
        text = json.dumps(self.to_plain(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ends(axis: SearchAxis) -> tuple[Value, ...]:
    return axis.options if isinstance(axis, Choice) else (axis.low, axis.high)
