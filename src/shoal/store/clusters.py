"""Clusters: what is asked. Every change is compare-and-set and has its event."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, insert, update
from sqlalchemy.exc import IntegrityError

from shoal.core.records import Cluster, EndKind
from shoal.errors import Conflict, NotFound
from shoal.store import events, tables
from shoal.store.questions import reading
from shoal.store.rows import changed, read, selecting, values
from shoal.wire.events import Event
from shoal.wire.ids import ClusterId, EnvironmentId, WorkspaceName
from shoal.wire.specs import Cloud, ClusterSpec, Workers

_cluster = tables.cluster
_ONE = selecting(Cluster, _cluster).where(_cluster.c.id == bindparam("its"))


def create(tx: Connection, cluster: Cluster, event: Event) -> None:
    """Conflict if a wanted cluster of this name is in the workspace."""
    try:
        tx.execute(insert(_cluster).values(row(cluster)))
    except IntegrityError as error:
        raise Conflict(
            f"A cluster named {cluster.spec.name!r} is running.",
            hint="Join it, stop it, or choose another name.",
        ) from error
    events.append(tx, event)


def row(cluster: Cluster) -> dict[str, Any]:
    """With what is asked for of its specification, beside it."""
    spec = cluster.spec
    return values(cluster, name=spec.name, cloud=spec.cloud, tags=spec.tags)


@reading
def get(tx: Connection, id: ClusterId) -> Cluster:
    found = read(tx, Cluster, _ONE, its=id)
    if not found:
        raise NotFound(f"There is no cluster {id}.", hint="See: shoal cluster list --all")
    return found[0]


@reading
def find(tx: Connection, workspace: WorkspaceName, id_or_name: str) -> Cluster:
    """By id; by name the wanted one, else the newest that has ended."""
    here = selecting(Cluster, _cluster).where(_cluster.c.workspace == workspace)
    named = here.where(_cluster.c.name == id_or_name).order_by(
        _cluster.c.ended_at.is_not(None), _cluster.c.created_at.desc()
    )
    found = read(tx, Cluster, here.where(_cluster.c.id == id_or_name)) or read(
        tx, Cluster, named.limit(1)
    )
    if not found:
        raise NotFound(f"There is no cluster {id_or_name!r}.", hint="See: shoal cluster list --all")
    return found[0]


@reading
def running(tx: Connection, workspace: WorkspaceName, name: str) -> Cluster | None:
    query = selecting(Cluster, _cluster).where(
        _cluster.c.workspace == workspace, _cluster.c.name == name, _cluster.c.ended_at.is_(None)
    )
    return next(iter(read(tx, Cluster, query)), None)


@reading
def unsettled(tx: Connection, cloud: Cloud | None) -> list[Cluster]:
    """Those that still need looking after: wanted, or with VMs that are not gone."""
    return read(tx, Cluster, _unsettled(cloud))


@functools.cache  # asked each pass
def _unsettled(cloud: Cloud | None) -> Select[Any]:
    query = selecting(Cluster, _cluster).where(_cluster.c.settled_at.is_(None))
    if cloud is not None:
        query = query.where(_cluster.c.cloud == cloud)
    return query.order_by(_cluster.c.created_at)


@reading
def before(tx: Connection, it: Cluster) -> Cluster | None:
    """The one of its name that was asked for last before it."""
    query = (
        selecting(Cluster, _cluster)
        .where(
            _cluster.c.workspace == it.workspace,
            _cluster.c.name == it.spec.name,
            _cluster.c.created_at < it.created_at,
        )
        .order_by(_cluster.c.created_at.desc())
        .limit(1)
    )
    return next(iter(read(tx, Cluster, query)), None)


def change_workers(
    tx: Connection, id: ClusterId, generation: int | None, workers: Workers, event: Event
) -> Cluster | None:
    """None if it has ended, or is not of that generation any more. What a person asks, of any
    generation, is tried again, though it could not be had before."""
    able = generation is None
    change = functools.partial(_with, workers=workers)
    return _respecified(tx, id, generation, event, change, able=able)


def change_environment(
    tx: Connection, id: ClusterId, environment: EnvironmentId, event: Event
) -> Cluster | None:
    change = functools.partial(_with, environment=environment)
    return _respecified(tx, id, None, event, change, able=True)


def give_up(tx: Connection, id: ClusterId, generation: int, why: str, event: Event) -> bool:
    """No VM can be one of its workers as they are asked for now."""
    did = changed(
        tx,
        update(_cluster)
        .where(
            _cluster.c.id == id,
            _cluster.c.generation == generation,
            _cluster.c.ended_at.is_(None),
            _cluster.c.unable == "",
        )
        .values(unable=why),
    )
    if did:
        events.append(tx, event)
    return bool(did)


def _with(spec: ClusterSpec, **changes: object) -> ClusterSpec:
    return msgspec.structs.replace(spec, **changes)


def _respecified(
    tx: Connection,
    id: ClusterId,
    generation: int | None,
    event: Event,
    change: Callable[[ClusterSpec], ClusterSpec],
    *,
    able: bool,
) -> Cluster | None:
    found = get(tx, id)
    if found.ended_at is not None or generation not in (None, found.generation):
        return None
    spec = change(found.spec)
    unable = "" if able else found.unable
    did = changed(
        tx,
        update(_cluster)
        .where(
            _cluster.c.id == id,
            _cluster.c.generation == found.generation,
            _cluster.c.ended_at.is_(None),
        )
        .values(spec=spec, generation=found.generation + 1, unable=unable),
    )
    if not did:
        return None
    events.append(tx, event)
    return msgspec.structs.replace(found, spec=spec, generation=found.generation + 1, unable=unable)


def end(
    tx: Connection, id: ClusterId, kind: EndKind, reason: str, at: datetime, event: Event
) -> bool:
    did = changed(
        tx,
        update(_cluster)
        .where(_cluster.c.id == id, _cluster.c.ended_at.is_(None))
        .values(
            ended_at=at, end_kind=kind, end_reason=reason, generation=_cluster.c.generation + 1
        ),
    )
    if did:
        tx.execute(delete(tables.hold).where(tables.hold.c.cluster == id))
        events.append(tx, event)
    return bool(did)


def settle(tx: Connection, id: ClusterId, at: datetime, event: Event) -> bool:
    did = changed(
        tx,
        update(_cluster)
        .where(
            _cluster.c.id == id,
            _cluster.c.ended_at.is_not(None),
            _cluster.c.settled_at.is_(None),
        )
        .values(settled_at=at),
    )
    if did:
        events.append(tx, event)
    return bool(did)
