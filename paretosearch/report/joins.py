"""Lines from panel to panel of a figure, below all that the panels show."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.transforms import Transform

from paretosearch.report.labels import Points
from paretosearch.store import Point

#: Of a line, for labels that go round it.
_STEPS = 60


def join(start: tuple[Axes, Point], end: tuple[Axes, Point], kind: str, **line: Any) -> ConnectionPatch:
    """Make a line between two points of the front figure, for its figure to take.

    Args:
        start: A panel, and a point in it.
        end: Another panel, and a point in that.
        kind: What the line says.
        line: How to draw it.
    """
    (axes, here), (other, there) = start, end
    ends = (here.train_seconds, 100 * here.accuracy), (there.train_seconds, 100 * there.accuracy)
    made = ConnectionPatch(*ends, axes.transData, other.transData, **line, zorder=-1, label=kind)
    made.set_in_layout(False)
    return made


def joins_of(figure: Figure) -> list[ConnectionPatch]:
    """Give the lines between panels that a figure has taken."""
    return [artist for artist in figure.artists if isinstance(artist, ConnectionPatch)]


def ends_of(made: ConnectionPatch) -> tuple[Points, Points]:
    """Give the ends of a line in pixels, (2,) each, once its figure is laid out."""
    assert isinstance(made.coords1, Transform)
    assert isinstance(made.coords2, Transform)
    return np.array(made.coords1.transform(made.xy1)), np.array(made.coords2.transform(made.xy2))


def steps_along(made: ConnectionPatch, axes: Axes) -> Points:
    """Give a line in small steps, in the data coordinates of a panel: points (N, 2)."""
    start, end = ends_of(made)
    return np.array(axes.transData.inverted().transform(np.linspace(start, end, _STEPS)))
