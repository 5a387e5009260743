"""What number formats do in an epoch and on a device; how long it took to rebuild a network."""

from alembic import op
from sqlalchemy import JSON, Column, Double

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("ps_epoch", Column("loss_scale", Double))
    op.add_column("ps_epoch", Column("overflow_share", Double))
    # Of how many steps the others are is not known any more.
    op.execute("UPDATE ps_epoch SET overflow_share = 0 WHERE skipped_steps = 0")
    op.add_column("ps_phase", Column("rebuild_seconds", Double))
    op.add_column("ps_study", Column("number_formats", JSON, nullable=False, server_default="{}"))
