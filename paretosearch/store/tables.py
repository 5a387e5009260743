"""The tables of the store.

A trial belongs to Optuna, whose tables are never touched: here it is named by the study and its number.
Columns of an Outcome, its epochs, its surgeries and its phases are called as in `paretosearch.outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    UniqueConstraint,
    column,
    exists,
    table,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedSQLExpression,
    column_property,
    mapped_column,
    synonym,
)

from paretosearch.outcome import BY_INTEGERS
from paretosearch.recipe import Recipe
from paretosearch.store.columns import AnyText, Changes, RecipeJson, Utc, Whole

PREFIX = "ps_"


class Base(DeclarativeBase):
    """Tables with names for every constraint, so that a migration can find them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # read by SQLAlchemy, under this name
        str: AnyText(),
        int: BigInteger(),
        float: Double(),
        datetime: Utc(),
        dict[str, Any]: JSON(),
        list[int]: JSON(),
        Recipe: RecipeJson(),
    }


class StudyRow(Base):
    """A study as it was launched first."""

    __tablename__ = "ps_study"

    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    space_hash: Mapped[str]
    space: Mapped[dict[str, Any]]
    sampler: Mapped[str]
    seed: Mapped[int]
    device_class: Mapped[str]
    versions: Mapped[dict[str, Any]]
    created: Mapped[datetime]
    number_formats: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    data_sets: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class DeviceRow(Base):
    """A device, as it was seen last."""

    __tablename__ = "ps_device"

    uuid: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    device_class: Mapped[str]
    memory_bytes: Mapped[int]
    host: Mapped[str]
    position: Mapped[int]
    cores: Mapped[list[int]]


_RESULT = "outcome = 'complete' AND train_seconds IS NOT NULL AND accuracy IS NOT NULL"
#: A NaN is larger than any number to PostgreSQL, so an upper bound keeps it out, with infinity.
_IN_RANGE = "train_seconds >= 0 AND train_seconds < 1e300 AND accuracy >= 0 AND accuracy <= 1"


class AttemptRow(Base):
    """One try at training a trial; without an outcome while it runs.

    ``counts`` marks the attempt whose objectives are the trial's on this class of device: the first that was complete,
    and believed.
    """

    __tablename__ = "ps_attempt"
    __table_args__ = (
        UniqueConstraint("study", "trial", "number"),
        CheckConstraint(f"NOT counts OR ({_RESULT} AND {_IN_RANGE})", name="counts"),
        Index(
            "ix_ps_attempt_counts",
            "study",
            "device_class",
            "trial",
            unique=True,
            sqlite_where=column("counts"),
            postgresql_where=column("counts"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    study: Mapped[str] = mapped_column(ForeignKey("ps_study.name"))
    trial: Mapped[int]
    number: Mapped[int]
    device: Mapped[str] = mapped_column(ForeignKey("ps_device.uuid"))
    device_class: Mapped[str]
    recipe: Mapped[Recipe]
    digest: Mapped[str]
    seed: Mapped[int]
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    device_seconds: Mapped[float | None]
    counts: Mapped[bool] = mapped_column(default=False)
    outcome: Mapped[str | None]
    failure: Mapped[str | None]
    message: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")
    train_seconds: Mapped[float | None]
    wall_seconds: Mapped[float | None]
    accuracy: Mapped[float | None]
    test_accuracy: Mapped[float | None]
    training_flops: Mapped[int | None] = mapped_column(Whole)  # ImageNet for 90 epochs comes near to 64 bits
    inference_flops: Mapped[int | None]
    parameters: Mapped[int | None]
    peak_memory_bytes: Mapped[int | None]
    images_per_second: Mapped[float | None]
    energy_joules: Mapped[float | None]
    noisy: Mapped[bool] = mapped_column(default=False)
    purpose: Mapped[str] = mapped_column(server_default="search")
    drift: Mapped[float | None]

    attempt: Mapped[int] = synonym("id")  # as the view and `Point` call it
    if TYPE_CHECKING:
        by_integers: MappedSQLExpression[bool]  # below, as it needs another table


class EpochRow(Base):
    """One epoch of an attempt."""

    __tablename__ = "ps_epoch"

    attempt: Mapped[int] = mapped_column(ForeignKey("ps_attempt.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    train_seconds: Mapped[float]
    accuracy: Mapped[float]
    loss: Mapped[float]
    learning_rate: Mapped[float]
    batch_size: Mapped[int]
    parameters: Mapped[int]
    flops_per_image: Mapped[int]
    step_seconds: Mapped[float]
    step_seconds_iqr: Mapped[float]
    skipped_steps: Mapped[int]
    loss_scale: Mapped[float | None]
    overflow_share: Mapped[float | None]


class SurgeryRow(Base):
    """One change of a network's shape during an attempt."""

    __tablename__ = "ps_surgery"

    attempt: Mapped[int] = mapped_column(ForeignKey("ps_attempt.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int]
    kind: Mapped[str]
    channels_before: Mapped[int]
    channels_after: Mapped[int]
    seconds: Mapped[float]
    figures: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class PhaseRow(Base):
    """Steps of an attempt that were all alike."""

    __tablename__ = "ps_phase"

    attempt: Mapped[int] = mapped_column(ForeignKey("ps_attempt.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int]
    steps: Mapped[int]
    batch_size: Mapped[int]
    tier: Mapped[str]
    pattern: Mapped[str]
    seconds: Mapped[float]
    step_seconds: Mapped[float]
    step_seconds_iqr: Mapped[float]
    changes: Mapped[tuple[Mapping[str, Any], ...]] = mapped_column(Changes)
    rebuild_seconds: Mapped[float | None]


#: Whether dynamic fixed point was computed by integers, as the phases of the attempt say.
AttemptRow.by_integers = column_property(
    exists().where(PhaseRow.attempt == AttemptRow.id, PhaseRow.pattern.startswith(BY_INTEGERS)), deferred=True
)


class StopDecisionRow(Base):
    """A training was found to be dominated whatever came of the rest of it."""

    __tablename__ = "ps_stop_decision"

    attempt: Mapped[int] = mapped_column(ForeignKey("ps_attempt.id"), primary_key=True)
    epoch: Mapped[int]
    train_seconds: Mapped[float]
    least_seconds: Mapped[float]
    most_accuracy: Mapped[float]
    dominated_by: Mapped[int]
    curves: Mapped[int]
    audited: Mapped[bool]
    moment: Mapped[datetime]


class FrontEventRow(Base):
    """A trial entered or left a front, because the trial ``cause`` was complete."""

    __tablename__ = "ps_front_event"
    __table_args__ = (Index("ix_ps_front_event_study_device_class", "study", "device_class"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    study: Mapped[str] = mapped_column(ForeignKey("ps_study.name"))
    device_class: Mapped[str]
    trial: Mapped[int]
    kind: Mapped[str]
    cause: Mapped[int]
    hypervolume: Mapped[float]
    reference_seconds: Mapped[float]
    device_seconds: Mapped[float]
    moment: Mapped[datetime]


class LauncherRow(Base):
    """Which Launcher writes a study, on a server that several hosts reach; see `paretosearch.store.claims`."""

    __tablename__ = "ps_launcher"

    study: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    holder: Mapped[str]
    since: Mapped[datetime]


#: The view: the migrations say what is on a front, and the database computes it.
FRONT_VIEW = table(
    "ps_pareto_front",
    column("study", AnyText),
    column("device_class", AnyText),
    column("trial", BigInteger),
    column("attempt", Integer),
    column("train_seconds", Double),
    column("accuracy", Double),
)
