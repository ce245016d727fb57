"""Whatever a record holds is read back as it was, on both engines."""

from __future__ import annotations

import enum
import types
import typing
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, insert

from shoal.core.records import (
    Batch,
    Cluster,
    HeadObservation,
    Instance,
    Observation,
    PoolMark,
)
from shoal.store import clusters, environments, instances, pools, tables, tokens
from shoal.store.database import Database
from shoal.store.rows import read, selecting, values
from shoal.store.tokens import TokenRow
from shoal.wire.environments import Manifest
from shoal.wire.events import Event
from shoal.wire.ids import UserName
from shoal.wire.views import TokenView
from tests.store.asking import ask
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, an_event, later

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
    Any: st.none() | TEXT | st.integers(-(2**31), 2**31 - 1) | st.booleans(),
}


def made(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that records are made of."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if isinstance(kind, typing.NewType):
        return made(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: made(hints[name]) for name in kind.__struct_fields__})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(made, arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(made(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(made, arguments))
    if origin is dict:
        return st.dictionaries(made(arguments[0]), made(arguments[1]), max_size=2)
    raise AssertionError(f"no strategy for {kind}")


def replaced(record: Any, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


CLUSTER, BATCH = a_cluster(), a_batch(a_cluster())
ours = {"cluster": CLUSTER.id}
ROWS: list[tuple[type[msgspec.Struct], Table, dict[str, Any], dict[str, Any]]] = [
    # a struct, its table, what a foreign key asks for, and what only the store knows
    (Cluster, tables.cluster, {}, {"name": "another", "cloud": "sim"}),
    (Instance, tables.instance, ours | {"batch": BATCH.id}, {"number": 9, "cloud": "sim"}),
    (Observation, tables.observation, {"instance": BATCH.instances[0]}, {}),
    (HeadObservation, tables.head, ours, {}),
    (Event, tables.event, {}, {}),
    (TokenRow, tables.token, {}, {"sha256": "ab"}),
]

# A question to a database is slow, and there are many kinds.
MOST = min(30, settings().max_examples)


class Undone(Exception):
    """Ends a transaction whose writing is not to stay."""


@pytest.mark.parametrize(
    ("kind", "table", "given_keys", "more"), ROWS, ids=[kind.__name__ for kind, *_ in ROWS]
)
@settings(suppress_health_check=list(HealthCheck), max_examples=MOST)
@given(data=st.data())
def test_a_row_is_read_back_as_it_was_written(
    database: Database,
    kind: type[msgspec.Struct],
    table: Table,
    given_keys: dict[str, Any],
    more: dict[str, Any],
    data: st.DataObject,
) -> None:
    record = replaced(data.draw(made(kind)), **given_keys)
    key = next(iter(table.primary_key)).name

    def write_and_read(tx: Connection) -> None:
        clusters.create(tx, CLUSTER, an_event(CLUSTER))
        instances.intend(tx, BATCH, 1, an_event(CLUSTER))
        tx.execute(insert(table).values(values(record, **more)))
        query = selecting(kind, table).where(table.c[key] == getattr(record, key))
        assert read(tx, kind, query) == [record]
        raise Undone

    with pytest.raises(Undone):
        ask(database, write_and_read)


@settings(suppress_health_check=list(HealthCheck), max_examples=MOST)
@given(batch=made(Batch), manifest=made(Manifest), mark=made(PoolMark))
def test_what_is_kept_whole_is_read_back_whole(
    database: Database, batch: Batch, manifest: Manifest, mark: PoolMark
) -> None:
    def write_and_read(tx: Connection) -> None:
        clusters.create(tx, CLUSTER, an_event(CLUSTER))
        tx.execute(insert(tables.batch).values(id="b", cluster=CLUSTER.id, record=batch))
        assert tx.execute(tables.batch.select()).one().record == batch
        environments.put(tx, RESEARCH, manifest, NOW)
        assert environments.get(tx, RESEARCH, manifest.id) == manifest
        pools.mark(tx, mark, an_event(CLUSTER))
        earlier = datetime.min.replace(tzinfo=UTC)
        assert pools.current(tx, mark.cloud, earlier) in ([mark], [])
        assert (pools.current(tx, mark.cloud, earlier) == []) == (mark.until == earlier)
        raise Undone

    with pytest.raises(Undone):
        ask(database, write_and_read)


@given(moments=st.lists(_SIMPLE[datetime], min_size=2, max_size=5))
def test_moments_compare_in_the_database_as_they_do_here(moments: list[datetime]) -> None:
    kind = tables.event.c.at.type
    dialect: Any = None
    stored = [kind.process_bind_param(it, dialect) for it in moments]
    assert [kind.process_result_value(it, dialect) for it in stored] == moments
    assert sorted(range(len(stored)), key=stored.__getitem__) == sorted(
        range(len(moments)), key=moments.__getitem__
    )


def test_a_pool_marked_anew_is_avoided_until_the_newer_mark_says(database: Database) -> None:
    mark = PoolMark(CLUSTER.spec.cloud, "r1", "*", "m4", None, later(10), "empty")
    spot = replaced(mark, spot=True, until=later(20))
    for it in (mark, spot, replaced(mark, until=later(5), why="fuller")):
        ask(database, pools.mark, it, an_event(CLUSTER))
    assert {it.spot: it.until for it in ask(database, pools.current, mark.cloud, NOW)} == {
        None: later(5),
        True: later(20),
    }
    assert ask(database, pools.current, mark.cloud, later(5)) == [spot]
    ask(database, pools.forget, later(30))
    assert ask(database, pools.current, mark.cloud, NOW) == []


def test_a_token_is_found_by_its_hash_until_it_is_revoked(database: Database) -> None:
    view = TokenView("t-1", UserName("ada"), RESEARCH, ("clusters",), NOW, later(60))
    ask(database, tokens.create, view, "hash")
    assert ask(database, tokens.by_hash, "other") is None
    assert ask(database, tokens.by_hash, "hash").scopes == ("clusters",)
    assert ask(database, tokens.page) == [view]
    ask(database, tokens.revoke, "t-1", later(1))
    assert ask(database, tokens.by_hash, "hash").revoked_at == later(1)
    assert ask(database, tokens.page) == []
