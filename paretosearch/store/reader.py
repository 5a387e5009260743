"""What a store knows, read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from typing import Any, Literal, cast

from sqlalchemy import Engine, select
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from paretosearch.device import Device
from paretosearch.errors import StoreError
from paretosearch.outcome import SEQUENCES, EpochResult, Outcome, PhaseResult, Purpose, SurgeryResult
from paretosearch.store import queries
from paretosearch.store.claims import is_claimed
from paretosearch.store.engine import trouble
from paretosearch.store.estimates import Estimate, Repeat, estimated
from paretosearch.store.front import Front, Point
from paretosearch.store.history import read_front
from paretosearch.store.records import AttemptRecord, Counts, FrontEvent, StopDecision, StudyRecord
from paretosearch.store.tables import AttemptRow, DeviceRow, EpochRow, FrontEventRow, PhaseRow, StudyRow, SurgeryRow

#: What an attempt's row has of its Outcome under the same name.
OF_OUTCOME = tuple(field.name for field in fields(Outcome) if field.name not in ("status", *SEQUENCES))


class Reader:
    """The half of a `Store` that reads.

    Every method is one transaction. The methods of a study raise StoreError if there is no such study, and all of them
    if the database refuses.

    Args:
        engine: The database, with its tables.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def url(self) -> str:
        """The database's URL, with its password: for connecting, never for showing."""
        return self._engine.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def is_claimed(self, study: str) -> bool | None:
        """Whether a Launcher has a study now; None where the database does not know, as with SQLite."""
        return is_claimed(self._engine, study)

    def study(self, name: str) -> StudyRecord | None:
        """Give a study; None if there is none of that name."""
        with self.reading() as session:
            found = queries.read(session, StudyRecord, StudyRow, StudyRow.name == name, order=StudyRow.name)
        return found[0] if found else None

    def studies(self) -> tuple[StudyRecord, ...]:
        """List the studies by name."""
        with self.reading() as session:
            return queries.read(session, StudyRecord, StudyRow, order=StudyRow.name)

    def devices(self, study: str) -> tuple[Device, ...]:
        """List the devices that have trained a study, by host and position."""
        with self.reading() as session:
            queries.require_study(session, study)
            used = select(AttemptRow.device).where(AttemptRow.study == study)
            rows = session.scalars(select(DeviceRow).where(DeviceRow.uuid.in_(used)))
            found = [_device(row) for row in rows]
        return tuple(sorted(found, key=lambda device: (device.host, device.kind, device.index)))

    def device_classes(self, study: str) -> tuple[str, ...]:
        """List the classes of device that have trained a study, by name."""
        with self.reading() as session:
            queries.require_study(session, study)
            found = select(AttemptRow.device_class).where(AttemptRow.study == study).distinct()
            return tuple(session.scalars(found.order_by(AttemptRow.device_class)))

    def attempts(self, study: str, trial: int | None = None) -> tuple[AttemptRecord, ...]:
        """List the attempts of a study, or of one of its trials, in the order in which they began."""
        of_trial = [AttemptRow.trial == trial] if trial is not None else []
        return self._attempts(study, *of_trial)

    def running_attempts(self, study: str) -> tuple[AttemptRecord, ...]:
        """List the attempts of a study that have not ended, in the order in which they began."""
        return self._attempts(study, AttemptRow.outcome.is_(None))

    def _attempts(self, study: str, *where: Any) -> tuple[AttemptRecord, ...]:
        with self.reading() as session:
            queries.require_study(session, study)
            of_study = AttemptRow.study == study
            return queries.read(session, AttemptRecord, AttemptRow, of_study, *where, order=AttemptRow.id)

    def epochs(self, attempt: int) -> tuple[EpochResult, ...]:
        """List the epochs of an attempt that has ended, in order."""
        with self.reading() as session:
            return queries.read(session, EpochResult, EpochRow, EpochRow.attempt == attempt, order=EpochRow.epoch)

    def early_epochs(self, study: str) -> Mapping[int, int]:
        """Count the epochs of the attempts of a study that ended early, by attempt; of none it has no entry."""
        with self.reading() as session:
            queries.require_study(session, study)
            return queries.early_epochs(session, study)

    def surgeries(self, attempt: int) -> tuple[SurgeryResult, ...]:
        """List the changes of shape in an attempt that has ended, in order."""
        with self.reading() as session:
            of_attempt = SurgeryRow.attempt == attempt
            return queries.read(session, SurgeryResult, SurgeryRow, of_attempt, order=SurgeryRow.number)

    def phases(self, attempt: int) -> tuple[PhaseResult, ...]:
        """List the phases of an attempt that has ended, in order; none of one from before they were kept."""
        with self.reading() as session:
            of_attempt = PhaseRow.attempt == attempt
            return queries.read(session, PhaseResult, PhaseRow, of_attempt, order=PhaseRow.number)

    def outcome(self, attempt: AttemptRecord) -> Outcome:
        """Give how an attempt that has ended went, with its epochs, its surgeries and its phases."""
        plain = {name: getattr(attempt, name) for name in OF_OUTCOME}
        assert attempt.outcome is not None
        sequences = {name: getattr(self, name)(attempt.id) for name in SEQUENCES}
        return Outcome(attempt.outcome, **plain, **sequences)

    def stop_decisions(self, study: str) -> tuple[StopDecision, ...]:
        """List which trainings of a study were found to be dominated whatever came, in order."""
        with self.reading() as session:
            queries.require_study(session, study)
            return queries.stop_decisions(session, study)

    def curves(self, study: str, device_class: str | None = None) -> Mapping[int, Sequence[tuple[float, float]]]:
        """Give seconds and accuracy after each epoch of all results on a class of device, its own if None, by trial."""
        with self.reading() as session:
            of_study = queries.require_study(session, study).device_class
            return queries.curves(session, study, device_class or of_study)

    def surgeries_of(self, study: str, device_class: str | None = None) -> Mapping[int, Sequence[SurgeryResult]]:
        """Give the changes of shape of all results on a class of device, its own if None, by trial."""
        with self.reading() as session:
            of_study = queries.require_study(session, study).device_class
            return queries.surgeries_of(session, study, device_class or of_study)

    def completed(self, study: str, device_class: str | None = None) -> tuple[Point, ...]:
        """List the results of a study on a class of device, its own if None, by trial number."""
        with self.reading() as session:
            of_study = queries.require_study(session, study).device_class
            where = queries.results(study, device_class or of_study)
            return queries.read(session, Point, AttemptRow, *where, order=AttemptRow.trial)

    def repeats(self, study: str, device_class: str | None = None) -> tuple[Repeat, ...]:
        """List the repeats of a study's results on a class of device, its own if None, in the order of their begin."""
        with self.reading() as session:
            of_study = queries.require_study(session, study).device_class
            where = queries.repeats(study, device_class or of_study)
            return queries.read(session, Repeat, AttemptRow, *where, order=AttemptRow.id)

    def estimates(self, study: str, device_class: str | None = None) -> tuple[Estimate, ...]:
        """Give what results and their repeats say of a study on a class of device, its own if None."""
        return estimated(self.completed(study, device_class), self.repeats(study, device_class))

    def front(self, study: str, device_class: str | None = None) -> Front:
        """Give the front of a study on a class of device, its own if None, as the view ``ps_pareto_front`` has it."""
        with self.reading() as session:
            of_study = queries.require_study(session, study).device_class
            return read_front(session, study, device_class or of_study)

    def front_events(self, study: str) -> tuple[FrontEvent, ...]:
        """List who entered and who left the fronts of a study, in order."""
        with self.reading() as session:
            queries.require_study(session, study)
            of_study = FrontEventRow.study == study
            return queries.read(session, FrontEvent, FrontEventRow, of_study, order=FrontEventRow.id)

    def attempt(self, attempt: int) -> AttemptRecord:
        """Give an attempt.

        Raises:
            StoreError: If there is no such attempt.
        """
        with self.reading() as session:
            found = queries.read(session, AttemptRecord, AttemptRow, AttemptRow.id == attempt, order=AttemptRow.id)
        if not found:
            raise StoreError(f"the store has no attempt {attempt}")
        return found[0]

    def device_seconds(self, study: str, purpose: Purpose | None = None) -> float:
        """Add up the seconds that attempts kept their devices, those that still run left out.

        Args:
            study: Name of the study.
            purpose: Of which attempts; None is all.
        """
        with self.reading() as session:
            queries.require_study(session, study)
            return queries.spent(session, study, purpose)

    def counts(self, study: str) -> Counts:
        """Count the trials of a study by how they ended, and its failed attempts by class."""
        with self.reading() as session:
            queries.require_study(session, study)
            return queries.count(session, study)

    def reading(self) -> AbstractContextManager[Session]:
        """Open a transaction that reads, for the modules of this package."""
        return self._transaction(self._engine)

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine) as session, session.begin():
                yield session
        except (StatementError, OverflowError) as error:  # the second is how SQLite refuses a number beyond 64 bits
            raise trouble(self._engine, error) from error


def _device(row: DeviceRow) -> Device:
    kind = cast(Literal["cpu", "cuda"], row.kind)
    return Device(kind, row.uuid, row.name, row.memory_bytes, row.host, row.position, tuple(row.cores))
