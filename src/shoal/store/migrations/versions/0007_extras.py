"""What a VM's disk and public address cost an hour."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "instance",
        sa.Column("extras_uusd_per_hour", sa.BigInteger(), nullable=False, server_default="0"),
    )
