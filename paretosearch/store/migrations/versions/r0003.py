"""The phases of an attempt: what it takes to time it again."""

from alembic import op
from sqlalchemy import JSON, BigInteger, Column, Double, ForeignKey, Integer, PrimaryKeyConstraint, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "ps_phase",
        Column("attempt", Integer, ForeignKey("ps_attempt.id", name="fk_ps_phase_attempt"), nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("steps", BigInteger, nullable=False),
        Column("batch_size", BigInteger, nullable=False),
        Column("tier", Text, nullable=False),
        Column("pattern", Text, nullable=False),
        Column("seconds", Double, nullable=False),
        Column("step_seconds", Double, nullable=False),
        Column("step_seconds_iqr", Double, nullable=False),
        Column("changes", JSON, nullable=False),
        PrimaryKeyConstraint("attempt", "number", name="pk_ps_phase"),
    )
