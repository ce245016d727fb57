"""Pages of clusters: filtered, in an order, and as quick at ten thousand as at ten.

A page is found by the last cluster of the page before it (its place in the order, then its id),
never by counting rows from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, assert_never

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from shoal.core.records import Cluster, EndKind
from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import contains, read, selecting
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.specs import Cloud
from shoal.wire.views import ClusterOrder, ClusterPhase

_cluster, _head = tables.cluster, tables.head
_NEVER = 2**62


@reading
def page(
    tx: Connection,
    workspace: WorkspaceName,
    query: ClusterQuery,
    among: Collection[ClusterId] | None = None,
) -> tuple[list[Cluster], str | None]:
    """And what the next page is to be asked with. `among`: of these alone."""
    column, descending = _order(query.sort)
    wanted = [_cluster.c.workspace == workspace, *_conditions(tx, query)]
    if among is not None:
        wanted.append(_cluster.c.id.in_(among))
    if query.page is not None:
        wanted.append(_beyond(query.page, column, descending=descending))
    found = read(
        tx,
        Cluster,
        selecting(Cluster, _cluster)
        .where(*wanted)
        .order_by(column.desc() if descending else column, _cluster.c.id)
        .limit(query.limit + 1),
    )
    return found[: query.limit], found[query.limit - 1].id if len(found) > query.limit else None


@reading
def owners(tx: Connection, workspace: WorkspaceName) -> list[UserName]:
    """Of clusters, running and past, by name."""
    found = tx.execute(_OWNERS, {"here": workspace}).scalars()
    return sorted(UserName(it) for it in found if it is not None)


def _owners() -> Select[Any]:
    """From each to the one after it in the index: there are few, of thousands of clusters."""
    first = func.min(_cluster.c.owner).label("owner")
    least = select(first).where(_cluster.c.workspace == bindparam("here"))
    found = least.cte("found", recursive=True)
    following = least.where(_cluster.c.owner > found.c.owner).scalar_subquery()
    every = found.union_all(select(following).where(found.c.owner.is_not(None)))
    return select(every.c.owner)


_OWNERS = _owners()


def _order(sort: ClusterOrder) -> tuple[ColumnElement[Any], bool]:
    """By what, and whether from the greatest on."""
    match sort:
        case ClusterOrder.NEWEST:
            return _cluster.c.created_at, True
        case ClusterOrder.OLDEST:
            return _cluster.c.created_at, False
        case ClusterOrder.NAME:
            return _cluster.c.name, False
        case ClusterOrder.OWNER:
            return _cluster.c.owner, False
        case ClusterOrder.LAST_ENDED:
            ended = type_coerce(_cluster.c.ended_at, Integer)
            return func.coalesce(ended, _NEVER, type_=Integer), True
        case ClusterOrder.COST:
            none = case((_cluster.c.booked_at.is_not(None), 0), else_=_NEVER)
            return func.coalesce(_cost(), none, type_=BigInteger), True
        case ClusterOrder.DURATION:
            until = func.coalesce(type_coerce(_cluster.c.ended_at, BigInteger), _NEVER)
            return until - type_coerce(_cluster.c.created_at, BigInteger), True
        case _:
            assert_never(sort)


def _cost() -> ColumnElement[Any]:
    """What is booked of a cluster, which is all of a settled one's; NULL too of one that never had
    a VM."""
    booked = tables.ledger
    query = select(func.sum(booked.c.uusd)).where(booked.c.cluster == _cluster.c.id)
    return query.correlate(_cluster).scalar_subquery()


def _beyond(last: str, column: ColumnElement[Any], *, descending: bool) -> ColumnElement[bool]:
    """Behind the cluster `last`, which need not match the filters any more."""
    place = select(column).where(_cluster.c.id == last).correlate(None).scalar_subquery()
    # The first condition says no more than the second, but an index can be entered with it.
    reached, further = (
        (column <= place, column < place) if descending else (column >= place, column > place)
    )
    return and_(reached, or_(further, _cluster.c.id > last))


def _conditions(tx: Connection, query: ClusterQuery) -> Iterator[ColumnElement[bool]]:
    if query.state is not None:
        yield _in_phase(query.state)
    elif not query.ended:
        yield _cluster.c.settled_at.is_(None)
    if query.name is not None:
        yield _cluster.c.name == query.name
    if query.owner is not None:
        yield _cluster.c.owner == query.owner
    if query.cloud is not None:
        known = query.cloud in list(Cloud)
        yield _cluster.c.cloud == Cloud(query.cloud) if known else _cluster.c.id.is_(None)
    if query.tag:
        yield _tagged(tx, query.tag)
    if query.text:
        places = (_cluster.c.name, _cluster.c.id, _cluster.c.owner, _cluster.c.end_reason)
        yield contains(tx, query.text, *places)
    if query.since is not None:
        yield or_(_cluster.c.ended_at.is_(None), _cluster.c.ended_at >= query.since)
    if query.until is not None:
        yield _cluster.c.created_at < query.until


def _in_phase(phase: ClusterPhase) -> ColumnElement[bool]:
    c = _cluster.c
    reachable = exists().where(_head.c.cluster == c.id, _head.c.scheduler_address != "")
    failed = c.end_kind == EndKind.FAILED
    match phase:
        case ClusterPhase.RUNNING:
            return c.ended_at.is_(None)
        case ClusterPhase.STARTING:
            return and_(c.ended_at.is_(None), ~reachable)
        case ClusterPhase.UP:
            return and_(c.ended_at.is_(None), reachable)
        case ClusterPhase.ENDING:
            return and_(c.ended_at.is_not(None), c.settled_at.is_(None))
        case ClusterPhase.PAST:
            return c.settled_at.is_not(None)
        case ClusterPhase.ENDED:
            return and_(c.settled_at.is_not(None), ~failed)
        case ClusterPhase.FAILED:
            return and_(c.ended_at.is_not(None), failed)
        case _:
            assert_never(phase)


def _tagged(tx: Connection, asked: str) -> ColumnElement[bool]:
    key, given, value = asked.partition("=")
    stored = _tag(tx, key.strip())
    return stored == value.strip() if given else stored.is_not(None)


def _tag(tx: Connection, key: str) -> ColumnElement[Any]:
    """The tag's value: tags are JSON text on both engines."""
    tags = type_coerce(_cluster.c.tags, Text)
    if tx.dialect.name == "postgresql":
        value: ColumnElement[Any] = cast(tags, JSONB)[key].astext
        return value
    quoted = key.replace('"', "")  # a label in a path of SQLite's cannot hold a quote
    return func.json_extract(tags, f'$."{quoted}"', type_=Text)
