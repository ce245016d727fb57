"""Rows and structs: the columns of a table that are a struct's fields, in order, and back.

A pass reads tens of thousands of rows. They come from the engine as they are stored and become
structs column by column, where each distinct value is translated once.

To put a question together and to know it again takes SQLAlchemy longer than its answer: what is
asked often is a constant with parameters.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    Integer,
    Select,
    Table,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator

from shoal.store.columns import Prose, moment

S = TypeVar("S", bound=msgspec.Struct)


_AT_ONCE = 500  # rows; more at once, and the garbage collector walks over all of them


def columns(kind: type[msgspec.Struct], table: Table) -> list[Column[Any]]:
    return [table.c[name] for name in kind.__struct_fields__]


@functools.cache
def selecting(kind: type[msgspec.Struct], table: Table) -> Select[Any]:
    """The struct's columns, as they are stored: for `read`."""
    return select(*map(_as_stored, columns(kind, table)))


def read(tx: Connection, kind: type[S], query: Select[Any], **given: object) -> list[S]:
    """The query is one of `selecting` this struct; `given`: its parameters."""
    translators = _translators(kind)
    found: list[S] = []
    for rows in tx.execute(query, given).partitions(_AT_ONCE):
        stored = zip(zip(*rows, strict=True), translators, strict=True)
        found += map(kind, *(_translated(column, translate) for column, translate in stored))
    return found


def values(struct: msgspec.Struct, **more: object) -> dict[str, Any]:
    return {field: getattr(struct, field) for field in struct.__struct_fields__} | more


def changed(tx: Connection, statement: Executable, **given: object) -> int:
    """How many rows a statement changed."""
    result: CursorResult[Any] = tx.execute(statement, given)
    return result.rowcount


def upsert(tx: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert, or replace all but the primary key."""
    given = list(rows)
    if not given:
        return
    tx.execute(_upserting(tx.dialect.name, table, tuple(given[0])), given)


@functools.cache
def _upserting(engine: str, table: Table, names: tuple[str, ...]) -> Executable:
    insert = postgresql.insert if engine == "postgresql" else sqlite.insert
    statement = insert(table)
    key = [column.name for column in table.primary_key]
    updates = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=updates)


def contains(tx: Connection, text: str, *places: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether one of the columns has it; upper or lower case alike, for the letters A to Z."""
    position = func.strpos if tx.dialect.name == "postgresql" else func.instr
    needle = type_coerce(text.lower(), Prose())
    return or_(*(position(func.lower(it), needle, type_=Integer) > 0 for it in places))


_Translate = Callable[[Any], Any]


def _as_stored(column: Column[Any]) -> ColumnElement[Any]:
    kind = column.type
    return type_coerce(column, kind.impl) if isinstance(kind, TypeDecorator) else column


def _translated(column: Sequence[Any], translate: _Translate | None) -> Sequence[Any]:
    if translate is None:
        return column
    meanings = {it: None if it is None else translate(it) for it in set(column)}
    return [meanings[it] for it in column]


@functools.cache
def _translators(kind: type[msgspec.Struct]) -> tuple[_Translate | None, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(_translator(hints[name]) for name in kind.__struct_fields__)


def _translator(hint: Any) -> _Translate | None:
    """How a field of this type is got from what columns.py stores for it."""
    told = inspect.type_info(hint)
    options = told.types if isinstance(told, inspect.UnionType) else (told,)
    [meant] = [it for it in options if not isinstance(it, inspect.NoneType)]
    match meant:
        case inspect.DateTimeType():
            return moment
        case inspect.EnumType(cls=cls):
            return cls
        case inspect.StructType() | inspect.VarTupleType():
            return msgspec.json.Decoder(hint).decode
        case _:
            return None  # the engine's own
