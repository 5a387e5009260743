"""Narrows a Space, or says how two of them differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from paretosearch.axis import Choice, Value, spelled
from paretosearch.errors import DeviceError
from paretosearch.space import Space


def narrowed(space: Space, key: str, allowed: Collection[Value]) -> Space:
    """Leave out options of a list, such as number formats that no device here has.

    Args:
        space: The space.
        key: A field or ``method.parameter`` that is fixed, or searched over a list.
        allowed: The options that may stay.

    Returns:
        The space with fewer options; with one left the key is fixed.

    Raises:
        DeviceError: If no option would be left.
    """
    options = space.values_of(key)
    kept = tuple(option for option in options if option in allowed)
    if not kept:
        wanted, possible = (", ".join(map(spelled, values)) for values in (options, allowed))
        raise DeviceError(f"{key}: none of {wanted} is possible here (possible: {possible or 'none'})")
    if kept == options:
        return space
    if len(kept) > 1:
        return replace(space, axes={**space.axes, key: Choice(kept)})
    axes = {name: axis for name, axis in space.axes.items() if name != key}
    return replace(space, fixed={**space.fixed, key: kept[0]}, axes=axes)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say how two spaces differ.

    Args:
        old: What `Space.to_plain` gave, after a trip through JSON or not.
        new: The same of the other space.

    Returns:
        A line such as ``batch_size: 32..1024 doubling -> 64..512 doubling`` for every key that differs.
    """
    before, after = _said(old), _said(new)
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in dict.fromkeys([*after, *before])
        if before.get(key) != after.get(key)
    ]


def _said(plain: Mapping[str, Any]) -> dict[str, str]:
    axes = {name: _axis_said(axis) for name, axis in plain["axes"].items()}
    return axes | {name: spelled(value) for name, value in plain["fixed"].items()}


def _axis_said(axis: Mapping[str, Any]) -> str:
    if axis["kind"] == "Choice":
        return " | ".join(map(spelled, axis["options"]))
    step = " doubling" if axis.get("log2") else " logarithmic" if axis.get("log") else ""
    return f"{axis['low']}..{axis['high']}{step}"
