"""What lists and sums of ten thousand clusters ask for: tags beside the specification, when a
cluster was booked, and whose each line of the ledger is."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_AT_ONCE = 1000
_WHOSE = {"workspace": "", "owner": "", "name": "", "cloud": "", "tags": "{}"}


def upgrade() -> None:
    op.add_column("cluster", sa.Column("tags", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("cluster", sa.Column("booked_at", sa.BigInteger()))
    for name, default in _WHOSE.items():
        column = sa.Column(name, sa.Text(), nullable=False, server_default=default)
        op.add_column("ledger", column)
    _fill()
    op.drop_index("ix_ledger_day", "ledger")
    op.create_index("ix_ledger_workspace_day", "ledger", ["workspace", "day"])
    is_open = sa.text("booked_at IS NULL")
    op.create_index(
        "ix_cluster_unbooked",
        "cluster",
        ["workspace"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_index("ix_cluster_workspace_owner", "cluster", ["workspace", "owner"])
    alarming = sa.text("kind IN ('alarm', 'batch.refused', 'vm.swept')")
    op.create_index(
        "ix_event_alarming", "event", ["seq"], sqlite_where=alarming, postgresql_where=alarming
    )
    of_a_vm = sa.text("instance IS NOT NULL")
    op.create_index(
        "ix_event_instance_seq",
        "event",
        ["instance", "seq"],
        sqlite_where=of_a_vm,
        postgresql_where=of_a_vm,
    )


def _fill() -> None:
    tx = op.get_bind()
    tx.execute(
        sa.text(
            "UPDATE cluster SET booked_at = settled_at "
            "WHERE EXISTS (SELECT * FROM ledger WHERE ledger.cluster = cluster.id)"
        )
    )
    change = sa.text("UPDATE cluster SET tags = :tags WHERE id = :id")
    found = tx.execute(sa.text("SELECT id, spec FROM cluster")).all()
    tagged = [
        {"id": id, "tags": json.dumps(tags, separators=(",", ":"))}
        for id, text in found
        if (tags := json.loads(text).get("tags"))
    ]
    for i in range(0, len(tagged), _AT_ONCE):
        tx.execute(change, tagged[i : i + _AT_ONCE])
    whose = ", ".join(
        f"{it} = (SELECT cluster.{it} FROM cluster WHERE cluster.id = ledger.cluster)"
        for it in _WHOSE
    )
    tx.execute(sa.text(f"UPDATE ledger SET {whose}"))
