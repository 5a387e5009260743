"""Which Launcher writes a study."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, PrimaryKeyConstraint, Text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "ps_launcher",
        Column("study", Text, nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("holder", Text, nullable=False),
        Column("since", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("study", name="pk_ps_launcher"),
    )
