"""Everything one pass of the reconciler decides on, in one transaction."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, case, func, select, text

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


class _Questions(msgspec.Struct, frozen=True):
    """Asked each pass, and the same each time: made once."""

    batches: Select[Any]
    instances: Select[Any]
    observations: Select[Any]
    heads: Select[Any]
    numbers: Select[Any]
    batch_counts: Select[Any]


def read(tx: Connection, cloud: Cloud, now: datetime) -> Rows:
    _see_one_moment(tx)
    questions = _questions(cloud)
    found = tuple(clusters.unsettled(tx, cloud))
    return Rows(
        clusters=found,
        batches=tuple(tx.execute(questions.batches).scalars()),
        instances=tuple(read_rows(tx, Instance, questions.instances)),
        observations={it.instance: it for it in read_rows(tx, Observation, questions.observations)},
        heads={it.cluster: it for it in read_rows(tx, HeadObservation, questions.heads)},
        tallies=_tallies(tx, questions, found) if found else {},
        marks=tuple(pools.current(tx, cloud, now)),
    )


def _see_one_moment(tx: Connection) -> None:
    """All questions of this transaction are answered as of one moment. Else rows from before and a
    tally from after another replica's intent would make a second batch with a free id."""
    if tx.dialect.name == "postgresql":  # SQLite's transactions do so by themselves
        tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


@functools.cache
def _questions(cloud: Cloud) -> _Questions:
    here = (_instance.c.cloud == cloud, _instance.c.state != InstanceState.GONE)
    living = select(_instance.c.id).where(*here)
    living_batches = select(_instance.c.batch).where(*here).distinct()
    unsettled = select(tables.cluster.c.id).where(
        tables.cluster.c.cloud == cloud, tables.cluster.c.settled_at.is_(None)
    )
    batch, observation, head = tables.batch, tables.observation, tables.head
    is_worker = _instance.c.role == Role.WORKER
    launched = is_worker & _instance.c.launched_at.is_not(None)
    ready = is_worker & _instance.c.ready_at.is_not(None)
    return _Questions(
        batches=select(batch.c.record).where(batch.c.id.in_(living_batches)),
        instances=selecting(Instance, _instance).where(*here).order_by(_instance.c.number),
        observations=selecting(Observation, observation).where(observation.c.instance.in_(living)),
        heads=selecting(HeadObservation, head).where(head.c.cluster.in_(unsettled)),
        numbers=select(
            _instance.c.cluster,
            func.max(_instance.c.number),
            func.sum(case((launched, 1), else_=0)),
            func.sum(case((_instance.c.failed, 1), else_=0)),
            func.sum(case((ready, 1), else_=0)),
        )
        .where(_instance.c.cluster.in_(unsettled))
        .group_by(_instance.c.cluster),
        batch_counts=select(batch.c.cluster, func.count())
        .where(batch.c.cluster.in_(unsettled))
        .group_by(batch.c.cluster),
    )


def _tallies(
    tx: Connection, questions: _Questions, found: tuple[Cluster, ...]
) -> dict[ClusterId, Tally]:
    numbers = {row[0]: _Numbers(*row[1:]) for row in tx.execute(questions.numbers)}
    batches = {row[0]: row[1] for row in tx.execute(questions.batch_counts)}
    return {it.id: _tally(tx, it.id, batches.get(it.id, 0), numbers.get(it.id)) for it in found}


class _Numbers(msgspec.Struct, frozen=True):
    instances: int
    workers_launched: int
    failed: int
    workers_ready: int


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
