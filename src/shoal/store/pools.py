"""Where not to ask for a while."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete

from shoal.core.records import PoolMark
from shoal.store import events, tables
from shoal.store.columns import Moment
from shoal.store.questions import reading
from shoal.store.rows import read, selecting, upsert, values
from shoal.wire.events import Event
from shoal.wire.specs import Cloud

_BOTH = -1


def mark(tx: Connection, pool: PoolMark, event: Event) -> None:
    """Marked anew, it is avoided until the later mark says."""
    row = values(pool)
    row["spot"] = _BOTH if pool.spot is None else int(pool.spot)
    upsert(tx, tables.pool, [row])
    events.append(tx, event)


@reading
def current(tx: Connection, cloud: Cloud, now: datetime) -> list[PoolMark]:
    return [
        msgspec.structs.replace(it, spot=None if it.spot == _BOTH else bool(it.spot))
        for it in read(tx, PoolMark, _after(cloud), now=now)
    ]


@functools.cache  # asked each pass
def _after(cloud: Cloud) -> Select[Any]:
    pool = tables.pool.c
    now = bindparam("now", type_=Moment)
    return selecting(PoolMark, tables.pool).where(pool.cloud == cloud, pool.until > now)


def forget(tx: Connection, before: datetime) -> None:
    tx.execute(delete(tables.pool).where(tables.pool.c.until < before))
