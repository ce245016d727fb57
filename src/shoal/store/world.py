"""Everything one pass of the reconciler decides on, in one transaction."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, case, func, select

from shoal.core.records import (
    Batch,
    Cluster,
    HeadObservation,
    Instance,
    Observation,
    PoolMark,
    Tally,
)
from shoal.store import clusters, pools, tables
from shoal.store.rows import read as read_rows
from shoal.store.rows import selecting
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import InstanceState

_instance = tables.instance


class Rows(msgspec.Struct, frozen=True):
    clusters: tuple[Cluster, ...]
    batches: tuple[Batch, ...]
    instances: tuple[Instance, ...]
    observations: dict[InstanceId, Observation]
    heads: dict[ClusterId, HeadObservation]
    tallies: dict[ClusterId, Tally]
    marks: tuple[PoolMark, ...]


def read(tx: Connection, cloud: Cloud, now: datetime) -> Rows:
    found = tuple(clusters.unsettled(tx, cloud))
    here = (_instance.c.cloud == cloud, _instance.c.state != InstanceState.GONE)
    living = select(_instance.c.id).where(*here)
    living_batches = select(_instance.c.batch).where(*here).distinct()
    unsettled = select(tables.cluster.c.id).where(
        tables.cluster.c.cloud == cloud, tables.cluster.c.settled_at.is_(None)
    )
    batch, observation, head = tables.batch, tables.observation, tables.head
    instances = selecting(Instance, _instance).where(*here).order_by(_instance.c.number)
    observed = selecting(Observation, observation).where(observation.c.instance.in_(living))
    heads = selecting(HeadObservation, head).where(head.c.cluster.in_(unsettled))
    return Rows(
        clusters=found,
        batches=tuple(
            tx.execute(select(batch.c.record).where(batch.c.id.in_(living_batches))).scalars()
        ),
        instances=tuple(read_rows(tx, Instance, instances)),
        observations={it.instance: it for it in read_rows(tx, Observation, observed)},
        heads={it.cluster: it for it in read_rows(tx, HeadObservation, heads)},
        tallies=_tallies(tx, found),
        marks=tuple(pools.current(tx, cloud, now)),
    )


def _tallies(tx: Connection, found: tuple[Cluster, ...]) -> dict[ClusterId, Tally]:
    ids = [it.id for it in found]
    if not ids:
        return {}
    numbers = _numbers(tx, ids)
    batches = dict(_batches(tx, ids))
    return {id: _tally(tx, id, batches.get(id, 0), numbers.get(id)) for id in ids}


class _Numbers(msgspec.Struct, frozen=True):
    instances: int
    workers_launched: int
    failed: int
    workers_ready: int


def _numbers(tx: Connection, ids: list[ClusterId]) -> dict[ClusterId, _Numbers]:
    ready_worker = (_instance.c.role == Role.WORKER) & _instance.c.ready_at.is_not(None)
    launched_worker = (_instance.c.role == Role.WORKER) & _instance.c.launched_at.is_not(None)
    query = (
        select(
            _instance.c.cluster,
            func.max(_instance.c.number),
            func.sum(case((launched_worker, 1), else_=0)),
            func.sum(case((_instance.c.failed, 1), else_=0)),
            func.sum(case((ready_worker, 1), else_=0)),
        )
        .where(_instance.c.cluster.in_(ids))
        .group_by(_instance.c.cluster)
    )
    return {row[0]: _Numbers(row[1], row[2], row[3], row[4]) for row in tx.execute(query)}


def _batches(tx: Connection, ids: list[ClusterId]) -> list[tuple[ClusterId, int]]:
    batch = tables.batch
    query = (
        select(batch.c.cluster, func.count())
        .where(batch.c.cluster.in_(ids))
        .group_by(batch.c.cluster)
    )
    return [(row[0], row[1]) for row in tx.execute(query)]


def _tally(tx: Connection, id: ClusterId, batches: int, numbers: _Numbers | None) -> Tally:
    if numbers is None:
        return Tally(id, batches)
    if not numbers.failed:
        return Tally(
            id,
            batches,
            numbers.instances,
            numbers.workers_launched,
            workers_ready=numbers.workers_ready,
        )
    last_ready = select(func.max(_instance.c.ready_at)).where(_instance.c.cluster == id)
    since = tx.execute(last_ready).scalar()
    failures = (
        select(_instance.c.released_at, _instance.c.why)
        .where(_instance.c.cluster == id, _instance.c.failed)
        .order_by(_instance.c.released_at.desc())
    )
    if since is not None:
        failures = failures.where(_instance.c.released_at > since)
    rows = tx.execute(failures.limit(1000)).all()
    return Tally(
        cluster=id,
        batches=batches,
        instances=numbers.instances,
        workers_launched=numbers.workers_launched,
        failures_in_a_row=len(rows),
        last_failure_at=rows[0][0] if rows else None,
        last_failure=rows[0][1] if rows else "",
        workers_ready=numbers.workers_ready,
    )
