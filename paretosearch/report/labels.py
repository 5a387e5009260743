"""Labels that find a free place beside their points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from paretosearch.report.style import INK, settle

Points = NDArray[np.float64]
Counts = NDArray[np.int64]

_DISTANCES = (8, 11, 15, 20, 27, 36, 45)  # typographic points; beyond these a reader loses the thread
_ANGLES = np.deg2rad([135, *range(0, 360, 15)])  # above a rising curve is free: of equal places that one
_SPOTS = [(d * float(np.cos(a)), d * float(np.sin(a))) for d in _DISTANCES for a in _ANGLES]
_REACH = 250  # pixels, at a figure's own resolution, beyond which no label gets
_CLEAR = 3  # pixels around a label
_MARK = 4  # pixels from the middle of a mark to its edge
_LINE = 60  # points of a curve that a point of another label's line counts for: a text that is crossed is not read


@dataclass(frozen=True)
class Label:
    """A text that belongs to a point.

    Args:
        text: What to write.
        x: The point, in data coordinates.
        y: The same.
    """

    text: str
    x: float
    y: float


def place(axes: Axes, labels: Sequence[Label], obstacles: Points) -> list[Annotation]:
    """Write labels beside their points, where they cover nothing.

    Args:
        axes: Where; everything but the labels is drawn already.
        labels: What to write; the first one chooses first.
        obstacles: Points (N, 2) in data coordinates that should stay visible; one that is there twice counts twice.

    Returns:
        The annotations, which a later layout leaves where they are.
    """
    settle(cast(Figure, axes.figure))  # places must be final before pixels are counted
    points, weights = np.unique(obstacles, axis=0, return_counts=True)
    seen = axes.transData.transform(points)
    taken: list[Bbox] = []
    notes = []
    for label in labels:
        note = _write(axes, label)
        at = axes.transData.transform((label.x, label.y))
        boxes = _boxes(note, at)
        close = np.abs(seen - at).max(axis=1) < _REACH
        costs = [_cost(box, at, axes.bbox, (seen[close], weights[close]), taken) for box in boxes]
        best = int(np.argmin(costs))  # of equal ones the first
        _move(note, _SPOTS[best])
        taken.append(boxes[best])
        line = _leader(at, boxes[best])
        seen, weights = (
            np.concatenate([seen, line]),
            np.concatenate([weights, np.full(len(line), _LINE, weights.dtype)]),
        )
        notes.append(note)
    return notes


def _write(axes: Axes, label: Label) -> Annotation:
    note = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=7,
        color=INK,
        linespacing=1.25,
        arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
        zorder=6,
    )
    note.set_in_layout(False)
    return note


def _move(note: Annotation, spot: tuple[float, float]) -> None:
    note.set_position(spot)
    note.set_horizontalalignment(("right", "center", "left")[_side(spot[0]) + 1])
    note.set_verticalalignment(("top", "center", "bottom")[_side(spot[1]) + 1])


def _side(offset: float) -> int:
    return 0 if abs(offset) < 1 else 1 if offset > 0 else -1


def _boxes(note: Annotation, at: Points) -> list[Bbox]:
    """Give the box, in pixels, that the text takes at each spot around its point."""
    figure = cast(Figure, note.figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # drawn by Agg
    extent = Text.get_window_extent(note, renderer)  # an Annotation's own extent counts its line
    size = np.array([extent.width, extent.height])
    boxes = []
    for spot in _SPOTS:
        corner = at + np.array(spot) * figure.dpi / 72 + size * [(_side(offset) - 1) / 2 for offset in spot]
        boxes.append(Bbox([corner - _CLEAR, corner + size + _CLEAR]))
    return boxes


def _cost(box: Bbox, at: Points, frame: Bbox, near: tuple[Points, Counts], taken: Sequence[Bbox]) -> float:
    inside = frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= frame.x1 and box.y1 <= frame.y1
    clashes = sum(box.overlaps(other) for other in taken)
    points, _ = near
    covered = sum(_weight(near, box.padded(room)) for room in (0, _MARK))  # the middle of a mark is worse than its edge
    line = _leader(at, box)
    close = points[((points >= line.min(axis=0) - 2) & (points <= line.max(axis=0) + 2)).all(axis=1)]
    gaps = np.hypot(*(line[:, None] - close).T).min(axis=0, initial=np.inf)
    crossed = np.count_nonzero(gaps < 2)
    struck = sum(_holds(other, line).any() for other in taken)
    return float(1000 * clashes + 500 * (not inside) + 300 * struck + covered + 3 * crossed)


def _holds(box: Bbox, points: Points) -> NDArray[np.bool_]:
    within = (points >= box.min) & (points <= box.max)
    return within[:, 0] & within[:, 1]


def _weight(near: tuple[Points, Counts], box: Bbox) -> int:
    points, weights = near
    return int(weights[_holds(box, points)].sum())


def _leader(at: Points, box: Bbox) -> Points:
    """Give the visible part of the line from a point to its label, in pixels (14, 2)."""
    line: Points = np.linspace(at, np.clip(at, box.min, box.max), 20)[6:]
    return line
