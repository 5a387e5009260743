"""How every figure looks, on the page as in the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from paretosearch.files import replacing
from paretosearch.report.look import PAPER, Look
from paretosearch.report.reading import spans_decades

#: Okabe and Ito's colours, told apart by colour-blind readers; the order keeps neighbours apart in grey too.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#999999", "#8B5A2B")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*")
INK = "#222222"
FAINT = "#8c8c8c"

#: Formats of every figure.
SUFFIXES = (".pdf", ".svg", ".png")

_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is on every machine
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.hinting": "none",  # or letters are wider at some resolutions, and a layout made at one is cut off at another
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
    "figure.dpi": 100,
    "axes.formatter.useoffset": False,  # an offset in a corner is overlooked
    "pdf.fonttype": 42,  # TrueType: printers and journals refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "paretosearch",
}

_NO_DATE: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "Creator": "paretosearch"},
    ".svg": {"Date": None, "Creator": "paretosearch"},
    ".png": {"Software": None},
}

#: Digits of a place on a figure, by its width or height.
_DIGITS = 6

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a function under our settings, and leave those of the caller as they were."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_RC), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name; a box stands for it
            return draw(*args, **kwargs)

    return wrapped


def new_figure(height: float, look: Look = PAPER) -> Figure:
    """Make an empty figure as wide as the text.

    Args:
        height: Inches on a page.
        look: What it is made for.

    Returns:
        A figure that lays itself out, outside pyplot's list of figures.
    """
    figure = Figure(figsize=(look.width, look.height(height)), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Put a legend above a figure, row by row, in as few rows as its width allows.

    Args:
        figure: Where.
        handles: What it shows, with their labels.
    """
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # drawn by Agg
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        by_rows = [handles[i] for column in range(columns) for i in range(column, len(handles), columns)]
        made = figure.legend(handles=by_rows, loc="outside upper left", ncols=columns)
        if made.get_window_extent(renderer).width <= figure.bbox.width:
            return
        if columns > 1:
            made.remove()


def shades(count: int) -> list[dict[str, Any]]:
    """Give colour and pattern of so many lines in an order: from dark to light, told apart in grey as well."""
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.82, count))
    patterns = ("-", "--", "-.", ":")
    return [{"color": to_hex(c), "linestyle": patterns[i % len(patterns)]} for i, c in enumerate(colours)]


def settle(figure: Figure) -> None:
    """Lay a figure out once for all: later drawings, of any resolution, keep every place."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for part in figure.subfigs:  # the last bit of what the engine solves differs from run to run
            part.bbox_relative.set_points(part.bbox_relative.get_points().round(_DIGITS))
        for axes in figure.axes:
            axes.set_position(Bbox(axes.get_position().get_points().round(_DIGITS)))


@styled
def save(figure: Figure, stem: Path, look: Look = PAPER) -> tuple[Path, ...]:
    """Write a figure in every format; the same figure gives the same bytes.

    Args:
        figure: What to write.
        stem: Path without its suffix.
        look: What it is made for.

    Returns:
        The files, in the order of `SUFFIXES`.
    """
    localise(figure, look)
    settle(figure)
    paths = tuple(stem.with_name(stem.name + suffix) for suffix in SUFFIXES)
    for path in paths:
        with replacing(path) as file:
            figure.savefig(file, format=path.suffix[1:], metadata=_NO_DATE[path.suffix], dpi=look.dots)
    return paths


class _Localised(Formatter):
    """Writes ticks as another Formatter does, in a language."""

    def __init__(self, inner: Formatter, look: Look) -> None:
        self._inner, self._look = inner, look

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = self._inner(x, pos)
        word = text.lstrip("\n")
        return text[: len(text) - len(word)] + self._look.number(self._look.say(word))

    def set_locs(self, locs: Any) -> None:
        self._inner.set_locs(locs)


def localise(figure: Figure, look: Look) -> None:
    """Give the ticks of a figure the words and the decimal comma of a language."""
    if look.lang == "en":
        return
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            inner = axis.get_major_formatter()
            if not isinstance(inner, _Localised):
                axis.set_major_formatter(_Localised(inner, look))


def seconds_axis(axes: Axes, seconds: Sequence[float], which: str = "x") -> None:
    """Make an axis of positive times logarithmic where they span enough.

    Args:
        axes: Where.
        seconds: The times shown.
        which: ``x`` or ``y``.
    """
    if not spans_decades(seconds):
        return
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    crowded = max(seconds) > 1000 * min(seconds)
    axis.set_major_locator(LogLocator(subs=(1,) if crowded else (1, 2, 5), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=100))
    axis.set_minor_formatter(NullFormatter())
    axis.grid(visible=False, which="minor")
