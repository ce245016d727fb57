"""The address by which VMs of one network know each other, where the server knows another one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("instance", sa.Column("inside", sa.Text(), nullable=False, server_default=""))
