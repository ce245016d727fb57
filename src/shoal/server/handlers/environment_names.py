"""Environments that people keep under names: saved, listed, forgotten."""

from __future__ import annotations

import re

from shoal.errors import Conflict, InvalidRequest
from shoal.server.desk import Desk, Incoming
from shoal.server.handlers.environments import missing_wheels
from shoal.store import environment_names as names
from shoal.store import environments as rows
from shoal.wire.endpoints import EnvironmentList, Nothing
from shoal.wire.environments import Manifest
from shoal.wire.requests import SaveEnvironment
from shoal.wire.views import EnvironmentView

_NAME = re.compile(r"(?!env-)[a-z0-9][a-z0-9-]{0,62}")


async def save_environment(desk: Desk, asked: Incoming[None, SaveEnvironment]) -> EnvironmentView:
    name, workspace, id = asked.path["name"], asked.caller.workspace, asked.body.environment
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be the name of an environment.",
            hint='Take 1 to 63 characters a-z, 0-9 and "-"; not "env-" at the beginning.',
        )
    manifest = await desk.database.run(rows.get, workspace, id)
    if missing := await missing_wheels(desk, workspace, manifest):
        raise Conflict(
            f"{id} is not complete: {len(missing)} wheels are missing.",
            hint="Upload them first: shoal env save does.",
        )
    named = names.Named(workspace, name, id, desk.clock(), asked.caller.user)
    await desk.database.run(names.save, named)
    return await _view(desk, named, manifest)


async def environments(desk: Desk, asked: Incoming[None, None]) -> EnvironmentList:
    found = []
    workspace = asked.caller.workspace
    for named in await desk.database.run(names.of_workspace, workspace):
        manifest = await desk.database.run(rows.get, workspace, named.environment)
        found.append(await _view(desk, named, manifest))
    return EnvironmentList(tuple(found))


async def forget_environment(desk: Desk, asked: Incoming[None, None]) -> Nothing:
    await desk.database.run(names.remove, asked.caller.workspace, asked.path["name"])
    return Nothing()


async def _view(desk: Desk, named: names.Named, manifest: Manifest) -> EnvironmentView:
    uses = await desk.database.run(names.uses, named.workspace, named.environment)
    return EnvironmentView(
        name=named.name,
        id=named.environment,
        packages=len(manifest.packages),
        wheels_bytes=sum(it.size_bytes for it in manifest.wheels),
        python=manifest.python,
        platform=manifest.platform,
        saved_at=named.saved_at,
        saved_by=named.saved_by,
        last_used_at=uses.last_at,
        clusters=uses.clusters,
        running=uses.running,
    )
