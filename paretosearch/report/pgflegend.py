"""The legend of a figure as that of PGFPlots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from paretosearch.report.latex import escaped
from paretosearch.report.pgfmarks import look_of


def legend_option(legend: Legend, axes: Axes) -> str:
    """Put the legend where it is, as seen from the first panel."""
    box: Bbox = legend.get_window_extent()
    x, y = (box.x0 - axes.bbox.x0) / axes.bbox.width, (box.y1 - axes.bbox.y0) / axes.bbox.height
    return f"legend columns={legend._ncols}, legend style={{at={{({x:.4f},{y:.4f})}}, anchor=north west}}"  # type: ignore[attr-defined]  # it has no door


def entries(legend: Legend) -> Iterator[str]:
    """Give the entries of a legend, in the order of PGFPlots."""
    columns = legend._ncols  # type: ignore[attr-defined]  # it has no door
    shown = list(zip(legend.legend_handles, legend.get_texts(), strict=True))
    rows = -(-len(shown) // columns)
    starts = np.cumsum([0, *(len(range(column, len(shown), columns)) for column in range(columns))])
    for row in range(rows):  # matplotlib fills columns, PGFPlots rows
        for column in range(columns):
            if starts[column] + row < starts[column + 1]:
                handle, text = shown[starts[column] + row]
                assert isinstance(handle, Line2D)
                yield f"\\addlegendimage{{{look_of(handle)}}}\\addlegendentry{{{escaped(text.get_text())}}}"
