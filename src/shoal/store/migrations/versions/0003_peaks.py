"""The highest of the targets that a scheduler told lately."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("head", sa.Column("adaptive_peak", sa.Integer()))
