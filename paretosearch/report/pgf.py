"""Turns a figure into a picture of PGFPlots, with its numbers in files of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from paretosearch.report.joins import ends_of, joins_of
from paretosearch.report.labels import Points
from paretosearch.report.latex import commented, escaped
from paretosearch.report.pgflegend import entries, legend_option
from paretosearch.report.pgfmarks import DASHES, look_of
from paretosearch.report.style import settle, styled


@dataclass(frozen=True)
class Picture:
    """A figure for LaTeX.

    Args:
        tex: The ``tikzpicture``.
        data: Texts of the tables that it reads, by the name of their file.
    """

    tex: str
    data: dict[str, str]


@styled
def picture(figure: Figure, name: str) -> Picture:
    r"""Turn a figure into LaTeX: what `plots` and its neighbours draw with, not all that matplotlib can.

    Args:
        figure: What to turn; lines, marks, intervals, labels and legend keep their places.
        name: What its tables are called, without suffix.

    Returns:
        The picture, as wide as ``\paretosearchwidth``.
    """
    settle(figure)
    figure.draw_without_rendering()  # a file of another resolution has left other places of labels behind
    panels = [axes for axes in figure.axes if axes.get_visible()]
    names = [f"{name}.dat" if len(panels) == 1 else f"{name}-{i}.dat" for i in range(1, len(panels) + 1)]
    drawn = [_Panel(axes, figure, table) for axes, table in zip(panels, names, strict=True)]
    first = figure.legends[0] if figure.legends else None
    bodies = [panel.tex(None if i else first) for i, panel in enumerate(drawn)]
    size = f"\\useasboundingbox (0,0) rectangle (\\paretosearchwidth,{_share(figure.bbox.height, figure)});"
    lines = ["\\begin{tikzpicture}", "\\pgfplotsset{table/search path={.,\\CurrentFilePath}}", size]
    bodies = [*_joins(figure), *bodies]
    colours = sorted({colour for body in bodies for colour in _colours(body)})
    lines += [f"\\definecolor{{ps{colour}}}{{HTML}}{{{colour}}}" for colour in colours]
    tex = "\n".join([*lines, *bodies, "\\end{tikzpicture}"])
    return Picture(tex, {panel.table: panel.data() for panel in drawn})


def _share(pixels: float, figure: Figure) -> str:
    return f"{pixels / figure.bbox.width:.4f}\\paretosearchwidth"


@dataclass(frozen=True)
class _Panel:
    """One pair of axes, and the table that its plots read."""

    axes: Axes
    figure: Figure
    table: str

    def tex(self, legend: Legend | None) -> str:
        box = self.axes.bbox
        at = f"at={{({_share(box.x0, self.figure)},{_share(box.y0, self.figure)})}}, anchor=south west"
        size = f"width={_share(box.width, self.figure)}, height={_share(box.height, self.figure)}"
        options = [at, size, *_scale(self.axes.xaxis, "x"), *_scale(self.axes.yaxis, "y")]
        options += [legend_option(legend, self.axes)] if legend else []
        plots = [self._plot(number, series) for number, series in enumerate(self._series, 1)]
        listed = entries(legend) if legend else []
        body = [*plots, *listed, *_labels(self.axes), *_title(self.axes)]
        head = ",\n  ".join(["paretosearch", *options])
        return "\n".join([f"\\begin{{axis}}[{head}]", *body, "\\end{axis}"])

    def data(self) -> str:
        """Write all that the plots show: a row a point, and behind intervals half of their widths."""
        x, y = (label.replace("\n", " ") for label in (self.axes.get_xlabel(), self.axes.get_ylabel()))
        lines = [f"# x: {commented(x)}; y: {commented(y)}", "series x y dx dy"]
        for number, series in enumerate(self._series, 1):
            if series.name:
                lines.append(f"# series {number}: {commented(series.name)}")
            lines += [f"{number} " + " ".join(f"{value:.10g}" for value in row) for row in series.rows]
        return "\n".join(lines) + "\n"

    @property
    def _series(self) -> list[_Series]:
        bars = [container for container in self.axes.containers if isinstance(container, ErrorbarContainer)]
        parts = {id(line) for data, caps, _ in bars for line in (data, *caps)}
        lines = [line for line in self.axes.lines if id(line) not in parts and np.size(line.get_xdata())]
        ordered = sorted(lines, key=lambda line: line.zorder)
        return [*_intervals(bars, self.axes), *(_Series.of(line) for line in ordered)]

    def _plot(self, number: int, series: _Series) -> str:
        chosen = f"restrict expr to domain={{\\thisrow{{series}}}}{{{number}:{number}}}"
        source = f"table[x=x, y=y{series.columns}] {{{self.table}}};"
        return f"\\addplot[forget plot, {series.look}, {chosen}] {source}" + f" % {commented(series.name)}" * bool(
            series.name
        )


@dataclass(frozen=True)
class _Series:
    r"""What one ``\addplot`` draws.

    Args:
        look: Its options.
        rows: Coordinates, and half widths of intervals (N, 4).
        name: What it shows.
        columns: More columns to read.
    """

    look: str
    rows: Points
    name: str = ""
    columns: str = ""

    @classmethod
    def of(cls, line: Line2D) -> _Series:
        points = np.asarray(line.get_xydata(), dtype=float)
        name = str(line.get_label())
        rows = np.concatenate([points, np.zeros_like(points)], axis=1)
        return cls(look_of(line), rows, "" if name.startswith("_") else name)


def _intervals(bars: Sequence[ErrorbarContainer], axes: Axes) -> list[_Series]:
    """Gather crosses of intervals by their colour; of one value there is no interval."""
    by_colour: dict[str, list[list[float]]] = {}
    least = [_least(axis) for axis in (axes.xaxis, axes.yaxis)]
    for _, _, spans in bars:
        segments = [segment for span in spans for segment in span.get_segments()]
        if not segments:
            continue
        ends = np.maximum(np.concatenate(segments), least)
        low, high = ends.min(axis=0), ends.max(axis=0)
        colour = f"ps{to_hex(spans[0].get_color()[0])[1:].upper()}"
        by_colour.setdefault(colour, []).append([*((low + high) / 2), *((high - low) / 2)])
    columns = ", x error=dx, y error=dy"
    return [_Series(_crosses(colour), np.array(rows), "intervals", columns) for colour, rows in by_colour.items()]


def _least(axis: Axis) -> float:
    """Say where intervals are cut: PGFPlots leaves out an end that has no logarithm."""
    return float(min(axis.get_view_interval())) if axis.get_scale() == "log" else -np.inf


def _crosses(colour: str) -> str:
    bars = (
        f"error bar style={{{colour}, line width=0.6pt}}, error mark options={{{colour}, rotate=90, mark size=1.5pt}}"
    )
    both = "x dir=both, x explicit, y dir=both, y explicit"
    return f"only marks, mark=|, mark size=0pt, {colour}, error bars/.cd, {both}, {bars}, /pgfplots/.cd"


def _scale(axis: Axis, which: str) -> Iterator[str]:
    low, high = axis.get_view_interval()
    if axis.get_scale() == "log":
        yield f"{which}mode=log"
    if low > high:
        yield f"{which} dir=reverse"
    yield f"{which}min={min(low, high):.8g}, {which}max={max(low, high):.8g}"
    if axis.get_scale() == "linear":  # what lies many views away is more than TeX can count
        span = abs(high - low)
        yield f"restrict {which} to domain*={min(low, high) - span:.8g}:{max(low, high) + span:.8g}"
    within = [tick for tick in axis.get_majorticklocs() if min(low, high) <= tick <= max(low, high)]
    yield f"{which}tick={{{','.join(f'{tick:.10g}' for tick in within)}}}"
    written = _ticks(axis, within)
    yield f"{which}ticklabels={{{','.join(written)}}}"
    if not any(line.get_visible() for line in axis.get_gridlines()):
        yield f"{which}majorgrids=false"
    if any(tick.label1.get_rotation() for tick in axis.get_major_ticks()):
        yield f"{which} tick label style={{rotate=30, anchor=north east, inner sep=1pt}}"
    minor = [tick for tick in axis.get_minorticklocs() if min(low, high) <= tick <= max(low, high)]
    yield f"minor {which}tick={{{','.join(f'{tick:.10g}' for tick in minor)}}}"
    if label := axis.get_label_text():
        yield f"{which}label={{{escaped(label)}}}"
        if which == "x":
            yield f"xlabel style={{at={{(axis description cs:0.5,{_below(axis):.4f})}}, anchor=north}}"


def _below(axis: Axis) -> float:
    """Say where the label of an x axis begins, in heights of the panel: those of a row stand in line."""
    box = axis.axes.bbox
    return float((axis.label.get_window_extent().y1 - box.y0) / box.height)


def _ticks(axis: Axis, places: Sequence[float]) -> list[str]:
    if not any(tick.label1.get_visible() for tick in axis.get_major_ticks()):
        return []
    texts = axis.get_major_formatter().format_ticks(list(places))
    return [escaped(text) if not text.startswith("\n") else rf"\strut{escaped(text)}" for text in texts]


def _labels(axes: Axes) -> Iterator[str]:
    for number, note in enumerate(text for text in axes.texts if isinstance(text, Annotation)):
        (x, y), (right, up) = note.xy, note.get_position()
        point = f"axis cs:{x:.10g},{y:.10g}"
        side = {"left": "west", "right": "east", "center": ""}[note.get_horizontalalignment()]
        edge = {"top": "north", "bottom": "south", "center": ""}[note.get_verticalalignment()]
        anchor = f"{edge} {side}".strip() or "center"
        align = {"left": "left", "right": "right", "center": "center"}[note.get_horizontalalignment()]
        shift = f"shift={{({right:.2f}pt,{up:.2f}pt)}}"
        options = f"paretosearch label, anchor={anchor}, align={align}"
        yield f"\\node[{options}] (paretosearch-{number}) at ([{shift}]{point}) {{{escaped(note.get_text())}}};"
        yield f"\\draw[paretosearch line] (paretosearch-{number}) -- ({point});"


def _title(axes: Axes) -> Iterator[str]:
    titles = axes.get_title(loc="left"), axes.get_title(loc="right")
    for x, (title, anchor) in enumerate(zip(titles, ("south west", "south east, black!55"), strict=True)):
        if title.strip():
            node = f"\\node[paretosearch label, align=left, anchor={anchor}]"
            text = escaped(title) + r"\strut"  # or a line without letters had no height, and one without a g no depth
            yield f"{node} at ([yshift=1pt]rel axis cs:{x},1) {{{text}}};"


def _joins(figure: Figure) -> Iterator[str]:
    """Draw lines between panels, by their places in the picture: before the panels, and so below them."""
    for made in joins_of(figure):
        start, end = (",".join(_share(pixels, figure) for pixels in place) for place in ends_of(made))
        colour = f"ps{to_hex(made.get_edgecolor())[1:].upper()}"
        drawn = f"{colour}, {DASHES[str(made.get_linestyle())]}, line width={made.get_linewidth():g}pt"
        yield f"\\draw[{drawn}] ({start}) -- ({end}); % {commented(str(made.get_label()))}"


def _colours(body: str) -> set[str]:
    return set(re.findall(r"\bps([0-9A-F]{6})\b", body))
