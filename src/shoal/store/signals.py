"""Signals of clusters, as they were seen last: kept so that a past cluster still shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, case, func, select, type_coerce, update

from shoal.store.questions import reading
from shoal.store.rows import upsert
from shoal.store.tables import signal
from shoal.wire.ids import ClusterId, WorkspaceName
from shoal.wire.telemetry import Severity, Signal, SignalKind, SignalView

_BEST_LAST = (Severity.PROBLEM, Severity.WARNING, Severity.ADVICE)


def put(
    tx: Connection,
    cluster: ClusterId,
    workspace: WorkspaceName,
    found: Collection[Signal],
    now: datetime,
) -> bool:
    """What shows now; the others of this cluster do not any more. Whether that is news."""
    query = select(signal.c.kind, signal.c.first_at, signal.c.active)
    known = {row.kind: row for row in tx.execute(query.where(signal.c.cluster == cluster))}
    upsert(
        tx,
        signal,
        [
            {
                "cluster": cluster,
                "kind": it.kind,
                "workspace": workspace,
                "first_at": known[it.kind].first_at if it.kind in known else it.since,
                "last_at": now,
                "active": True,
                "record": it,
            }
            for it in found
        ],
    )
    shown = {it.kind for it in found}
    was = {kind for kind, row in known.items() if row.active}
    if was - shown:
        tx.execute(
            update(signal)
            .where(signal.c.cluster == cluster, signal.c.kind.in_(was - shown))
            .values(active=False)
        )
    return was != shown


def only_of(tx: Connection, running: Collection[ClusterId]) -> None:
    """Of other clusters nothing shows any more."""
    query = select(signal.c.cluster).where(signal.c.active).distinct()
    over = set(tx.execute(query).scalars()) - set(running)
    for cluster in over:
        tx.execute(update(signal).where(signal.c.cluster == cluster).values(active=False))


@reading
def of_clusters(
    tx: Connection, clusters: Iterable[ClusterId]
) -> dict[ClusterId, tuple[SignalView, ...]]:
    """Of the clusters of a list; active ones first, then the worst."""
    found: dict[ClusterId, list[SignalView]] = {}
    ids = list(clusters)
    for begin in range(0, len(ids), 500):
        query = _viewing().where(signal.c.cluster.in_(ids[begin : begin + 500]))
        for row in tx.execute(query):
            found.setdefault(row[0], []).append(SignalView(*row))
    return {cluster: tuple(views) for cluster, views in found.items()}


@reading
def clusters(tx: Connection, workspace: WorkspaceName, limit: int) -> frozenset[ClusterId]:
    """Those of which any shows or showed, the ones of late."""
    query = (
        select(signal.c.cluster)
        .where(signal.c.workspace == workspace)
        .group_by(signal.c.cluster)
        .order_by(func.max(type_coerce(signal.c.last_at, BigInteger)).desc())
        .limit(limit)
    )
    return frozenset(ClusterId(it) for it in tx.execute(query).scalars())


@reading
def page(
    tx: Connection,
    workspace: WorkspaceName,
    *,
    cluster: ClusterId | None = None,
    past: bool = False,
    limit: int = 200,
) -> tuple[SignalView, ...]:
    query = _viewing().where(signal.c.workspace == workspace).limit(limit)
    if cluster is not None:
        query = query.where(signal.c.cluster == cluster)
    if not past:
        query = query.where(signal.c.active)
    views = [SignalView(*row) for row in tx.execute(query)]
    views.sort(key=lambda it: (not it.active, _BEST_LAST.index(it.signal.severity)))
    return tuple(views)


@reading
def kinds(tx: Connection, cluster: ClusterId) -> frozenset[SignalKind]:
    query = select(signal.c.kind).where(signal.c.cluster == cluster, signal.c.active)
    return frozenset(tx.execute(query).scalars())


def _viewing() -> Select[Any]:
    columns = ("cluster", "record", "first_at", "last_at", "active")
    return select(*(signal.c[name] for name in columns)).order_by(
        case((signal.c.active, 0), else_=1), signal.c.last_at.desc(), signal.c.kind
    )
