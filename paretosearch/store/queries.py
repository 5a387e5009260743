"""What the store asks of the database inside a transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from paretosearch.errors import StoreError, suggest
from paretosearch.outcome import FailureClass, Purpose, Status, SurgeryResult
from paretosearch.store.records import Counts, StopDecision
from paretosearch.store.settled import is_given_up
from paretosearch.store.tables import AttemptRow, Base, EpochRow, PhaseRow, StopDecisionRow, StudyRow, SurgeryRow

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
T_Row = TypeVar("T_Row", bound=Base)


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


def repeats(study: str, device_class: str) -> tuple[ColumnElement[bool], ...]:
    """Say which attempts repeated a result of a study on a class of device."""
    of_class = AttemptRow.study == study, AttemptRow.device_class == device_class
    return *of_class, AttemptRow.purpose == "confirm", AttemptRow.outcome == "complete"


def has_result(session: Session, attempt: AttemptRow) -> bool:
    """Say whether the trial of an attempt has a result on its class of device already."""
    same_trial = AttemptRow.trial == attempt.trial
    known = select(AttemptRow.id).where(*results(attempt.study, attempt.device_class), same_trial)
    return session.scalar(known) is not None


def next_number(session: Session, study: str, trial: int) -> int:
    """Number the next attempt of a trial, from 1."""
    last = select(func.max(AttemptRow.number)).where(AttemptRow.study == study, AttemptRow.trial == trial)
    return (session.scalar(last) or 0) + 1


def early_epochs(session: Session, study: str) -> dict[int, int]:
    """Count the epochs of the attempts of a study that ended early, by attempt."""
    ended_early = AttemptRow.study == study, AttemptRow.outcome == "dominated"
    count = select(EpochRow.attempt, func.count()).join(AttemptRow, AttemptRow.id == EpochRow.attempt)
    return dict(session.execute(count.where(*ended_early).group_by(EpochRow.attempt)).all())


def spent(session: Session, study: str, purpose: Purpose | None = None) -> float:
    """Add up the seconds that the ended attempts of a study, or those of one purpose, kept their devices."""
    of_purpose = [AttemptRow.purpose == purpose] if purpose is not None else []
    seconds = select(func.sum(AttemptRow.device_seconds)).where(AttemptRow.study == study, *of_purpose)
    return session.scalar(seconds) or 0.0


def copy_result(session: Session, attempt: int, study: str, trial: int) -> None:
    """Copy an attempt that gave a result, with its epochs, surgeries and phases, to a trial of another study."""
    old = session.get_one(AttemptRow, attempt)
    same = AttemptRow.trial == trial, *results(study, old.device_class)
    if session.scalar(select(AttemptRow.id).where(*same)) is not None:
        return
    of_trial = {"study": study, "trial": trial, "number": next_number(session, study, trial)}
    new = _copied(
        old, id=None, **of_trial, purpose="search", device_seconds=0.0
    )  # also of a replay: the trial's only one
    session.add(new)
    session.flush()
    for table in (EpochRow, SurgeryRow, PhaseRow):
        rows = session.scalars(select(table).where(table.attempt == attempt))
        session.add_all([_copied(row, attempt=new.id) for row in rows])


def _copied(row: T_Row, **changed: Any) -> T_Row:
    columns = [column.key for column in type(row).__table__.columns]
    values = {name: getattr(row, name) for name in columns} | changed
    return type(row)(**{name: value for name, value in values.items() if value is not None})


def stop_decisions(session: Session, study: str) -> tuple[StopDecision, ...]:
    """List the decisions to stop a training of a study, in the order of their attempts."""
    columns = [
        AttemptRow.trial if field.name == "trial" else getattr(StopDecisionRow, field.name)
        for field in fields(StopDecision)
    ]
    joined = select(*columns).join(AttemptRow, AttemptRow.id == StopDecisionRow.attempt)
    rows = session.execute(joined.where(AttemptRow.study == study).order_by(StopDecisionRow.attempt))
    return tuple(StopDecision(*row) for row in rows)


def curves(session: Session, study: str, device_class: str) -> dict[int, list[tuple[float, float]]]:
    """Give training seconds and accuracy after each epoch, by trial, of all that have a result."""
    columns = AttemptRow.trial, EpochRow.train_seconds, EpochRow.accuracy
    joined = select(*columns).join(EpochRow, EpochRow.attempt == AttemptRow.id).where(*results(study, device_class))
    found: dict[int, list[tuple[float, float]]] = {}
    for trial, seconds, accuracy in session.execute(joined.order_by(AttemptRow.trial, EpochRow.epoch)):
        found.setdefault(trial, []).append((seconds, accuracy))
    return found


def surgeries_of(session: Session, study: str, device_class: str) -> dict[int, list[SurgeryResult]]:
    """Give the changes of shape, by trial, of all that have a result and changed."""
    columns = AttemptRow.trial, *columns_of(SurgeryResult, SurgeryRow)
    joined = select(*columns).join(SurgeryRow, SurgeryRow.attempt == AttemptRow.id).where(*results(study, device_class))
    found: dict[int, list[SurgeryResult]] = {}
    for trial, *values in session.execute(joined.order_by(AttemptRow.trial, SurgeryRow.number)):
        found.setdefault(trial, []).append(SurgeryResult(*values))
    return found


def count(session: Session, study: str) -> Counts:
    """Count the trials of a study by how they ended, and its failed attempts by class."""
    columns = AttemptRow.trial, AttemptRow.outcome, AttemptRow.failure
    searched = AttemptRow.study == study, AttemptRow.purpose == "search"
    rows = session.execute(select(*columns).where(*searched).order_by(AttemptRow.id)).all()
    tries: dict[int, list[tuple[Any, Any]]] = defaultdict(list)
    for trial, outcome, failure in rows:
        tries[trial].append((outcome, failure))
    states = Counter(map(_state, tries.values()))
    failures = Counter(cast(FailureClass, failure) for _, outcome, failure in rows if outcome == "failed")
    return Counts(
        complete=states["complete"],
        failed=states["failed"],
        running=states["running"],
        stopped=states["stopped"],
        dominated=states["dominated"],
        lost=states["lost"],
        failures=dict(failures),
    )


def _state(tries: Sequence[tuple[Status | None, FailureClass | None]]) -> str:
    """Say where a trial stands by the outcome and the failure of each of its attempts, in order."""
    outcomes = [outcome for outcome, _ in tries]
    if "complete" in outcomes:
        return "complete"
    if outcomes[-1] == "failed" and not is_given_up([failure for outcome, failure in tries if outcome == "failed"]):
        return "lost"
    return outcomes[-1] or "running"
