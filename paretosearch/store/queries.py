"""What the store asks of the database inside a transaction."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from paretosearch.errors import StoreError, suggest
from paretosearch.outcome import FailureClass
from paretosearch.store.records import Counts
from paretosearch.store.tables import AttemptRow, Base, StudyRow

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def read(session: Session, kind: type[T], table: type[Base], *where: ColumnElement[bool], order: Any) -> tuple[T, ...]:
    """Read rows as values whose fields are called like the columns.

    Args:
        session: The transaction.
        kind: Class of the values.
        table: Where the rows are.
        where: Conditions that all hold.
        order: Column to sort by.

    Returns:
        One value a row.
    """
    rows = session.execute(select(*columns_of(kind, table)).where(*where).order_by(order))
    return tuple(kind(*row) for row in rows)


def columns_of(kind: type[DataclassInstance], table: type[Base]) -> list[Any]:
    """Give the columns of a table that are called like the fields of a value, in their order."""
    return [getattr(table, field.name) for field in fields(kind)]


def require_study(session: Session, name: str, lock: bool = False) -> StudyRow:
    """Find a study.

    Args:
        session: The transaction.
        name: Name of the study.
        lock: Whether to hold off other writers of the study until the transaction ends; SQLite has one writer anyway.

    Returns:
        Its row.

    Raises:
        StoreError: If there is none.
    """
    row = session.get(StudyRow, name, with_for_update=lock)
    if row is None:
        names = session.scalars(select(StudyRow.name).order_by(StudyRow.name)).all()
        raise StoreError(f"the store has no study {name!r}" + (suggest(name, names) if names else ", nor any other"))
    return row


def results(study: str, device_class: str) -> tuple[ColumnElement[bool], ...]:
    """Say which attempts gave the results of a study on a class of device."""
    return AttemptRow.counts.is_(True), AttemptRow.study == study, AttemptRow.device_class == device_class


def has_result(session: Session, attempt: AttemptRow) -> bool:
    """Say whether the trial of an attempt has a result on its class of device already."""
    same_trial = AttemptRow.trial == attempt.trial
    known = select(AttemptRow.id).where(*results(attempt.study, attempt.device_class), same_trial)
    return session.scalar(known) is not None


def next_number(session: Session, study: str, trial: int) -> int:
    """Number the next attempt of a trial, from 1."""
    last = select(func.max(AttemptRow.number)).where(AttemptRow.study == study, AttemptRow.trial == trial)
    return (session.scalar(last) or 0) + 1


def spent(session: Session, study: str) -> float:
    """Add up the seconds that the ended attempts of a study kept their devices."""
    return session.scalar(select(func.sum(AttemptRow.device_seconds)).where(AttemptRow.study == study)) or 0.0


def count(session: Session, study: str) -> Counts:
    """Count the trials of a study by how they ended, and its failed attempts by class."""
    columns = AttemptRow.trial, AttemptRow.outcome, AttemptRow.failure
    rows = session.execute(select(*columns).where(AttemptRow.study == study).order_by(AttemptRow.id)).all()
    state: dict[int, str] = {}
    for trial, outcome, _ in rows:
        if state.get(trial) != "complete":
            state[trial] = outcome or "running"
    states = Counter(state.values())
    failures = Counter(cast(FailureClass, failure) for _, outcome, failure in rows if outcome == "failed")
    return Counts(states["complete"], states["failed"], states["running"], states["stopped"], dict(failures))
