"""Manifests of environments; the wheels themselves are files beside the database."""

from __future__ import annotations

from sqlalchemy import Connection, select

from shoal.errors import NotFound
from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import upsert
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId


def put(tx: Connection, manifest: Manifest) -> None:
    upsert(tx, tables.environment, [{"id": manifest.id, "manifest": manifest}])


@reading
def get(tx: Connection, id: EnvironmentId) -> Manifest:
    query = select(tables.environment.c.manifest).where(tables.environment.c.id == id)
    found: Manifest | None = tx.execute(query).scalar()
    if found is None:
        raise NotFound(f"There is no environment {id}.", hint="Register it first.")
    return found
