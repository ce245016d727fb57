"""What settled clusters have cost, by day. Filled by the server, cluster by cluster (ledger.py)."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("uusd", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("unpriced_s", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "day", name="pk_ledger"),
        sa.ForeignKeyConstraint(["cluster"], ["cluster.id"], name="fk_ledger_cluster"),
    )
    op.create_index("ix_ledger_day", "ledger", ["day"])
    op.create_index("ix_cluster_settled_at", "cluster", ["settled_at"])
