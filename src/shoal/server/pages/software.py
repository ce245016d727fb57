"""A cluster's environment on a page: its packages, what changed, and how it came onto its VMs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from shoal.core import status
from shoal.core.records import Cluster
from shoal.errors import NotFound
from shoal.server.pages import exports
from shoal.server.pages.builds import Builds, Use, builds, made, uses
from shoal.server.pages.cluster import cluster_view, page
from shoal.server.pages.frame import Visit
from shoal.server.pages.packages import Change, changes
from shoal.store import clusters as cluster_rows
from shoal.store import environments as environment_rows
from shoal.store import events as event_rows
from shoal.store import instances as instance_rows
from shoal.store import logs as log_rows
from shoal.store import observations as observation_rows
from shoal.store import viewing
from shoal.wire.environments import Manifest
from shoal.wire.ids import ClusterId, EnvironmentId, InstanceId
from shoal.wire.reports import PhaseTime

_VMS, _SAID, _MADE = 300, 300, 30
_INSTALLING = ("installing", "conda")  # phases


async def software(visit: Visit) -> Response:
    desk, view = visit.desk, await cluster_view(visit)
    manifest = await _manifest(visit, view.spec.environment)
    found = await desk.database.run(cluster_rows.get, view.id)
    before, changed = await _changes(visit, found, manifest)
    had = await _had(visit, view.id)
    shown = _shown(had)
    said = await desk.database.run_samples(
        log_rows.tail, view.id, _SAID, process=log_rows.ENVIRONMENT, instance=shown
    )
    values = {
        "builds": had.builds,
        "uses": had.uses,
        "made": made(had.took, _MADE),
        "untold": len(had.took) - _MADE,
        "first": None if had.whole else _VMS,
        "unable": found.unable if view.ended_at is None else "",
        "said": said,
        "said_on": shown,
        "manifest": manifest,
        "before": before,
        "changes": changed,
        "wheels": {it.distribution: it for it in manifest.wheels} if manifest else {},
    }
    return page(visit, view, "software", values)


class _Had(msgspec.Struct, frozen=True):
    """What is known of the environment on the cluster's first VMs."""

    builds: Builds
    uses: Sequence[Use]
    took: dict[InstanceId, Sequence[PhaseTime]]
    whole: bool  # there are no VMs beside them


async def _had(visit: Visit, cluster: ClusterId) -> _Had:
    desk, now = visit.desk, visit.desk.clock()
    seen = await desk.database.run(viewing.instances, cluster, after=None, limit=_VMS)
    ids = [one.id for one in seen.instances]
    stages = await desk.database.run(event_rows.stages, cluster, ids)
    vms = [status.instance_view(it, seen.observations.get(it.id), now) for it in seen.instances]
    took = await desk.database.run(observation_rows.made_in, ids)
    return _Had(builds(vms, stages), uses(vms), dict(took), seen.following is None)


def _shown(had: _Had) -> InstanceId | None:
    """Whose build log stands on the page: of one that failed, else of one that installed it rather
    than copy what was there, the slowest. None: of all, while none is known to be done."""
    if had.builds.failures:
        return had.builds.failures[0].last
    installed = {
        vm: sum(it.seconds for it in phases)
        for vm, phases in had.took.items()
        if any(it.phase in _INSTALLING for it in phases)
    }
    return max(installed, key=lambda it: installed[it], default=had.builds.slowest)


async def _changes(
    visit: Visit, cluster: Cluster, manifest: Manifest | None
) -> tuple[Cluster | None, Sequence[Change]]:
    """The last cluster of the same name, and what is otherwise now."""
    before = await visit.desk.database.run(cluster_rows.before, cluster)
    old = await _manifest(visit, before.spec.environment) if before else None
    return before, changes(old, manifest) if old and manifest else ()


async def _manifest(visit: Visit, id: EnvironmentId) -> Manifest | None:
    try:
        return await visit.desk.database.run(environment_rows.get, visit.known.caller.workspace, id)
    except NotFound:
        return None


async def packages_file(visit: Visit) -> Response:
    view = await cluster_view(visit)
    manifest = await visit.desk.database.run(
        environment_rows.get, visit.known.caller.workspace, view.spec.environment
    )
    kind = visit.request.path_params["kind"]
    return exports.structs(view.name, "packages", kind, {"packages": manifest.packages})


async def part(visit: Visit) -> Response:
    """What changed, where it could not be made, or which VMs run what, as a file."""
    view, path = await cluster_view(visit), visit.request.path_params
    had = await _had(visit, view.id)
    found = await visit.desk.database.run(cluster_rows.get, view.id)
    _, changed = await _changes(visit, found, await _manifest(visit, view.spec.environment))
    parts: dict[str, Sequence[msgspec.Struct]] = {
        "changes": changed,
        "failures": had.builds.failures,
        "uses": had.uses,
    }
    return exports.structs(view.name, path["part"], path["kind"], parts)


async def builds_file(visit: Visit) -> Response:
    """A row for each phase of making the environment on each VM."""
    view, kind = await cluster_view(visit), visit.request.path_params["kind"]
    vms = await visit.desk.database.run(instance_rows.all_of_cluster, view.id)
    took = await visit.desk.database.run(observation_rows.made_in, [it.id for it in vms])
    found = [BuildPhase(vm, one.phase, one.seconds) for vm, it in took.items() for one in it]
    return exports.structs(view.name, "builds", kind, {"builds": found})


class BuildPhase(msgspec.Struct, frozen=True):
    vm: InstanceId
    phase: str
    seconds: float


async def lock(visit: Visit) -> Response:
    """The cluster's pylock.toml, to make the same environment elsewhere."""
    view = await cluster_view(visit)
    manifest = await visit.desk.database.run(
        environment_rows.get, visit.known.caller.workspace, view.spec.environment
    )
    return exports.as_text(f"{view.name}.pylock.toml", manifest.lock)
