"""Spaces for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields

from paretosearch import methods
from paretosearch.axis import SearchAxis, Value
from paretosearch.recipe import Recipe
from paretosearch.space import Space


def whole_space(axes: Mapping[str, SearchAxis]) -> Space:
    """Make a space as study files have them: what is not searched has its default."""
    values: dict[str, Value] = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
    parameters = {name: axis.default for name, axis in methods.parameters().items() if axis.default is not None}
    values |= {**parameters, "dataset": "d", "network": "n"}
    fixed = {name: value for name, value in values.items() if name not in axes}
    defaults = {name: values[name] for name, axis in axes.items() if axis.contains(values.get(name))}
    return Space(fixed, axes, methods.activations(), defaults)
