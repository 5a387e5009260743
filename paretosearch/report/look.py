"""For what a figure or a table is made: a thesis or slides, in English or in German."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from paretosearch.report.german import GERMAN

Style = Literal["thesis", "slides"]
Language = Literal["en", "de"]

#: Inches. The text of a thesis on A4 is about 150 mm wide. Slides are the same drawing on a smaller sheet: blown up to
#: the width of a screen, its letters and lines are as large as those of the slide's own text.
_WIDTHS: dict[Style, float] = {"thesis": 5.9, "slides": 4.4}
#: Slides are wide: share of the height that is left.
_HEIGHTS: dict[Style, float] = {"thesis": 1.0, "slides": 0.7}
#: Dots an inch: of a PNG 1180 dots wide for a page, 1936 for a screen.
_DOTS: dict[Style, int] = {"thesis": 200, "slides": 440}

_NUMBER = re.compile(r"[-−+±]?\d+\.\d+(e[-+]?\d+)?")


@dataclass(frozen=True)
class Look:
    """What a figure is made for.

    Args:
        style: ``thesis`` for a page, ``slides`` for a screen.
        lang: ``en``, or ``de`` with German words and a decimal comma.
    """

    style: Style = "thesis"
    lang: Language = "en"

    @property
    def width(self) -> float:
        """Inches from edge to edge."""
        return _WIDTHS[self.style]

    @property
    def dots(self) -> int:
        """Dots an inch of a PNG."""
        return _DOTS[self.style]

    def height(self, inches: float) -> float:
        """Inches of what is so high on a page."""
        return inches * _HEIGHTS[self.style]

    def say(self, text: str, **values: object) -> str:
        """Give a text in the language, with values filled in; what has no translation is a name, and stays."""
        found = GERMAN.get(text, text) if self.lang == "de" else text
        return found.format(**values) if values else found

    def number(self, text: str) -> str:
        """Give a text with a decimal comma where the language has one, if it is a number and nothing else."""
        return text.replace(".", ",") if self.lang == "de" and _NUMBER.fullmatch(text) else text

    def words(self, text: str) -> str:
        """Give a Recipe in words, such as ``bf16, batch 256, lr 0.1``, in the language."""
        if self.lang == "en":
            return text
        pieces = (re.split(r"( )", phrase) for phrase in text.split(", "))
        return ", ".join("".join(self.number(self.say(piece)) for piece in phrase) for phrase in pieces)


#: What a figure looks like where nothing else is asked for.
PAPER = Look()
