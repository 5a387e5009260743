"""What was noticed at a change of shape."""

from alembic import op
from sqlalchemy import JSON, Column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("ps_surgery", Column("figures", JSON, nullable=False, server_default="{}"))
