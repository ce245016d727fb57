"""Indexes for questions that read through all history else; and one installation, no more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SCHEDULER = sa.text("role = 'scheduler' AND state = 'launched'")
_BOUND = sa.text("vm != ''")


def upgrade() -> None:
    op.create_index("uq_installation_only", "installation", [sa.text("(1)")], unique=True)
    op.create_index(
        "ix_cluster_workspace_name_created_at", "cluster", ["workspace", "name", "created_at"]
    )
    op.drop_index("uq_instance_vm", "instance")
    op.create_index(
        "uq_instance_vm",
        "instance",
        ["vm", "cloud"],
        unique=True,
        sqlite_where=_BOUND,
        postgresql_where=_BOUND,
    )
    op.create_index(
        "ix_instance_scheduler",
        "instance",
        ["cluster"],
        sqlite_where=_SCHEDULER,
        postgresql_where=_SCHEDULER,
    )
    op.create_index(
        "ix_instance_failed",
        "instance",
        ["cluster", "released_at"],
        sqlite_where=sa.text("failed = 1"),
        postgresql_where=sa.text("failed"),
    )
