"""Clusters that are only watched: which have nobody that watches any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from shoal.core.records import Cluster
from shoal.store.questions import reading
from shoal.store.rows import read, selecting
from shoal.store.tables import cluster, head
from shoal.wire.specs import Cloud


@reading
def silent(tx: Connection, heard_before: datetime) -> list[Cluster]:
    """Not ended, made before that moment, and nothing heard since."""
    heard = select(head.c.cluster).where(
        head.c.cluster == cluster.c.id, head.c.heard_at >= heard_before
    )
    query = selecting(Cluster, cluster).where(
        cluster.c.cloud == Cloud.WATCHED,
        cluster.c.settled_at.is_(None),
        cluster.c.ended_at.is_(None),
        cluster.c.created_at < heard_before,
        ~heard.exists(),
    )
    return read(tx, Cluster, query)


@reading
def ended(tx: Connection) -> list[Cluster]:
    """Over, and not settled: there is no VM to wait for."""
    query = selecting(Cluster, cluster).where(
        cluster.c.cloud == Cloud.WATCHED,
        cluster.c.settled_at.is_(None),
        cluster.c.ended_at.is_not(None),
    )
    return read(tx, Cluster, query)
