"""The lines and marks of matplotlib as those of PGFPlots."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from paretosearch.report.style import MARKERS

#: What TikZ has itself: filled and hollow mark, its turn in degrees, and its size, a radius, by that of matplotlib.
_OWN: dict[Any, tuple[str, str, int, float]] = {
    "o": ("*", "o", 0, 0.5),
    ".": ("*", "o", 0, 0.25),
    "s": ("square*", "square", 0, 0.5),
    "D": ("square*", "square", 45, 0.5),
    "+": ("+", "+", 0, 0.5),
    "x": ("x", "x", 0, 0.5),
    "_": ("-", "-", 0, 0.5),
    "|": ("|", "|", 0, 0.5),
}
#: Carets, by matplotlib's numbers.
_CARETS = {7: "caret"}
#: Patterns of lines.
DASHES = {"-": "solid", "--": "dashed", "-.": "dashdotted", ":": "densely dotted"}
_VERBS = {Path.MOVETO: "moveto", Path.LINETO: "lineto"}


def look_of(line: Line2D) -> str:
    r"""Give the options of ``\addplot`` that draw a line, or its marks alone."""
    style = line.get_linestyle()
    if style in ("None", "none", ""):
        return f"only marks, {mark_of(line)}"
    colour = f"ps{to_hex(line.get_color())[1:].upper()}"
    drawn = f"{colour}, {DASHES[str(style)]}, line width={line.get_linewidth():g}pt"
    corners = ["const plot mark left"] * (line.get_drawstyle() == "steps-post")
    return ", ".join([*corners, drawn, mark_of(line)])


def mark_of(line: Line2D) -> str:
    r"""Give the options of ``\addplot`` that draw the marks of a line; nothing for a line without."""
    marker = line.get_marker()
    if marker in ("None", None, ""):
        return "no marks"
    hollow = line.get_markerfacecolor() == "none"
    name, turn, size = _named(marker, hollow)
    look = [f"rotate={turn}"] * bool(turn)
    if not hollow:
        look.append(f"fill={_colour(line.get_markerfacecolor())}")
    look += [f"draw={_colour(line.get_markeredgecolor())}", f"line width={line.get_markeredgewidth():g}pt", "solid"]
    return f"mark={name}, mark size={size * line.get_markersize():.3g}pt, mark options={{{', '.join(look)}}}"


def _named(marker: Any, hollow: bool) -> tuple[str, int, float]:
    if marker in _OWN:
        filled, empty, turn, size = _OWN[marker]
        return (empty if hollow else filled), turn, size
    return f"paretosearch {_CARETS.get(marker, marker)}{' hollow' * hollow}", 0, 0.5


def _colour(colour: Any) -> str:
    return f"ps{to_hex(colour)[1:].upper()}"


def declarations() -> str:
    """Declare those of our marks that TikZ lacks, filled and hollow."""
    lacking = [marker for marker in (*MARKERS, *_CARETS) if marker not in _OWN]
    return "\n".join(_declared(marker, hollow) for marker in lacking for hollow in (False, True))


def _declared(marker: Any, hollow: bool) -> str:
    style = MarkerStyle(marker)
    path = style.get_path().transformed(
        style.get_transform() + Affine2D().scale(2.0)
    )  # a pgf mark size is half of ours
    steps = []
    for vertices, code in path.iter_segments(curves=False, simplify=False):
        x, y = np.round(vertices[-2:], 4) + 0.0  # and no minus zero
        if code == Path.CLOSEPOLY:
            steps.append("\\pgfpathclose")
        else:
            steps.append(f"\\pgfpath{_VERBS[code]}{{\\pgfpoint{{{x:g}\\pgfplotmarksize}}{{{y:g}\\pgfplotmarksize}}}}")
    end = "\\pgfusepathqstroke" if hollow else "\\pgfusepathqfillstroke"
    name, _, _ = _named(marker, hollow)
    body = "%\n  ".join([f"\\pgfdeclareplotmark{{{name}}}{{", *steps, end])
    return f"{body}}}"
