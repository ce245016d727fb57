"""How long each phase of making the environment took on a VM."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    made_in = sa.Column("made_in", sa.Text(), nullable=False, server_default="[]")
    op.add_column("observation", made_in)
