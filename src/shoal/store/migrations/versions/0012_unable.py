"""Which environment a worker runs, and which no VM can; why no more workers are made."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for table, column in (
        ("observation", "environment"),
        ("observation", "broken"),
        ("cluster", "unable"),
    ):
        op.add_column(table, sa.Column(column, sa.Text(), nullable=False, server_default=""))
