"""Everything one pass of the reconciler decides on, in one transaction."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, case, func, or_, select

from shoal.core.records import (
    Batch,
    Cluster,
    HeadObservation,
    Held,
    Instance,
    Observation,
    PoolMark,
    Tally,
)
from shoal.store import clusters, limits, pools, tables
from shoal.store.questions import reading
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
    held: dict[ClusterId, tuple[Held, ...]]
    holds: dict[ClusterId, str]


class _Questions(msgspec.Struct, frozen=True):
    """Asked each pass, and the same each time: made once."""

    batches: Select[Any]
    instances: Select[Any]
    observations: Select[Any]
    heads: Select[Any]
    numbers: Select[Any]
    batch_counts: Select[Any]
    failures: Select[Any]


@reading
def read(tx: Connection, cloud: Cloud, now: datetime) -> Rows:
    """As of one moment (questions.py): rows from before and a tally from after another replica's
    intent would make a second batch with a free id."""
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
        held=limits.of_clusters(tx, found, now),
        holds=limits.all_holds(tx),
    )


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
        failures=_failures_in_a_row(unsettled),
    )


def _tallies(
    tx: Connection, questions: _Questions, found: tuple[Cluster, ...]
) -> dict[ClusterId, Tally]:
    numbers = {row[0]: _Numbers(*row[1:]) for row in tx.execute(questions.numbers)}
    batches = {row[0]: row[1] for row in tx.execute(questions.batch_counts)}
    failures: dict[ClusterId, _Failures] = {}
    if any(it.failed for it in numbers.values()):
        failures = {row[0]: _Failures(*row[1:]) for row in tx.execute(questions.failures)}
    return {
        it.id: _tally(
            it.id,
            batches.get(it.id, 0),
            numbers.get(it.id, _Numbers()),
            failures.get(it.id, _Failures()),
        )
        for it in found
    }


class _Numbers(msgspec.Struct, frozen=True):
    instances: int = 0
    workers_launched: int = 0
    failed: int = 0
    workers_ready: int = 0


class _Failures(msgspec.Struct, frozen=True):
    in_a_row: int = 0
    last_at: datetime | None = None
    last: str = ""


def _tally(id: ClusterId, batches: int, numbers: _Numbers, failures: _Failures) -> Tally:
    return Tally(
        cluster=id,
        batches=batches,
        instances=numbers.instances,
        workers_launched=numbers.workers_launched,
        failures_in_a_row=failures.in_a_row,
        last_failure_at=failures.last_at,
        last_failure=failures.last,
        workers_ready=numbers.workers_ready,
    )


def _failures_in_a_row(unsettled: Select[Any]) -> Select[Any]:
    """Of each cluster: how many since the last one that became ready, and the newest of them."""
    last_ready = (
        select(_instance.c.cluster, func.max(_instance.c.ready_at).label("at"))
        .where(_instance.c.cluster.in_(unsettled))
        .group_by(_instance.c.cluster)
        .subquery()
    )
    newest_first = func.row_number().over(
        partition_by=_instance.c.cluster,
        order_by=(_instance.c.released_at.desc(), _instance.c.number.desc()),
    )
    since = (
        select(
            _instance.c.cluster,
            func.count().over(partition_by=_instance.c.cluster).label("count"),
            _instance.c.released_at,
            _instance.c.why,
            newest_first.label("place"),
        )
        .join(last_ready, last_ready.c.cluster == _instance.c.cluster)
        .where(
            _instance.c.failed,
            or_(last_ready.c.at.is_(None), _instance.c.released_at > last_ready.c.at),
        )
        .subquery()
    )
    return select(since.c.cluster, since.c.count, since.c.released_at, since.c.why).where(
        since.c.place == 1
    )
