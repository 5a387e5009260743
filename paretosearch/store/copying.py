"""Copies one study to another store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from paretosearch.errors import StoreError
from paretosearch.store import queries
from paretosearch.store.store import Store
from paretosearch.store.tables import (
    AttemptRow,
    Base,
    DeviceRow,
    EpochRow,
    FrontEventRow,
    PhaseRow,
    StopDecisionRow,
    StudyRow,
    SurgeryRow,
)

#: What belongs to an attempt.
_PARTS: tuple[type[Base], ...] = (EpochRow, SurgeryRow, PhaseRow, StopDecisionRow)


def copy_rows(source: Store, target: Store, study: str) -> int:
    """Copy what our tables hold of a study; attempts that have not ended are left out.

    Args:
        source: Where it is; it stays as it is.
        target: Where to.
        study: Its name.

    Returns:
        How many attempts were copied.

    Raises:
        StoreError: If there is no such study, or the target has one of that name.
    """
    with source.reading() as old, target.writing() as new:
        queries.require_study(old, study)
        if new.get(StudyRow, study) is not None:
            raise StoreError(f"there is a study {study!r} already; choose another database")
        _copy(old, new, StudyRow, StudyRow.name == study)
        ended = AttemptRow.study == study, AttemptRow.outcome.is_not(None)
        attempts = old.scalars(select(AttemptRow).where(*ended).order_by(AttemptRow.id)).all()
        _copy_devices(old, new, {row.device for row in attempts})
        ids = {row.id: _added(new, row) for row in attempts}
        for part in _PARTS:
            of_them = part.attempt.in_(select(AttemptRow.id).where(*ended))  # type: ignore[attr-defined]  # each has one
            found = old.scalars(select(part).where(of_them))
            _insert(new, part, ({**_plain(row), "attempt": ids[row.attempt]} for row in found))  # type: ignore[attr-defined]
        _copy(old, new, FrontEventRow, FrontEventRow.study == study, leave_out=("id",))
        return len(ids)


def _copy_devices(old: Session, new: Session, uuids: set[str]) -> None:
    known = set(new.scalars(select(DeviceRow.uuid)))
    _copy(old, new, DeviceRow, DeviceRow.uuid.in_(uuids - known))


def _added(new: Session, row: AttemptRow) -> int:
    """Add an attempt, which gets a number of its own."""
    values = {name: value for name, value in _plain(row).items() if name != "id"}
    made = new.execute(insert(AttemptRow).values(**values).returning(AttemptRow.id))
    return made.scalar_one()


def _copy(old: Session, new: Session, table: type[Base], where: Any, leave_out: Iterable[str] = ()) -> None:
    found = old.scalars(select(table).where(where))
    left = set(leave_out)
    _insert(new, table, ({name: v for name, v in _plain(row).items() if name not in left} for row in found))


def _insert(new: Session, table: type[Base], rows: Iterable[Mapping[str, Any]]) -> None:
    made = list(rows)
    if made:
        new.execute(insert(table), made)


def _plain(row: Base) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}
