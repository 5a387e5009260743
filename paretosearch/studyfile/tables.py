"""Turns what pydantic says about a table into a sentence of ours."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from paretosearch.axis import spelled
from paretosearch.errors import suggest

#: A value that somebody wrote may be a page long; a message is one line.
SHOWN_CHARACTERS = 60


class Table(BaseModel):
    """A table of a study file; every field says in its description what it takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def complaint(error: ValidationError, model: type[Table]) -> tuple[tuple[str, ...], str]:
    """Give the first complaint: the path of the key, and what is wrong with it."""
    details = error.errors(include_url=False)
    # A misspelt key is also a missing one, and only the spelling helps.
    first = next((detail for detail in details if detail["type"] == "extra_forbidden"), details[0])
    path = _path(first, model)
    return path, _sentence(first, path, model)


def _path(detail: ErrorDetails, model: type[Table]) -> tuple[str, ...]:
    """Give the keys; where a field takes one of several types, pydantic adds the name of a type."""
    path: list[str] = []
    inner: object = model
    for key in map(str, detail["loc"]):
        if not (isinstance(inner, type) and issubclass(inner, Table)):
            break
        path.append(key)
        inner = inner.model_fields[key].annotation if key in inner.model_fields else None
    return tuple(path)


def _sentence(detail: ErrorDetails, path: Sequence[str], model: type[Table]) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    table = _table_at(path[:-1], model)
    if detail["type"] == "extra_forbidden":
        if len(path) > 1 and path[-1] in model.model_fields:
            return "belongs at the top of the file"
        return f"unknown key{suggest(path[-1], table.model_fields)}"
    wanted = table.model_fields[path[-1]].description
    if detail["type"] == "missing":
        return f"is missing; it must be {wanted}"
    return f"{shown(detail['input'])} is not {wanted}"


def _table_at(path: Sequence[str], model: type[Table]) -> type[Table]:
    for key in path:
        annotation = model.model_fields[key].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, Table)
        model = annotation
    return model


def shown(value: object) -> str:
    """Show a value of any length and kind in one short line."""
    text = spelled(value, repr)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
