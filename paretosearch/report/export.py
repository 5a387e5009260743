"""Writes what a thesis needs of a study into a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from paretosearch.report.booktabs import confirmed_tabular, front_tabular
from paretosearch.report.cells import flat_recipe, write_csv
from paretosearch.report.classplots import fronts_figure
from paretosearch.report.classtables import fronts_tabular
from paretosearch.report.confirmation import confirmed_figure, confirmed_rows
from paretosearch.report.effectplots import effects_figure
from paretosearch.report.effects import SAMPLER, Effect, by_worth, effects, effects_rows
from paretosearch.report.findings import Findings, findings
from paretosearch.report.folder import write_figures, write_tabular, write_text, writing_to
from paretosearch.report.growthplots import hypervolume_figure
from paretosearch.report.html import page
from paretosearch.report.look import PAPER, Look
from paretosearch.report.networks import Shaped, channels_figure
from paretosearch.report.origin import PROVENANCE
from paretosearch.report.panels import axes_figures
from paretosearch.report.plots import Curve, curves_figure, front_figure
from paretosearch.report.provenance import provenance
from paretosearch.report.replicates import every_recipe, replicates, replicates_figure, replicates_rows
from paretosearch.report.shareplots import shares_figure, shares_tabular
from paretosearch.report.shares import SAMPLER as LISTED
from paretosearch.report.shares import Line, lines, shares_rows
from paretosearch.report.simulated import names_of, simulated
from paretosearch.report.tables import points_csv
from paretosearch.store import AttemptRecord, Point, Store


def export(
    store: Store, study: str, out: Path, device_class: str | None = None, look: Look = PAPER
) -> tuple[Path, ...]:
    """Write the plots and tables of a study.

    Args:
        store: Where the study is kept.
        study: Its name.
        out: The folder, made if it is missing; files of the same names are replaced, each as a whole.
        device_class: Whose times to show; the study's own if None.
        look: What the figures are made for.

    Returns:
        The files.

    Raises:
        UsageError: If no trial is complete, or the folder cannot be written or has files of another study.
        StoreError: If there is no such study.
    """
    found = findings(store, study, device_class)
    with writing_to(out, study):
        return (*write_figures(_figures(found, look), out, look), *_tables(found, out), *_texts(found, out, look))


def written_lines(files: Sequence[Path], out: Path, standing: str) -> Iterator[str]:
    """Say in short what was written, what to open first, and what the points are worth.

    Args:
        files: What `export` gave.
        out: The folder.
        standing: How much of the front is confirmed.
    """
    yield f"{len(files)} files are in {out}/: figures as PDF, SVG, PNG and LaTeX, tables as LaTeX and CSV"
    yield f"open {out / 'front.html'} in a browser, or {out / 'front.pdf'}; PROVENANCE.md says where all is from"
    way = "" if standing == "confirmed" else "; paretosearch confirm repeats what may be on the front"
    yield f"{standing}{way}"


def _figures(found: Findings, look: Look) -> Iterator[tuple[str, Figure]]:
    """Draw what there is to draw, under the name of its files."""
    note = _note(found, look)
    if found.others:
        yield "front", fronts_figure(found.classes, found.changes, note, look=look)
    else:
        yield "front", front_figure(found.front, found.changes, note, look=look)
    yield from _figures_of_repeats(found, look)
    if grown := [of_class for of_class in found.classes if of_class.growth]:
        yield "hypervolume", hypervolume_figure(grown, found.device_seconds, look=look)
    curves = [Curve(point, found.epochs[point.trial]) for point in found.front.points if found.epochs[point.trial]]
    if curves:
        yield "learning_curves", curves_figure(curves, look=look)
    if shaped := [_shape(found, point) for point in found.shaped if found.epochs[point.trial]]:
        yield "channels", channels_figure(shaped, look=look)
    for number, figure in enumerate(axes_figures(found.front, found.axes, look=look), 1):
        yield "axes" if number == 1 else f"axes_{number}", figure


def _figures_of_repeats(found: Findings, look: Look) -> Iterator[tuple[str, Figure]]:
    if found.is_confirmed:
        yield "confirmed", confirmed_figure(found.estimates, found.changes, look=look)
    if groups := replicates(found.front):
        yield "replicates", replicates_figure(groups, found.axes, look=look)
    if changes := _effects(found):
        yield "effects", effects_figure(changes, look=look)
    if found_lines := _lines(found):
        yield "shares", shares_figure(found_lines, look=look)


def _effects(found: Findings) -> Sequence[Effect]:
    """Give what each change does, of a study that is made of changes, the best first."""
    return by_worth(effects(every_recipe(found.front), found.axes)) if found.record.sampler == SAMPLER else ()


def _lines(found: Findings) -> Sequence[Line]:
    """Give how accuracy follows the share of the images, of a study that has every share with everything else."""
    return lines(every_recipe(found.front), found.axes) if found.record.sampler == LISTED else ()


def _note(found: Findings, look: Look) -> str:
    """Say what the points of the front's figure are worth."""
    said = look.say("first results, before repeats" if found.is_confirmed else "single trainings, not confirmed")
    points = [p for of_class in found.classes for p in (*of_class.front.points, *of_class.front.dominated)]
    if not (names := names_of(points)):
        return said
    more = look.say("simulated: {names}", names=", ".join(names))
    return f"{said}; {more}\n" if found.others else f"{said}\n{more}"  # panels have names on their last line


def _shape(found: Findings, point: Point) -> Shaped:
    return Shaped(point, found.surgeries[point.trial], found.epochs[point.trial])


def _tables(found: Findings, out: Path) -> tuple[Path, ...]:
    front, trials = out / "front.csv", out / "trials.csv"
    points = [point for of_class in found.classes for point in of_class.front.points]
    points_csv(points, front)
    members = {point.attempt for point in points}
    write_csv([_attempt_row(attempt, attempt.id in members) for attempt in found.attempts], trials)
    more = []
    if groups := replicates(found.front):
        more.append(out / "replicates.csv")
        write_csv(replicates_rows(groups, found.axes), more[-1])
    if changes := _effects(found):
        more.append(out / "effects.csv")
        write_csv(list(effects_rows(changes)), more[-1])
    if found_lines := _lines(found):
        more.append(out / "shares.csv")
        write_csv(list(shares_rows(found_lines)), more[-1])
    if found.is_confirmed:
        more.append(out / "confirmed.csv")
        write_csv(confirmed_rows(found.estimates, found.axes), more[-1])
    return front, trials, *more


def _texts(found: Findings, out: Path, look: Look) -> Iterator[Path]:
    front = fronts_tabular(found, look) if found.others else front_tabular(found, look)
    yield write_tabular(front, "front_table", out, look)
    if found.is_confirmed:
        yield write_tabular(confirmed_tabular(found, look), "confirmed_table", out, look)
    if found_lines := _lines(found):
        yield write_tabular(shares_tabular(found, found_lines, look), "shares_table", out, look)
    yield write_text(out / "front.html", page(found, look))
    yield write_text(out / PROVENANCE, provenance(found, look))


#: What no row of `trials.csv` needs, or says in other columns.
_LEFT_OUT = ("study", "recipe", "detail", "by_integers")


def _attempt_row(attempt: AttemptRecord, on_front: bool) -> dict[str, Any]:
    values = {f.name: getattr(attempt, f.name) for f in fields(attempt) if f.name not in _LEFT_OUT}
    moments = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
    said = {**values, **moments, "simulated": " ".join(simulated(attempt))}
    return {"trial": attempt.trial, "on_front": on_front, **said, **flat_recipe(attempt.recipe)}
