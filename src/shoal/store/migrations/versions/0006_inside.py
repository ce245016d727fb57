"""VMs' addresses in their own network; a cloud's notice that it takes a VM back."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("instance", sa.Column("inside", sa.Text(), nullable=False, server_default=""))
    op.add_column("observation", sa.Column("notice", sa.Text(), nullable=False, server_default=""))
