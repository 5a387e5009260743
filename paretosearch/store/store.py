"""The one door to our tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from paretosearch.device import Device
from paretosearch.errors import StoreError
from paretosearch.outcome import Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.store import queries
from paretosearch.store.claims import Claim
from paretosearch.store.engine import open_engine, storage_url, writer
from paretosearch.store.history import record_change
from paretosearch.store.migrate import require_tables, upgrade
from paretosearch.store.reader import OF_OUTCOME, Reader
from paretosearch.store.records import (
    FrontChange,
    StopDecision,
    StudyRecord,
)
from paretosearch.store.tables import (
    AttemptRow,
    DeviceRow,
    EpochRow,
    PhaseRow,
    StopDecisionRow,
    StudyRow,
    SurgeryRow,
)

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


class Store(Reader):
    """Studies, their attempts and their fronts in one database; made by `open_store`.

    Every method is one transaction: all of it happens, or nothing. The methods of a study raise StoreError if there is
    no such study, and all of them if the database refuses; what was to be written is then not there, and the call may
    be repeated.

    Args:
        engine: The database, with its tables.
        clock: Monotonic seconds, for the time that an attempt keeps its device.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(engine)
        self._clock = clock
        self._begun: dict[int, float] = {}

    def claim(self, study: str) -> Claim:
        """Take the right to write a study, whether it is there yet or not.

        Raises:
            LockedError: If another Launcher has it.
        """
        return Claim(self._engine, study)

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

    def add_device(self, device: Device) -> None:
        """Add a device, or note what has changed about it."""
        values = {**asdict(device), "device_class": device.device_class, "cores": list(device.cores)}
        values["position"] = values.pop("index")
        with self.writing() as session:
            insert = _UPSERT[self._engine.dialect.name](DeviceRow).values(values)
            session.execute(insert.on_conflict_do_update(index_elements=[DeviceRow.uuid], set_=values))

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

    def writing(self) -> AbstractContextManager[Session]:
        """Open a transaction that writes, for the modules of this package."""
        return self._transaction(writer(self._engine))


def _fill(row: AttemptRow, outcome: Outcome) -> None:
    row.outcome = outcome.status
    for name in OF_OUTCOME:
        setattr(row, name, getattr(outcome, name))
