"""Why an attempt was made; which trainings were stopped early, and on what grounds."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, ForeignKey, Integer, PrimaryKeyConstraint, Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("ps_attempt", Column("purpose", Text, nullable=False, server_default="search"))
    op.create_table(
        "ps_stop_decision",
        Column("attempt", Integer, ForeignKey("ps_attempt.id", name="fk_ps_stop_decision_attempt"), nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("train_seconds", Double, nullable=False),
        Column("least_seconds", Double, nullable=False),
        Column("most_accuracy", Double, nullable=False),
        Column("dominated_by", BigInteger, nullable=False),
        Column("curves", BigInteger, nullable=False),
        Column("audited", Boolean, nullable=False),
        Column("moment", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("attempt", name="pk_ps_stop_decision"),
    )
