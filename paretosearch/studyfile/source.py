"""Knows on which line of a study file a key stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretosearch.errors import DataError, RecipeError, StudyFileError

KeyPath = tuple[str, ...]

#: Enough of TOML's grammar to tell keys from what strings, comments and brackets hold; the file is known to be valid.
_PIECE = re.compile(
    r'"""(?:\\.|(?!""")[^\\])*"""(?:"{0,2})'
    r"|'''(?:(?!''').)*'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[^\s\"'#\[\]{}=]+"
    r"|.",
    re.DOTALL,
)


@dataclass(frozen=True)
class Source:
    """The text of a study file and where it comes from.

    Args:
        path: The file.
        text: All of it, valid TOML.
    """

    path: Path
    text: str

    def error(self, key: Sequence[str], message: str) -> StudyFileError:
        """Make the one-line complaint about a key."""
        subject = f"{'.'.join(key)}: " if key else ""
        return StudyFileError(f"{self.path}:{self.line(key)}: {subject}{message}")

    @contextmanager
    def at(self, *key: str) -> Iterator[None]:
        """Turn what is raised inside into a complaint about a key."""
        try:
            yield
        except (StudyFileError, RecipeError, DataError) as error:
            raise self.error(key, str(error)) from None

    def place(self, name: str) -> KeyPath:
        """Give the path of a Recipe's field or of a ``method.parameter``, in whichever table; empty if it is not there.

        Args:
            name: Such as ``batch_size`` or ``prunetrain.interval``, which may be one key or a key in a table.
        """
        spellings = (name,), tuple(name.split("."))
        paths = [(*table, *spelling) for table in (("space",), ("recipe",), ()) for spelling in spellings]
        lines = key_lines(self.text)
        return next((path for path in paths if path in lines), ())

    def line(self, key: Sequence[str]) -> int:
        """Give the first line of a key or of what stands under it; else that of the table it belongs in."""
        lines = key_lines(self.text)
        for length in range(len(key), 0, -1):
            found = [line for path, line in lines.items() if path[:length] == tuple(key[:length])]
            if found:
                return min(found)
        return 1


def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line of every key and table header of a TOML document.

    Args:
        text: A valid document.

    Returns:
        Line from 1 by path of keys; what an inline table holds is left out.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for head, line in _statements(text):
        if head.startswith("["):
            table = _keys(tomllib.loads(head))
            lines.setdefault(table, line)
        else:
            lines.setdefault(table + _keys(tomllib.loads(f"{head} = 0")), line)
    return lines


def _statements(text: str) -> Iterator[tuple[str, int]]:
    """Give each statement up to its equals sign, with its line; all of a table header."""
    head, line, depth, in_value = "", 1, 0, False
    for piece in _PIECE.findall(text + "\n"):
        if piece == "\n" and depth == 0:
            if head.strip() and not in_value:
                yield head.strip(), line
            head, in_value = "", False
        elif in_value:
            depth += (piece in "[{") - (piece in "]}")
        elif piece == "=":
            yield head.strip(), line
            in_value = True
        elif not piece.startswith("#"):
            head += piece
        line += piece.count("\n")


def _keys(nested: Any) -> KeyPath:
    keys: list[str] = []
    while isinstance(nested, dict) and nested:
        ((key, nested),) = nested.items()
        keys.append(key)
    return tuple(keys)
