"""Reads the trials that a study begins with from its [first] tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paretosearch.axis import Value
from paretosearch.space import Space
from paretosearch.studyfile.axes import AT_THE_TOP, allowed_values, checked, entries
from paretosearch.studyfile.source import Source


def make_first(source: Source, tables: Mapping[str, Any], space: Space) -> dict[str, dict[str, Value]]:
    """Make the genomes that are trained before the sampler is asked, such as those that the search must beat.

    Args:
        source: The file, for complaints.
        tables: The ``[first.NAME]`` tables: a value for some axes, the others have their first or lowest one.
        space: What is searched.

    Returns:
        The genomes by name.

    Raises:
        StudyFileError: If a key is no axis of the space, or its value is not in it.
    """
    return {name: _genome(source, name, table, space) for name, table in tables.items()}


def _genome(source: Source, name: str, table: Any, space: Space) -> dict[str, Value]:
    if not isinstance(table, dict):
        raise source.error(("first", name), "is no table; write [first.NAME] with values of axes below it")
    genome, elsewhere = space.corner, [key for key in AT_THE_TOP if key not in space.axes]
    for path, key, value in entries(source, ("first", name), table, allowed_values(), elsewhere):
        if key not in space.axes:
            raise source.error(path, "is not searched; only axes of [space] differ between trials")
        with source.at(*path):
            genome[key] = checked(value, space.axes[key])
    return genome
