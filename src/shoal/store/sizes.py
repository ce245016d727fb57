"""How large the record is: bytes of the databases and rows of the tables that grow."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, MetaData, Table, func, literal, select, text

from shoal.store import tables
from shoal.store.questions import reading


class TableSize(msgspec.Struct, frozen=True):
    name: str
    rows: int
    about: bool  # whether `rows` is the engine's estimate


class Size(msgspec.Struct, frozen=True):
    bytes: int
    tables: tuple[TableSize, ...]  # the longest first


@reading
def facts(tx: Connection) -> Size:
    return _size(tx, tables.facts)


@reading
def samples(tx: Connection) -> Size:
    return _size(tx, tables.samples)


def _size(tx: Connection, declared: MetaData) -> Size:
    if tx.dialect.name == "postgresql":
        found = [_estimated(tx, str(it.name)) for it in declared.sorted_tables]
        relation = text("SELECT pg_total_relation_size(to_regclass(:name))")
        size = sum(
            int(tx.execute(relation, {"name": it.name}).scalar_one())
            for it in declared.sorted_tables
        )
    else:
        found = [_counted(tx, it) for it in declared.sorted_tables]
        pages, page_size = (
            int(tx.execute(text(f"PRAGMA {it}")).scalar_one()) for it in ("page_count", "page_size")
        )
        size = pages * page_size
    return Size(size, tuple(sorted(found, key=lambda it: -it.rows)))


_MOST = 100_000  # rows that are counted one by one


def _counted(tx: Connection, table: Table) -> TableSize:
    """The greatest rowid is had at once, and no less than the rows that are there."""
    if table.dialect_options["sqlite"]["with_rowid"]:
        greatest = select(func.max(text("rowid"))).select_from(table)
        return TableSize(str(table.name), int(tx.execute(greatest).scalar() or 0), True)
    some = select(literal(1)).select_from(table).limit(_MOST).subquery()
    rows = int(tx.execute(select(func.count()).select_from(some)).scalar_one())
    return TableSize(str(table.name), rows, rows == _MOST)


def _estimated(tx: Connection, name: str) -> TableSize:
    """Counting would read the table; before the first ANALYZE there is no estimate (-1)."""
    query = text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)")
    rows = tx.execute(query, {"name": name}).scalar_one()
    if rows >= 0:
        return TableSize(name, int(rows), True)
    return TableSize(
        name, int(tx.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()), False
    )
