"""The fronts that the database computes, now and in the past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from paretosearch.store.front import Front, Point, assemble, hypervolume, reference_beyond, reference_of
from paretosearch.store.queries import columns_of, results, spent
from paretosearch.store.records import FrontChange
from paretosearch.store.tables import FRONT_VIEW, AttemptRow, FrontEventRow


def read_front(session: Session, study: str, device_class: str) -> Front:
    """Read the front of a study on a class of device, in one statement: that sees one state of the database."""
    members = _of_view(study, device_class, FRONT_VIEW.c.attempt)
    columns = (*columns_of(Point, AttemptRow), AttemptRow.id.in_(members))
    rows = session.execute(select(*columns).where(*results(study, device_class)).order_by(AttemptRow.trial)).all()
    points = [Point(*row[:-1]) for row in rows]
    on_front = {point.trial for point, row in zip(points, rows, strict=True) if row[-1]}
    return assemble(points, on_front, reference_of(points))


def record_change(session: Session, study: str, trial: int, device_class: str) -> FrontChange:
    """Write who entered and who left a front since this was written last.

    Args:
        session: A transaction that no other writer of the study overlaps.
        study: Name of the study.
        trial: Number of the trial whose result is new.
        device_class: Class of device of the front.

    Returns:
        What the trial has done to the front, now or when this was called for it first.
    """
    now = _objectives_on_front(session, study, device_class)
    reference = reference_beyond(_slowest(session, study, device_class))
    area = hypervolume(list(now.values()), reference)
    before = _recorded_members(session, study, device_class)
    changes = [(t, "left") for t in sorted(before - now.keys())]
    changes += [(t, "entered") for t in sorted(now.keys() - before)]
    common = {
        "study": study,
        "device_class": device_class,
        "cause": trial,
        "hypervolume": area,
        "reference_seconds": reference[0],
        "device_seconds": spent(session, study),
        "moment": datetime.now(UTC),
    }
    session.add_all(FrontEventRow(trial=t, kind=kind, **common) for t, kind in changes)
    caused = _changes(session, study, device_class, trial)
    left = tuple(t for t, kind in caused if kind == "left")
    return FrontChange((trial, "entered") in caused, left, area, len(now))


def _of_view(study: str, device_class: str, *columns: Any) -> Select[Any]:
    return select(*columns).where(FRONT_VIEW.c.study == study, FRONT_VIEW.c.device_class == device_class)


def _objectives_on_front(session: Session, study: str, device_class: str) -> dict[int, tuple[float, float]]:
    c = FRONT_VIEW.c
    rows = session.execute(_of_view(study, device_class, c.trial, c.train_seconds, c.accuracy))
    return {trial: (seconds, accuracy) for trial, seconds, accuracy in rows}


def _slowest(session: Session, study: str, device_class: str) -> float:
    return session.scalar(select(func.max(AttemptRow.train_seconds)).where(*results(study, device_class))) or 0.0


def _recorded_members(session: Session, study: str, device_class: str) -> set[int]:
    last = dict(_changes(session, study, device_class))
    return {trial for trial, kind in last.items() if kind == "entered"}


def _changes(session: Session, study: str, device_class: str, cause: int | None = None) -> list[tuple[int, str]]:
    """Give who entered or left a front, in order; only because of one trial if it is named."""
    row = FrontEventRow
    query = select(row.trial, row.kind).where(row.study == study, row.device_class == device_class).order_by(row.id)
    found = session.execute(query if cause is None else query.where(row.cause == cause))
    return [(trial, kind) for trial, kind in found]
