"""Manifests of environments, each workspace's own; the wheels are files beside the database.

Two workspaces that register the same content have a row each: to know an id opens nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from shoal.errors import NotFound
from shoal.store import clusters, tables
from shoal.store.questions import reading
from shoal.store.rows import changed
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId, WorkspaceName

_environment = tables.environment


def put(tx: Connection, workspace: WorkspaceName, manifest: Manifest, now: datetime) -> None:
    """What is there stays as it is, and counts as used now."""
    mine = (_environment.c.workspace == workspace) & (_environment.c.id == manifest.id)
    if not changed(tx, update(_environment).where(mine).values(used_at=now)):
        row = {"workspace": workspace, "id": manifest.id, "manifest": manifest, "used_at": now}
        tx.execute(_environment.insert().values(row))


@reading
def get(tx: Connection, workspace: WorkspaceName, id: EnvironmentId) -> Manifest:
    query = select(_environment.c.manifest).where(
        _environment.c.workspace == workspace, _environment.c.id == id
    )
    found: Manifest | None = tx.execute(query).scalar()
    if found is None:
        raise NotFound(
            f"There is no environment {id}.",
            hint="Keep one under a name: shoal env save NAME. Those that there are: shoal env list",
        )
    return found


def mark_used(tx: Connection, now: datetime) -> None:
    """Those of clusters that are looked after, and those that are kept under a name."""
    name = tables.environment_name
    used = {(it.workspace, it.spec.environment) for it in clusters.unsettled(tx, None)}
    used |= {(row[0], row[1]) for row in tx.execute(select(name.c.workspace, name.c.environment))}
    for workspace, id in used:
        mine = (_environment.c.workspace == workspace) & (_environment.c.id == id)
        tx.execute(update(_environment).where(mine).values(used_at=now))


@reading
def wheels_used_since(tx: Connection, since: datetime) -> dict[WorkspaceName, frozenset[str]]:
    """SHA-256 of the wheels that each workspace has used since then."""
    found: dict[WorkspaceName, frozenset[str]] = {}
    query = select(_environment.c.workspace, _environment.c.manifest)
    for workspace, manifest in tx.execute(query.where(_environment.c.used_at >= since)):
        sums = frozenset(it.sha256 for it in manifest.wheels)
        found[workspace] = found.get(workspace, frozenset()) | sums
    return found


def forget(tx: Connection, before: datetime) -> int:
    """How many there were that nobody has used since."""
    return changed(tx, delete(_environment).where(_environment.c.used_at < before))
