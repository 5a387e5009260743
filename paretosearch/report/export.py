"""Writes what a thesis needs of a study into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from paretosearch.errors import UsageError
from paretosearch.files import replacing
from paretosearch.report.cells import flat_recipe, write_csv
from paretosearch.report.confirmation import confirmed_figure, confirmed_rows
from paretosearch.report.findings import Findings, findings
from paretosearch.report.html import page
from paretosearch.report.panels import axes_figure
from paretosearch.report.plots import Curve, curves_figure, front_figure, hypervolume_figure
from paretosearch.report.reading import evenly
from paretosearch.report.replicates import replicates, replicates_figure, replicates_rows
from paretosearch.report.style import save
from paretosearch.report.tables import front_csv
from paretosearch.store import AttemptRecord, Store

#: More curves behind a front are a grey cloud.
MOST_CURVES = 80


def export(store: Store, study: str, out: Path, device_class: str | None = None) -> tuple[Path, ...]:
    """Write the plots and tables of a study.

    Args:
        store: Where the study is kept.
        study: Its name.
        out: The folder, made if it is missing; files of the same names are replaced, each as a whole.
        device_class: Whose times to show; the study's own if None.

    Returns:
        The files.

    Raises:
        UsageError: If no trial is complete, or the folder cannot be written.
        StoreError: If there is no such study.
    """
    found = findings(store, study, device_class)
    try:
        out.mkdir(parents=True, exist_ok=True)
        return (*_figures(found, out), *_tables(found, out), _page(found, out / "front.html"))
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}; name another folder by --out") from None


def _figures(found: Findings, out: Path) -> Iterator[Path]:
    note = "first results; for their repeats see confirmed" if found.is_confirmed else "single trainings, not confirmed"
    yield from save(front_figure(found.front, evenly(list(found.curves.values()), MOST_CURVES), note), out / "front")
    if found.is_confirmed:
        yield from save(confirmed_figure(found.estimates), out / "confirmed")
    if found.growth:
        drawn = hypervolume_figure(found.growth, found.device_seconds, found.front.reference)
        yield from save(drawn, out / "hypervolume")
    curves = [Curve(point, found.epochs[point.trial]) for point in found.front.points if found.epochs[point.trial]]
    if curves:
        yield from save(curves_figure(curves), out / "learning_curves")
    if found.axes:
        yield from save(axes_figure(found.front, found.axes), out / "axes")
    if groups := replicates(found.front):
        yield from save(replicates_figure(groups, found.axes), out / "replicates")


def _tables(found: Findings, out: Path) -> tuple[Path, ...]:
    front, trials = out / "front.csv", out / "trials.csv"
    front_csv(found.front, front)
    members = {point.attempt for point in found.front.points}
    write_csv([_attempt_row(attempt, attempt.id in members) for attempt in found.attempts], trials)
    more = []
    if groups := replicates(found.front):
        more.append(out / "replicates.csv")
        write_csv(replicates_rows(groups, found.axes), more[-1])
    if found.is_confirmed:
        more.append(out / "confirmed.csv")
        write_csv(confirmed_rows(found.estimates, found.axes), more[-1])
    return front, trials, *more


def _attempt_row(attempt: AttemptRecord, on_front: bool) -> dict[str, Any]:
    values = {f.name: getattr(attempt, f.name) for f in fields(attempt) if f.name not in ("study", "recipe", "detail")}
    moments = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
    return {"trial": attempt.trial, "on_front": on_front, **values, **moments, **flat_recipe(attempt.recipe)}


def _page(found: Findings, path: Path) -> Path:
    with replacing(path) as file:
        file.write(page(found).encode())
    return path
