"""Refuses values that no training can have had.

They come from a file that a Worker wrote, or somebody else: a value of the wrong type would end the Launcher when it is
stored, one that is out of range would mislead the sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any

from paretosearch.errors import ParetosearchError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Characters of a name, such as the pattern of a phase, and of a value that a complaint shows.
MOST_NAME, MOST_SHOWN = 1000, 60

#: What a column of the database holds.
MOST = 2**63

#: Shares, which lie in [0, 1].
SHARES = ("accuracy", "test_accuracy", "overflow_share")

#: What alone may be negative, and above what: nothing takes less than no time.
ABOVE: Mapping[str, float] = {"loss": -math.inf, "drift": -1.0}


def check_fields(record: DataclassInstance) -> None:
    """Look at the fields of a record whose types are numbers, texts, figures or changes; others are let be.

    Args:
        record: Of a class whose annotations are texts, as ``from __future__ import annotations`` makes them.

    Raises:
        ParetosearchError: If a value is of another type, not finite, out of range or too long.
    """
    for f in fields(record):
        kind, _, optional = str(f.type).partition(" | ")
        value = getattr(record, f.name)
        if kind in _CHECKS and not (value is None and optional == "None"):
            _CHECKS[kind](f, value)


def shown(value: object) -> str:
    """Show a value of any length in a message."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _check_whole(f: Field[Any], value: object) -> None:
    _check_number(f, value)
    if not isinstance(value, int):
        raise ParetosearchError(f"{f.name} = {shown(value)} is no whole number")


def _check_number(f: Field[Any], value: object) -> None:
    if not _is_finite(value):
        raise ParetosearchError(f"{f.name} = {shown(value)} is no finite number")
    assert isinstance(value, int | float)
    if value < 0 and value <= ABOVE.get(f.name, 0.0):
        why = f"not above {ABOVE[f.name]:g}" if f.name in ABOVE else "negative"
        raise ParetosearchError(f"{f.name} = {shown(value)} is {why}")
    if value > 1 and f.name in SHARES:
        raise ParetosearchError(f"{f.name} = {shown(value)} is above 1")


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < MOST if isinstance(value, int) else math.isfinite(value)


def _check_truth(f: Field[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise ParetosearchError(f"{f.name} = {shown(value)} is neither true nor false")


def _check_text(f: Field[Any], value: object) -> None:
    if not isinstance(value, str):
        raise ParetosearchError(f"{f.name} = {shown(value)} is no text")
    if f.name not in ("message", "detail") and not _is_name(value):  # those two are cut, wherever they come from
        raise ParetosearchError(f"{f.name} = {shown(value)} is no name")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_NAME and value.isprintable()


def _check_figures(f: Field[Any], figures: object) -> None:
    if not isinstance(figures, Mapping):
        raise ParetosearchError(f"{f.name} = {shown(figures)} are no figures by name")
    for name, value in figures.items():
        if not (_is_name(name) and _is_finite(value)):
            raise ParetosearchError(f"{shown(name)} = {shown(value)} in {f.name} is no finite number by name")


def _check_changes(f: Field[Any], changes: object) -> None:
    if not isinstance(changes, tuple) or not all(isinstance(change, Mapping) for change in changes):
        raise ParetosearchError(f"{f.name} = {shown(changes)} are no changes")
    if not _is_plain(changes):
        raise ParetosearchError(f"{f.name} = {shown(changes)} hold what is neither a number nor a name")


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_name(name) and _is_plain(part) for name, part in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool) or _is_name(value) or _is_finite(value)


#: By the type of a field.
_CHECKS: Mapping[str, Callable[[Field[Any], object], None]] = {
    "int": _check_whole,
    "float": _check_number,
    "bool": _check_truth,
    "str": _check_text,
    "Mapping[str, float]": _check_figures,
    "tuple[Mapping[str, Any], ...]": _check_changes,
}
