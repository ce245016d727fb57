"""Environments belong to workspaces; until now they belonged to whoever knew their id."""

import json
import time

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """A workspace keeps those that its clusters name. Others are registered again when used."""
    connection = op.get_bind()
    text = sa.text("SELECT id, manifest FROM environment")
    manifests: dict[str, str] = dict(tuple(it) for it in connection.execute(text))
    clusters = connection.execute(sa.text("SELECT workspace, spec FROM cluster")).all()
    named = {(workspace, json.loads(spec).get("environment", "")) for workspace, spec in clusters}
    op.drop_table("environment")
    made = op.create_table(
        "environment",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "id", name="pk_environment"),
    )
    now = time.time_ns() // 1000
    kept = [
        {"workspace": workspace, "id": id, "manifest": manifests[id], "used_at": now}
        for workspace, id in sorted(named)
        if id in manifests
    ]
    if kept:
        op.bulk_insert(made, kept)
