"""Marks that concern one cluster alone. Marks live for minutes: those of before are dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.drop_table("pool")
    op.create_table(
        "pool",
        sa.Column("cloud", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("machine_type", sa.Text(), nullable=False),
        sa.Column("spot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cluster", sa.Text(), server_default="", nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint(
            "cloud", "region", "zone", "machine_type", "spot", "cluster", name="pk_pool"
        ),
    )
