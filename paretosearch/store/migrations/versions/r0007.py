"""What the data sets of a study hold."""

from alembic import op
from sqlalchemy import JSON, Column

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("ps_study", Column("data_sets", JSON))
