"""The front of a study as a value to work with in Python, which a notebook shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from paretosearch.errors import UsageError
from paretosearch.report.cells import flat_recipe
from paretosearch.report.classes import fronts_of
from paretosearch.report.reading import evenly
from paretosearch.report.tables import measures
from paretosearch.report.words import axis_value, counted, seconds_text, titles, value_text
from paretosearch.store import Front, Point, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Rows of a table that somebody reads between two cells of a notebook.
MOST_ROWS = 30


@dataclass(frozen=True, repr=False)
class StudyFront(Front):
    """The best trade-offs of a study, with what it takes to name, draw and tabulate them.

    Iterating gives the points of the front, fastest first; ``front[-1]`` is the most accurate.

    Args:
        points: See `Front`.
        dominated: See `Front`.
        reference: See `Front`.
        hypervolume: See `Front`.
        study: Name of the study.
        axes: The searched fields and ``method.parameter`` names.
        device_class: What the seconds were measured on.
        fronts: The front on every class of device that has results, by class, the study's own first.
    """

    study: str
    axes: tuple[str, ...]
    device_class: str
    fronts: Mapping[str, Front] = field(default_factory=dict)

    @property
    def device_classes(self) -> tuple[str, ...]:
        """Classes of device on which the study has results, its own first."""
        return tuple(self.fronts)

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __getitem__(self, number: int) -> Point:
        return self.points[number]

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def _title(self) -> str:
        trials = counted(len(self.points) + len(self.dominated), "complete trial")
        return f"front of study {self.study!r} on {self.device_class}: {len(self.points)} of {trials}"

    def to_dataframe(self, dominated: bool = False) -> Any:
        """Give the front as a data frame of pandas.

        Args:
            dominated: Whether to have all complete trials, with a column ``on_front``.

        Returns:
            A row for each point, fastest first: its measures, and its Recipe field by field, as in ``front.csv``.

        Raises:
            UsageError: If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise UsageError("a data frame needs pandas: pip install 'paretosearch[pandas]'") from None
        rows = [self._row(point, dominated) for point in self.points]
        if dominated:
            rows += [{**self._row(point, dominated), "on_front": False} for point in self.dominated]
            rows.sort(key=lambda row: (row["train_seconds"], row["trial"]))
        return pd.DataFrame(rows)

    def _row(self, point: Point, dominated: bool) -> dict[str, Any]:
        return {**measures(point), **({"on_front": True} if dominated else {}), **flat_recipe(point.recipe)}

    def plot(self) -> Figure:
        """Draw the front over the dominated trials, as ``export`` does.

        Returns:
            A figure of matplotlib, outside pyplot, to be shown or saved.

        Raises:
            UsageError: If no trial is complete yet.
        """
        if not self.points:
            raise UsageError(f"study {self.study!r} has no complete trial yet, so there is no front to draw")
        from paretosearch.report.plots import front_figure  # which imports matplotlib

        figure = front_figure(self)
        # A notebook knows how to show a figure only after pyplot was imported.
        figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
        return figure

    def _repr_html_(self) -> str:
        title = f"<p>{escape(self._title())}</p>"
        if not self.points:
            return title
        picture = base64.b64encode(_png(self.plot())).decode()
        image = f'<img alt="the front" style="max-width: 100%; width: 590px" src="data:image/png;base64,{picture}">'
        hidden = len(self.points) - MOST_ROWS
        more = f"<p>{hidden} more between these</p>" if hidden > 0 else ""
        return f"<div>{title}{image}{_table(evenly(self.points, MOST_ROWS), self.axes)}{more}</div>"


def study_front(store: Store, study: str, device_class: str | None = None) -> StudyFront:
    """Read the front of a study.

    Args:
        store: Where it is kept.
        study: Its name.
        device_class: Class of devices; None is the study's own.

    Returns:
        The front.

    Raises:
        StoreError: If there is no such study.
    """
    front, record = store.front(study, device_class), store.study(study)
    assert record is not None
    axes = tuple(record.space.get("declared", {}).get("axes", ()))
    of_class = device_class or record.device_class
    return StudyFront(**vars(front), study=study, axes=axes, device_class=of_class, fronts=fronts_of(store, study))


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _table(points: Sequence[Point], axes: Sequence[str]) -> str:
    heads = ["trial", "seconds", "accuracy", *titles(axes).values()]
    rows = (_row("td", _cells(point, axes)) for point in points)
    return f"<table>{_row('th', heads)}{''.join(rows)}</table>"


def _cells(point: Point, axes: Sequence[str]) -> list[str]:
    seconds = f"{'~' if point.noisy else ''}{seconds_text(point.train_seconds)}"
    values = (value_text(axis_value(point.recipe, axis)) for axis in axes)
    return [str(point.trial), seconds, f"{100 * point.accuracy:.2f} %", *values]


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
