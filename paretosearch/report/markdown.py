"""Texts of others in Markdown, as texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_CONTROL = dict.fromkeys((*range(32), 127, 0x2028, 0x2029), " ")

#: What GitHub's Markdown makes a link of though nobody marked it; it looks at texts after escapes are gone, so an
#: invisible character that joins words takes it apart.
_LINKS = re.compile(r"(www)(\.)|(https?:|ftp:)(//)|()(@)", re.IGNORECASE)
_JOINER = "\u2060"

#: Stands behind a cell: spaces that are not taken off.
_ROOM = "&emsp;"


def plain(text: str) -> str:
    """Give a text, such as the name of a data set, for a line of Markdown or a cell of its tables.

    Args:
        text: Whatever somebody wrote.

    Returns:
        The Markdown that shows just these characters on one line, and is no link.
    """
    line = _LINKS.sub(lambda found: _JOINER.join(part or "" for part in found.groups() if part is not None), text)
    return _PUNCTUATION.sub(r"\\\1", line.translate(_CONTROL))


def block(text: str) -> str:
    """Give a text as a block of code, which ends with the text whatever that holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: int = 0) -> str:
    """Make a table.

    Args:
        headings: Its headings, in Markdown.
        rows: Its cells, in Markdown; as many a row as there are headings.
        numeric: How many of the first columns are numbers, which stand to the right.

    Returns:
        The table, with room between its columns, which the dashboard leaves out.
    """
    rules = ["---:" if column < numeric else ":---" for column in range(len(headings))]
    spaced = [" | ".join(cell and f"{cell}{_ROOM}" for cell in cells) for cells in (headings, *rows)]
    return "\n".join(f"| {line} |" for line in (spaced[0], " | ".join(rules), *spaced[1:]))
