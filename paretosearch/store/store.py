"""The one door to our tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Literal, cast

from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from paretosearch.device import Device
from paretosearch.errors import StoreError
from paretosearch.outcome import SEQUENCES, EpochResult, Outcome, PhaseResult, Purpose, SurgeryResult
from paretosearch.recipe import Recipe
from paretosearch.store import queries
from paretosearch.store.claims import Claim, is_claimed
from paretosearch.store.engine import open_engine, storage_url, trouble, writer
from paretosearch.store.estimates import Estimate, Repeat, estimated
from paretosearch.store.front import Front, Point
from paretosearch.store.history import read_front, record_change
from paretosearch.store.migrate import require_tables, upgrade
from paretosearch.store.records import (
    AttemptRecord,
    Counts,
    FrontChange,
    FrontEvent,
    StopDecision,
    StudyRecord,
)
from paretosearch.store.tables import (
    AttemptRow,
    DeviceRow,
    EpochRow,
    FrontEventRow,
    PhaseRow,
    StopDecisionRow,
    StudyRow,
    SurgeryRow,
)

#: What an attempt's row has of its Outcome under the same name.
_OF_OUTCOME = [field.name for field in fields(Outcome) if field.name not in ("status", *SEQUENCES)]

_UPSERT: dict[str, Callable[[Any], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def open_store(url: str | None = None, create: bool = True) -> Store:
    """Open a store, and bring its tables to what this program expects.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER:PASSWORD@HOST/DATABASE``; `storage_url` adds what is
            missing.
        create: Whether to make what is missing: the SQLite file, the tables.

    Returns:
        The store.

    Raises:
        StoreError: If the database cannot be opened, a newer program made it, or it is no store and may not become one.
    """
    engine = open_engine(storage_url(url), create)
    try:
        if not create:
            require_tables(engine)
        upgrade(engine)
    except StoreError:
        engine.dispose()
        raise
    return Store(engine)


class Store:
    """Studies, their attempts and their fronts in one database; made by `open_store`.

    Every method is one transaction: all of it happens, or nothing. The methods of a study raise StoreError if there is
    no such study, and all of them if the database refuses; what was to be written is then not there, and the call may
    be repeated.

    Args:
        engine: The database, with its tables.
        clock: Monotonic seconds, for the time that an attempt keeps its device.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._begun: dict[int, float] = {}

    @property
    def url(self) -> str:
        """The database's URL, with its password: for connecting, never for showing."""
        return self._engine.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def claim(self, study: str) -> Claim:
        """Take the right to write a study, whether it is there yet or not.

        Raises:
            LockedError: If another Launcher has it.
        """
        return Claim(self._engine, study)

    def is_claimed(self, study: str) -> bool | None:
        """Whether a Launcher has a study now; None where the database does not know, as with SQLite."""
        return is_claimed(self._engine, study)

    def add_study(self, record: StudyRecord) -> None:
        """Add a study.

        Raises:
            StoreError: If there is one of that name.
        """
        with self.writing() as session:
            if session.get(StudyRow, record.name) is not None:
                raise StoreError(f"the store has a study {record.name!r} already; choose another name")
            plain = {name: dict(getattr(record, name)) for name in ("space", "versions", "number_formats")}
            session.add(StudyRow(**{**vars(record), **plain}))

    def keep_data_sets(self, study: str, data_sets: Mapping[str, Mapping[str, Any]]) -> None:
        """Note what the data sets of a study hold; one of which that is known stays as it is.

        Args:
            study: Name of the study.
            data_sets: As in a `StudyRecord`.
        """
        with self.writing() as session:
            row = queries.require_study(session, study, lock=True)
            row.data_sets = {**data_sets, **(row.data_sets or {})}

    def study(self, name: str) -> StudyRecord | None:
        """Give a study; None if there is none of that name."""
        with self.reading() as session:
            found = queries.read(session, StudyRecord, StudyRow, StudyRow.name == name, order=StudyRow.name)
        return found[0] if found else None

    def studies(self) -> tuple[StudyRecord, ...]:
        """List the studies by name."""
        with self.reading() as session:
            return queries.read(session, StudyRecord, StudyRow, order=StudyRow.name)

    def add_device(self, device: Device) -> None:
        """Add a device, or note what has changed about it."""
        values = {**asdict(device), "device_class": device.device_class, "cores": list(device.cores)}
        values["position"] = values.pop("index")
        with self.writing() as session:
            insert = _UPSERT[self._engine.dialect.name](DeviceRow).values(values)
            session.execute(insert.on_conflict_do_update(index_elements=[DeviceRow.uuid], set_=values))

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

    def start_attempt(self, study: str, trial: int, device: Device, recipe: Recipe, purpose: Purpose = "search") -> int:
        """Note that an attempt at a trial begins.

        Args:
            study: Name of the study.
            trial: Number of the trial in the study.
            device: Where; one that was added.
            recipe: What is trained.
            purpose: Why.

        Returns:
            Row of the attempt in ``ps_attempt``.
        """
        with self.writing() as session:
            queries.require_study(session, study, lock=True)
            row = AttemptRow(
                study=study,
                trial=trial,
                number=queries.next_number(session, study, trial),
                device=device.uuid,
                device_class=device.device_class,
                recipe=recipe,
                digest=recipe.digest,
                seed=recipe.seed,
                purpose=purpose,
                started=datetime.now(UTC),
            )
            session.add(row)
            session.flush()
            attempt = row.id
        self._begun[attempt] = self._clock()
        return attempt

    def finish_attempt(self, attempt: int, outcome: Outcome, believed: bool = True) -> bool:
        """Note how an attempt ended: its row, its epochs, its surgeries and its phases.

        The first complete attempt of a search, or replay of one, gives its trial's result on its class of device.

        Args:
            attempt: What `start_attempt` gave.
            outcome: How it ended, checked.
            believed: Whether its seconds are to be its trial's; `believe` can still make them so.

        Returns:
            Whether it was still running; the Outcome of one that had ended stays as it is.

        Raises:
            StoreError: If there is no such attempt.
        """
        with self.writing() as session:
            row = self._attempt_row(session, attempt)
            if row.outcome is not None:
                return False
            of_trial = outcome.status == "complete" and row.purpose != "confirm"
            row.counts = believed and of_trial and not queries.has_result(session, row)
            row.ended, row.device_seconds = datetime.now(UTC), self._kept_device(row, outcome)
            _fill(row, outcome)
            session.add_all(EpochRow(attempt=attempt, **asdict(epoch)) for epoch in outcome.epochs)
            numbered = enumerate(outcome.surgeries)
            session.add_all(SurgeryRow(attempt=attempt, number=i, **asdict(surgery)) for i, surgery in numbered)
            numbered_phases = enumerate(outcome.phases)
            session.add_all(PhaseRow(attempt=attempt, number=i, **asdict(phase)) for i, phase in numbered_phases)
        self._begun.pop(attempt, None)
        return True

    def believe(self, attempt: int) -> None:
        """Let a complete attempt give its trial's result on its class of device, if no other does.

        What that does to the front is noted with it.

        Raises:
            StoreError: If there is no such attempt.
        """
        with self.writing() as session:
            row = self._attempt_row(session, attempt)
            queries.require_study(session, row.study, lock=True)
            row.counts = row.counts or not queries.has_result(session, row)
            session.flush()
            record_change(session, row.study, row.trial, row.device_class)

    @staticmethod
    def _attempt_row(session: Session, attempt: int) -> AttemptRow:
        row = session.get(AttemptRow, attempt, with_for_update=True)
        if row is None:
            raise StoreError(f"the store has no attempt {attempt}")
        return row

    def _kept_device(self, row: AttemptRow, outcome: Outcome) -> float:
        """Give the seconds between start and end; of an attempt of an earlier process, what is known of them."""
        begun = self._begun.get(row.id)
        if begun is not None:
            return self._clock() - begun
        return 0.0 if row.purpose == "replay" else outcome.wall_seconds or outcome.train_seconds or 0.0

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
        plain = {name: getattr(attempt, name) for name in _OF_OUTCOME}
        assert attempt.outcome is not None
        sequences = {name: getattr(self, name)(attempt.id) for name in SEQUENCES}
        return Outcome(attempt.outcome, **plain, **sequences)

    def copy_result(self, attempt: int, study: str, trial: int) -> None:
        """Copy an attempt that gave a result to a trial of another study, with all that is known of it.

        The copy has cost the other study no time. A trial that has a result on that class of device keeps it.

        Args:
            attempt: Row of the attempt in ``ps_attempt``.
            study: Name of the study to copy to.
            trial: Number of the trial there.
        """
        with self.writing() as session:
            queries.require_study(session, study, lock=True)
            queries.copy_result(session, attempt, study, trial)

    def record_stop(self, attempt: int, decision: StopDecision) -> None:
        """Note that a running attempt is dominated whatever comes; one that has a decision keeps it.

        Raises:
            StoreError: If there is no such attempt.
        """
        plain = {name: value for name, value in vars(decision).items() if name != "trial"}
        with self.writing() as session:
            if session.get(StopDecisionRow, attempt) is None:
                session.add(StopDecisionRow(**plain))

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

    def record_front(self, study: str, trial: int, device_class: str) -> FrontChange:
        """Note who entered and who left a front since this was noted last.

        To be called after every complete trial; calling it again for the same trial notes nothing.

        Args:
            study: Name of the study.
            trial: Number of the trial that was complete.
            device_class: Where it was trained.

        Returns:
            What the trial did to the front, however often it is asked.
        """
        with self.writing() as session:
            queries.require_study(session, study, lock=True)
            return record_change(session, study, trial, device_class)

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

    def writing(self) -> AbstractContextManager[Session]:
        """Open a transaction that writes, for the modules of this package."""
        return self._transaction(writer(self._engine))

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine) as session, session.begin():
                yield session
        except (StatementError, OverflowError) as error:  # the second is how SQLite refuses a number beyond 64 bits
            raise trouble(self._engine, error) from error


def _fill(row: AttemptRow, outcome: Outcome) -> None:
    row.outcome = outcome.status
    for name in _OF_OUTCOME:
        setattr(row, name, getattr(outcome, name))


def _device(row: DeviceRow) -> Device:
    kind = cast(Literal["cpu", "cuda"], row.kind)
    return Device(kind, row.uuid, row.name, row.memory_bytes, row.host, row.position, tuple(row.cores))
