"""Makes the Space of a study from its [recipe] and [space] tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from pydantic import Field, ValidationError

from paretosearch import methods
from paretosearch.axis import Axis, Choice, Int, Real, SearchAxis, Text, Value, refusal
from paretosearch.errors import StudyFileError, suggest
from paretosearch.recipe import FIELDS, Recipe
from paretosearch.space import Space
from paretosearch.studyfile.source import KeyPath, Source
from paretosearch.studyfile.tables import Table, complaint, shown

#: What a study file says once, at its top; seeds may be searched beside it, to see how much is chance.
AT_THE_TOP = ("dataset", "network", "seed")
SEARCHED_ELSEWHERE = ("dataset", "network")

#: What is no value of a Recipe, and belongs there all the more.
OPTIONS_AT_THE_TOP = ("keep_slow_formats",)


class _Range(Table):
    low: int | float = Field(description="a number")
    high: int | float = Field(description="a number")
    log: bool = Field(default=False, description="true or false")
    log2: bool = Field(default=False, description="true or false")


def make_space(source: Source, top: Mapping[str, Value], recipe: dict[str, Any], space: dict[str, Any]) -> Space:
    """Make the Space of a study.

    Args:
        source: The file, for complaints.
        top: Value of every name of `AT_THE_TOP`.
        recipe: The ``[recipe]`` table.
        space: The ``[space]`` table.

    Returns:
        The Space, with a value or an axis for every field of a Recipe and every parameter of a Method.

    Raises:
        StudyFileError: If a key is unknown or stands twice, or a value is not allowed.
    """
    allowed = allowed_values()
    fixed, axes = _read_recipe(source, recipe, allowed), _read_space(source, space, allowed)
    for name in axes:
        if name in fixed:
            raise source.error(("recipe", name), "is fixed here and searched in [space]; keep one of them")
    _check_switches(source, [*fixed, *axes])
    single = {name: _only_value(axis) for name, axis in axes.items() if axis.count == 1}
    open_axes = _switches_first({name: axis for name, axis in axes.items() if name not in single})
    if not open_axes:
        raise source.error(("space",), "leaves nothing to search; give an axis at least two values")
    values = {**_defaults(allowed), **top, **fixed, **single}
    return Space(
        fixed={name: value for name, value in values.items() if name not in open_axes},
        axes=open_axes,
        activations=methods.activations(),
        defaults={name: values[name] for name, axis in open_axes.items() if axis.contains(values.get(name))},
    )


def make_recipe(source: Source, top: Mapping[str, Value], recipe: dict[str, Any]) -> Recipe:
    """Make the Recipe of a study that searches nothing.

    Args:
        source: The file, for complaints.
        top: Value of every name of `AT_THE_TOP`.
        recipe: The ``[recipe]`` table.

    Raises:
        StudyFileError: If a key is unknown or stands twice, a value is not allowed, or two do not go together.
    """
    allowed = allowed_values()
    given = _read_recipe(source, recipe, allowed)
    _check_switches(source, given)
    fixed = {**_defaults(allowed), **top, **given}
    with source.at("recipe"):
        made = Space(fixed, {}, methods.activations()).spelled({})
        methods.active(made)
    return made


def allowed_values() -> dict[str, Axis]:
    """Give the widest range of everything that a table of values may name."""
    slots: dict[str, list[Value]] = {}
    for activation in methods.activations():
        if activation.on:
            slots.setdefault(activation.key, []).append(activation.value)
    return {**FIELDS, **{slot: Choice(tuple(names)) for slot, names in slots.items()}, **methods.parameters()}


def _defaults(allowed: Mapping[str, Axis]) -> dict[str, Value]:
    values: dict[str, Value] = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
    return values | {name: axis.default for name, axis in allowed.items() if axis.default is not None}


def _read_recipe(source: Source, table: dict[str, Any], allowed: Mapping[str, Axis]) -> dict[str, Value]:
    fixed: dict[str, Value] = {}
    for path, name, value in entries(source, ("recipe",), table, allowed):
        with source.at(*path):
            hint = "; lists and ranges belong in [space]" if isinstance(value, list | dict) else ""
            fixed[name] = checked(value, allowed[name], hint)
    return fixed


def _read_space(source: Source, table: dict[str, Any], allowed: Mapping[str, Axis]) -> dict[str, SearchAxis]:
    axes: dict[str, SearchAxis] = {}
    for path, name, spec in entries(source, ("space",), table, allowed, SEARCHED_ELSEWHERE):
        with source.at(*path):
            axes[name] = _axis(spec, allowed[name])
    return axes


def entries(
    source: Source,
    section: KeyPath,
    table: dict[str, Any],
    allowed: Mapping[str, Axis],
    elsewhere: Collection[str] = AT_THE_TOP,
) -> Iterator[tuple[KeyPath, str, Any]]:
    """Give the path, the name and the value of every entry; ``a.b`` may be one key or a key in a table.

    Args:
        source: The file, for complaints.
        section: Path of the table.
        table: The table.
        allowed: What may stand in it.
        elsewhere: What belongs at the top of the file.
    """
    owners = {name.partition(".")[0] for name in allowed if "." in name}
    seen: set[str] = set()
    for path, name, value in _flat(section, table, owners):
        if name in (*elsewhere, *OPTIONS_AT_THE_TOP):
            raise source.error(path, "belongs at the top of the file")
        if name not in allowed:
            raise source.error(path, f"unknown key{suggest(name, [*allowed, *sorted(owners)])}")
        if name in seen:
            raise source.error(path, "stands twice, once with a dot in its name; keep one of them")
        seen.add(name)
        yield path, name, value


def _flat(section: KeyPath, table: dict[str, Any], owners: set[str]) -> Iterator[tuple[KeyPath, str, Any]]:
    for key, value in table.items():
        if key in owners and isinstance(value, dict):
            yield from (((*section, key, inner), f"{key}.{inner}", inside) for inner, inside in value.items())
        else:
            yield (*section, key), key, value


def _check_switches(source: Source, names: Iterable[str]) -> None:
    """Refuse parameters of a Method that nobody turns on, or off."""
    named: dict[str, dict[str, str]] = {}
    for name in names:
        method, dot, parameter = name.partition(".")
        if dot:
            named.setdefault(method, {})[parameter] = name
    for method, problem in methods.without_switch(named).items():
        name = next(iter(named[method].values()))
        raise source.error(source.place(name) or (name,), problem)


def _switches_first(axes: Mapping[str, SearchAxis]) -> dict[str, SearchAxis]:
    """Put the switch of a Method before its other parameters: reports call the first one by the name of the Method."""
    switches = {a.method: a.key for a in methods.activations() if not a.on}
    ordered: dict[str, SearchAxis] = {}
    for name in axes:
        switch = switches.get(name.partition(".")[0], name)
        ordered |= {key: axes[key] for key in (switch, name) if key in axes}
    return ordered


def _axis(spec: Any, allowed: Axis) -> SearchAxis:
    if isinstance(spec, list):
        return Choice(tuple(checked(value, allowed) for value in spec))
    if not isinstance(spec, dict):
        raise StudyFileError(f"{shown(spec)} is no list of values and no range {{ low = …, high = … }}")
    if isinstance(allowed, Choice | Text):
        raise StudyFileError(f"takes a list of values, not a range; each is {allowed}")
    return _range(_table(spec), allowed)


def _table(spec: dict[str, Any]) -> _Range:
    try:
        return _Range.model_validate(spec)
    except ValidationError as error:
        path, message = complaint(error, _Range)
        raise StudyFileError(f"{'.'.join(path)}: {message}") from None


def _range(given: _Range, allowed: Real | Int) -> SearchAxis:
    low, high = checked(given.low, allowed, name="low = "), checked(given.high, allowed, name="high = ")
    if isinstance(allowed, Real):
        if given.log2:
            raise StudyFileError("log2 doubles whole numbers, and this is a real one; write log = true")
        return Real(float(low), float(high), log=given.log)
    if given.log:
        raise StudyFileError("log is for real numbers, and this is a whole one; write log2 = true")
    return Int(int(low), int(high), log2=given.log2 or allowed.log2)


def checked(value: Any, allowed: Axis, hint: str = "", name: str = "") -> Value:
    """Give the value in its one spelling, or say why it is not allowed.

    Args:
        value: What the file says.
        allowed: What it may say.
        hint: What to add to the complaint.
        name: What to put before it.

    Raises:
        StudyFileError: If the value is not allowed.
    """
    if not allowed.contains(value):
        raise StudyFileError(f"{name}{shown(value)} {refusal(allowed, value)}{hint}")
    one_spelling: Value = float(value) + 0.0 if isinstance(allowed, Real) else value  # 0, 0.0 and -0.0 are one value
    return one_spelling


def _only_value(axis: SearchAxis) -> Value:
    return axis.options[0] if isinstance(axis, Choice) else axis.low
