"""A cloud's word that it may take a VM back sooner than others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    warning = sa.Column("warning", sa.Text(), nullable=False, server_default="")
    op.add_column("observation", warning)
