"""The first tables, with the view of the front."""

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None

#: Of the results of a study on one class of device, by time: those more accurate than every faster one. Where times
#: are equal the most accurate comes first, where both are equal the earliest.
FRONT = """
CREATE VIEW ps_pareto_front AS
SELECT study, device_class, trial, train_seconds, accuracy, digest, attempt, test_accuracy, noisy, wall_seconds,
       training_flops, inference_flops, parameters, peak_memory_bytes, images_per_second, energy_joules, seed, recipe
FROM (
    SELECT id AS attempt, study, device_class, trial, train_seconds, accuracy, digest, test_accuracy, noisy,
           wall_seconds, training_flops, inference_flops, parameters, peak_memory_bytes, images_per_second,
           energy_joules, seed, recipe,
           max(accuracy) OVER (
               PARTITION BY study, device_class
               ORDER BY train_seconds, accuracy DESC, trial
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS best_before
    FROM ps_attempt
    WHERE counts
) AS results
WHERE best_before IS NULL OR accuracy > best_before
"""


def upgrade() -> None:
    _studies()
    _devices()
    _attempts()
    _epochs()
    _surgeries()
    _front_events()
    op.execute(FRONT)


def _studies() -> None:
    op.create_table(
        "ps_study",
        Column("name", Text, nullable=False),
        Column("text", Text, nullable=False),
        Column("space_hash", Text, nullable=False),
        Column("space", JSON, nullable=False),
        Column("sampler", Text, nullable=False),
        Column("seed", BigInteger, nullable=False),
        Column("device_class", Text, nullable=False),
        Column("versions", JSON, nullable=False),
        Column("created", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("name", name="pk_ps_study"),
    )


def _devices() -> None:
    op.create_table(
        "ps_device",
        Column("uuid", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("device_class", Text, nullable=False),
        Column("memory_bytes", BigInteger, nullable=False),
        Column("host", Text, nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("cores", JSON, nullable=False),
        PrimaryKeyConstraint("uuid", name="pk_ps_device"),
    )


def _attempts() -> None:
    op.create_table(
        "ps_attempt",
        Column("id", Integer, nullable=False),
        Column("study", Text, ForeignKey("ps_study.name", name="fk_ps_attempt_study"), nullable=False),
        Column("trial", BigInteger, nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("device", Text, ForeignKey("ps_device.uuid", name="fk_ps_attempt_device"), nullable=False),
        Column("device_class", Text, nullable=False),
        Column("recipe", JSON, nullable=False),
        Column("digest", Text, nullable=False),
        Column("seed", BigInteger, nullable=False),
        Column("started", DateTime(timezone=True), nullable=False),
        Column("ended", DateTime(timezone=True)),
        Column("device_seconds", Double),
        Column("counts", Boolean, nullable=False),
        Column("outcome", Text),
        Column("failure", Text),
        Column("message", Text, nullable=False),
        Column("detail", Text, nullable=False),
        Column("train_seconds", Double),
        Column("wall_seconds", Double),
        Column("accuracy", Double),
        Column("test_accuracy", Double),
        Column("training_flops", Double),
        Column("inference_flops", BigInteger),
        Column("parameters", BigInteger),
        Column("peak_memory_bytes", BigInteger),
        Column("images_per_second", Double),
        Column("energy_joules", Double),
        Column("noisy", Boolean, nullable=False),
        CheckConstraint(
            "NOT counts OR (outcome = 'complete' AND train_seconds IS NOT NULL AND accuracy IS NOT NULL "
            "AND train_seconds >= 0 AND train_seconds < 1e300 AND accuracy >= 0 AND accuracy <= 1)",
            name=op.f("ck_ps_attempt_counts"),
        ),
        PrimaryKeyConstraint("id", name="pk_ps_attempt"),
        UniqueConstraint("study", "trial", "number", name="uq_ps_attempt_study_trial_number"),
    )
    op.create_index(
        "ix_ps_attempt_counts",
        "ps_attempt",
        ["study", "device_class", "trial"],
        unique=True,
        sqlite_where=text("counts"),
        postgresql_where=text("counts"),
    )


def _epochs() -> None:
    op.create_table(
        "ps_epoch",
        Column("attempt", Integer, ForeignKey("ps_attempt.id", name="fk_ps_epoch_attempt"), nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("train_seconds", Double, nullable=False),
        Column("accuracy", Double, nullable=False),
        Column("loss", Double, nullable=False),
        Column("learning_rate", Double, nullable=False),
        Column("batch_size", BigInteger, nullable=False),
        Column("parameters", BigInteger, nullable=False),
        Column("flops_per_image", BigInteger, nullable=False),
        Column("step_seconds", Double, nullable=False),
        Column("step_seconds_iqr", Double, nullable=False),
        Column("skipped_steps", BigInteger, nullable=False),
        PrimaryKeyConstraint("attempt", "epoch", name="pk_ps_epoch"),
    )


def _surgeries() -> None:
    op.create_table(
        "ps_surgery",
        Column("attempt", Integer, ForeignKey("ps_attempt.id", name="fk_ps_surgery_attempt"), nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("channels_before", BigInteger, nullable=False),
        Column("channels_after", BigInteger, nullable=False),
        Column("seconds", Double, nullable=False),
        PrimaryKeyConstraint("attempt", "number", name="pk_ps_surgery"),
    )


def _front_events() -> None:
    op.create_table(
        "ps_front_event",
        Column("id", Integer, nullable=False),
        Column("study", Text, ForeignKey("ps_study.name", name="fk_ps_front_event_study"), nullable=False),
        Column("device_class", Text, nullable=False),
        Column("trial", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("cause", BigInteger, nullable=False),
        Column("hypervolume", Double, nullable=False),
        Column("reference_seconds", Double, nullable=False),
        Column("device_seconds", Double, nullable=False),
        Column("moment", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("id", name="pk_ps_front_event"),
    )
    op.create_index("ix_ps_front_event_study_device_class", "ps_front_event", ["study", "device_class"])
