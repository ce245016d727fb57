"""How workers' VMs came up: when each phase of their start began, from their rows and events."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from shoal.core.signals import Start
from shoal.store.questions import reading
from shoal.store.tables import event, instance
from shoal.wire.events import EventKind
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Role
from shoal.wire.views import Stage


@reading
def of_cluster(tx: Connection, cluster: ClusterId, since: datetime) -> tuple[Start, ...]:
    """Those asked for since then, and not released before they were ready."""
    rows = tx.execute(
        select(
            instance.c.id,
            instance.c.created_at,
            instance.c.launched_at,
            instance.c.ready_at,
            instance.c.released_at,
        )
        .where(
            instance.c.cluster == cluster,
            instance.c.role == Role.WORKER,
            instance.c.created_at >= since,
        )
        .order_by(instance.c.number)
    ).all()
    if not rows:
        return ()
    stages = _stages(tx, cluster, since)
    return tuple(
        Start(
            instance=it.id,
            asked_at=it.created_at,
            launched_at=it.launched_at,
            preparing_at=stages.get((it.id, Stage.PREPARING)),
            starting_at=stages.get((it.id, Stage.STARTING)),
            ready_at=it.ready_at,
        )
        for it in rows
        if it.ready_at is not None or it.released_at is None
    )


def _stages(tx: Connection, cluster: ClusterId, since: datetime) -> dict[tuple[str, str], datetime]:
    """When each VM came to a stage for the first time."""
    query = (
        select(event.c.instance, event.c.after, event.c.at)
        .where(
            event.c.cluster == cluster,
            event.c.kind == EventKind.INSTANCE_STAGE,
            event.c.at >= since,
            event.c.after.in_([Stage.PREPARING, Stage.STARTING]),
        )
        .order_by(event.c.seq)
    )
    found: dict[tuple[str, str], datetime] = {}
    for name, stage, at in tx.execute(query):
        found.setdefault((name, stage), at)
    return found
