"""Limits and budgets, what they hold back, and what VMs take of them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_MONTH_H = 730


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "user", name="pk_limits"),
    )
    op.create_table(
        "hold",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["cluster.id"], name="fk_hold_cluster"),
        sa.PrimaryKeyConstraint("cluster", name="pk_hold"),
    )
    op.create_table(
        "budget_mark",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("month", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "user", "month", "mark", name="pk_budget_mark"),
    )
    op.add_column("batch", sa.Column("vcpus", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("batch", sa.Column("gpus", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("batch", sa.Column("ceiling_uusd_per_hour", sa.BigInteger()))
    _fill()


def _fill() -> None:
    """What VMs of batches that are still had take: their rows say it."""
    tx = op.get_bind()
    living = sa.text(
        "SELECT id, record FROM batch WHERE id IN "
        "(SELECT batch FROM instance WHERE state != 'gone')"
    )
    change = sa.text(
        "UPDATE batch SET vcpus = :vcpus, gpus = :gpus, ceiling_uusd_per_hour = :price "
        "WHERE id = :id"
    )
    for id, text in tx.execute(living).all():
        record = json.loads(text)
        offers, disk_gib = record["offers"], record["disk_gib"]
        prices = [_price(it, disk_gib) for it in offers]
        known = [it for it in prices if it is not None]
        values = {
            "id": id,
            "vcpus": max((it["vcpu"] for it in offers), default=0),
            "gpus": max((it.get("gpu", 0) for it in offers), default=0),
            "price": max(known) if known and len(known) == len(prices) else None,
        }
        tx.execute(change, values)


def _price(offer: dict[str, object], disk_gib: int) -> int | None:
    alone = offer.get("price_uusd_per_hour")
    if not isinstance(alone, int):
        return None
    disk, address = offer.get("disk_uusd_per_gib_month"), offer.get("address_uusd_per_hour")
    more = round(disk_gib * disk / _MONTH_H) if isinstance(disk, int) else 0
    return alone + more + (address if isinstance(address, int) else 0)
