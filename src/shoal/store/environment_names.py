"""Names that people gave to environments, each workspace's own, and what was made of them.

A name may be given again: then it means the other environment. Clusters know environments by id,
so those that were made before keep what they have.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, Text, delete, func, select, type_coerce

from shoal.errors import NotFound
from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import changed, read, selecting, upsert, values
from shoal.wire.ids import EnvironmentId, UserName, WorkspaceName

_name, _cluster = tables.environment_name, tables.cluster


class Named(msgspec.Struct, frozen=True):
    workspace: WorkspaceName
    name: str
    environment: EnvironmentId
    saved_at: datetime
    saved_by: UserName


class Uses(msgspec.Struct, frozen=True):
    """By clusters of the workspace."""

    clusters: int = 0  # ever
    running: int = 0
    last_at: datetime | None = None  # when the newest was asked for


def save(tx: Connection, named: Named) -> None:
    upsert(tx, _name, [values(named)])


@reading
def of_workspace(tx: Connection, workspace: WorkspaceName) -> list[Named]:
    query = selecting(Named, _name).where(_name.c.workspace == workspace)
    return read(tx, Named, query.order_by(_name.c.name))


@reading
def meant(tx: Connection, workspace: WorkspaceName, word: str) -> EnvironmentId:
    """The environment of that name; else the word is an id."""
    query = select(_name.c.environment).where(_name.c.workspace == workspace, _name.c.name == word)
    return EnvironmentId(tx.execute(query).scalar() or word)


@reading
def uses(tx: Connection, workspace: WorkspaceName, environment: EnvironmentId) -> Uses:
    running = func.count().filter(_cluster.c.ended_at.is_(None))
    query = select(func.count(), running, func.max(_cluster.c.created_at)).where(
        _cluster.c.workspace == workspace, _asks_for(environment)
    )
    return Uses(*tx.execute(query).one())


def remove(tx: Connection, workspace: WorkspaceName, name: str) -> None:
    mine = (_name.c.workspace == workspace) & (_name.c.name == name)
    if not changed(tx, delete(_name).where(mine)):
        raise NotFound(
            f"There is no environment named {name}.", hint="Those that there are: shoal env list"
        )


def _asks_for(environment: EnvironmentId) -> ColumnElement[bool]:
    spec = type_coerce(_cluster.c.spec, Text)
    return spec.contains(f'"environment":"{environment}"', autoescape=True)
