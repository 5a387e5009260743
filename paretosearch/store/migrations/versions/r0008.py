"""How far a device was off its usual speed around an attempt."""

from alembic import op
from sqlalchemy import Column, Double

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("ps_attempt", Column("drift", Double))
