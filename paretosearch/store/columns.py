"""The kinds of column that SQLite and PostgreSQL do not have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, Text, TypeDecorator

from paretosearch.recipe import CAME_LATER, Recipe


class Utc(TypeDecorator[datetime]):
    """A moment, kept in UTC by databases with time zones or without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; a datetime without a zone is a mistake of the program."""
        assert value is None or value.tzinfo is not None
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the datetime with its zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class AnyText(TypeDecorator[str]):
    """Text from anywhere; what no database can hold (NUL, half a surrogate pair) becomes a question mark."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be held."""
        return value and value.replace("\0", "?").encode(errors="replace").decode()


class Whole(TypeDecorator[int]):
    """A whole number that may be beyond 64 bits, to 53 bits."""

    impl = Double
    cache_ok = True

    def process_result_value(self, value: float | None, dialect: Dialect) -> int | None:
        """Give an int."""
        return None if value is None else int(value)


class Changes(TypeDecorator[tuple[Mapping[str, Any], ...]]):
    """Changes of a network's shape, in order."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Mapping[str, Any], ...]:
        """Give a tuple."""
        return tuple(value)


class RecipeJson(TypeDecorator[Recipe]):
    """A Recipe, as JSON that SQL can look into."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Recipe | None, dialect: Dialect) -> Any:
        """Write the Recipe."""
        return value and json.loads(value.to_json())

    def process_result_value(self, value: Any, dialect: Dialect) -> Recipe:
        """Read the Recipe; fields that there were not in its day have the value at which it means the same."""
        return Recipe.stored({**CAME_LATER, **value})
