"""CSV that a spreadsheet shows, rather than runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from paretosearch.files import replacing
from paretosearch.recipe import Recipe

#: What makes a spreadsheet take a text for a formula, the wide forms of East Asian keyboards among them.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_CONTROL = dict.fromkeys((*range(32), 127), " ")


def safe_cell(value: object) -> object:
    """Give a value as a cell of one line: truth as 1 and 0, and an apostrophe before a text that would be a formula."""
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return value
    line = value.translate(_CONTROL)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line


def flat_recipe(recipe: Recipe) -> dict[str, Any]:
    """Give a Recipe as columns.

    Args:
        recipe: The Recipe.

    Returns:
        Every field by name, and every parameter of a Method as ``method.parameter``.
    """
    plain: dict[str, Any] = json.loads(recipe.to_json())
    methods = plain.pop("methods")
    return {**plain, **{f"{m}.{key}": value for m, parameters in methods.items() for key, value in parameters.items()}}


def write_csv(rows: Sequence[Mapping[str, object]], target: Path | TextIO, first: Iterable[str] = ()) -> None:
    """Write rows under a line of headings.

    Args:
        rows: The rows; where one lacks a column of another the cell is empty.
        target: A path, whose file is replaced as a whole, or an open text file.
        first: Columns to write first, and to write even if there is no row.
    """
    columns = list(dict.fromkeys([*first, *(column for row in rows for column in row)]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(safe_cell, columns))
    writer.writerows([safe_cell(row.get(column)) for column in columns] for row in rows)
    if isinstance(target, Path):
        with replacing(target) as file:
            file.write(text.getvalue().encode())
    else:
        target.write(text.getvalue())
