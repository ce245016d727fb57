"""Rows and structs: the columns of a table that are a struct's fields, in order, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Connection, CursorResult, Executable, Select, Table, select
from sqlalchemy.dialects import postgresql, sqlite

S = TypeVar("S", bound=msgspec.Struct)


def columns(kind: type[msgspec.Struct], table: Table) -> list[Column[Any]]:
    return [table.c[name] for name in kind.__struct_fields__]


def selecting(kind: type[msgspec.Struct], table: Table) -> Select[Any]:
    return select(*columns(kind, table))


def read(tx: Connection, kind: type[S], query: Select[Any]) -> list[S]:
    """The query must select the struct's fields, in their order."""
    return [kind(*row) for row in tx.execute(query)]


def values(struct: msgspec.Struct, **more: object) -> dict[str, Any]:
    return {field: getattr(struct, field) for field in struct.__struct_fields__} | more


def changed(tx: Connection, statement: Executable) -> int:
    """How many rows a statement changed."""
    result: CursorResult[Any] = tx.execute(statement)
    return result.rowcount


def upsert(tx: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert, or replace all but the primary key."""
    given = list(rows)
    if not given:
        return
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    key = [column.name for column in table.primary_key]
    updates = {name: statement.excluded[name] for name in given[0] if name not in key}
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=updates), given)
