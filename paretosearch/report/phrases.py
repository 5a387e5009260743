"""Fits a Recipe in words into a column, broken where its phrases end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_BETWEEN, _MORE = ", ", ", …"


@dataclass(frozen=True)
class Phrases:
    """Phrases with commas between them, such as ``batch 256, lr 0.1``, none of which is torn apart.

    Args:
        text: The phrases.
        one_line: Whether those that do not fit are left out, instead of standing on more lines.
    """

    text: str
    one_line: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Break the text for a width; a phrase that is wider by itself is left to the console."""
        phrases = self.text.split(_BETWEEN)
        if self.one_line:
            yield Text(_beginning(phrases, options.max_width), no_wrap=True, overflow="ellipsis")
        else:
            yield Text("\n".join(_lines(phrases, options.max_width)))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for one line, and do with the longest phrase."""
        longest = max(cell_len(phrase) + 1 for phrase in self.text.split(_BETWEEN))
        return Measurement(min(longest, cell_len(self.text)), cell_len(self.text)).with_maximum(options.max_width)


def _lines(phrases: Sequence[str], width: int) -> list[str]:
    lines = [phrases[0]]
    for number, phrase in enumerate(phrases[1:], 2):
        longer = f"{lines[-1]}{_BETWEEN}{phrase}"
        comma = number < len(phrases)  # there is one behind all but the last
        if cell_len(longer) + comma <= width:
            lines[-1] = longer
        else:
            lines[-1] += _BETWEEN.rstrip()
            lines.append(phrase)
    return lines


def _beginning(phrases: Sequence[str], width: int) -> str:
    whole = _BETWEEN.join(phrases)
    kept = len(phrases)
    while cell_len(whole) > width and kept > 1:
        kept -= 1
        whole = _BETWEEN.join(phrases[:kept]) + _MORE
    return whole
