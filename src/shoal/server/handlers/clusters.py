"""Clusters: asked for, looked at, changed, ended. Handlers write what is asked; the loop acts."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

import msgspec

from shoal.clouds.catalog import CLOUDS, Catalog
from shoal.clouds.provider import LaunchError
from shoal.core import cost as money
from shoal.core import defaults, ingress, proposal, status
from shoal.core.records import Cluster, EndKind, Offer
from shoal.errors import CloudError, Conflict, LimitExceeded, NotFound, NotPossible
from shoal.server.desk import Desk, Incoming
from shoal.server.handlers.environments import missing_wheels
from shoal.store import admission, viewing
from shoal.store import clusters as rows
from shoal.store import environments as environment_rows
from shoal.store import instances as instance_rows
from shoal.store import logs as log_rows
from shoal.store import observations as observation_rows
from shoal.trust import authority
from shoal.wire import requests, views
from shoal.wire.endpoints import ClusterQuery, LogQuery, Page
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EnvironmentId, WorkspaceName
from shoal.wire.my_address import my_network
from shoal.wire.specs import NOT_TO_BE_ASKED_FOR, Cloud, ClusterSpec, Workers


async def create_cluster(
    desk: Desk, asked: Incoming[None, requests.CreateCluster]
) -> views.ClusterView:
    caller, spec = asked.caller, asked.body.spec
    if asked.body.join:
        existing = await desk.database.run(rows.running, caller.workspace, spec.name)
        if existing is not None:
            return await view_of(desk, existing)
    check_size(desk, spec.workers, 0)
    await _check_environment(desk, caller.workspace, spec.environment)
    offers = await offered(desk, spec)
    resolved = defaults.resolve(spec, offers)
    resolved = msgspec.structs.replace(resolved, ingress=await _ingress(desk, spec))
    now = desk.clock()
    made = Cluster(
        id=new_id(),
        workspace=caller.workspace,
        owner=caller.user,
        spec=resolved,
        generation=1,
        created_at=now,
    )
    why = f"{caller.user} asked for {spec.workers.wanted} workers"
    event = Event(
        now,
        EventKind.CLUSTER_CREATED,
        caller.user,
        why,
        workspace=caller.workspace,
        cluster=made.id,
    )
    try:
        needs = proposal.asked(proposal.of(made, offers))
        grace_s = desk.settings.budget_grace_s
        await desk.database.run(admission.create, made, needs, grace_s, event)
    except Conflict:
        existing = await desk.database.run(rows.running, caller.workspace, spec.name)
        if not asked.body.join or existing is None:
            raise
        return await view_of(desk, existing)
    await tell_all(desk)
    return await view_of(desk, made)


def new_id() -> ClusterId:
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return ClusterId("c-" + "".join(secrets.choice(alphabet) for _ in range(10)))


def check_size(desk: Desk, asked: Workers, in_use: int) -> None:
    """What one cluster may have at most on this server, whoever asks."""
    most, limit = max(asked.wanted, asked.maximum), desk.settings.max_workers
    if most > limit:
        raise LimitExceeded(
            f"Workers: {most} asked, {in_use} in use, limit {limit} a cluster of this server.",
            hint=f"Ask for {limit} at most, or have the server's --max-workers raised.",
        )


async def _check_environment(
    desk: Desk, workspace: WorkspaceName, environment: EnvironmentId
) -> None:
    manifest = await desk.database.run(environment_rows.get, workspace, environment)
    if missing := await missing_wheels(desk, workspace, manifest):
        raise Conflict(
            f"{environment} is not complete: {len(missing)} wheels are missing.",
            hint="Upload them first.",
        )


async def _ingress(desk: Desk, spec: ClusterSpec) -> tuple[str, ...]:
    account = desk.clouds.account(spec.cloud)
    if account is None:  # VMs of this machine are reached from it alone
        return ()
    allowed, public = spec.allow_ingress_from, account.public_scheduler
    return ingress.settled(
        allowed,
        session=spec.ingress,
        server=await _server_network(desk) if public and allowed != "everyone" else (),
        public=public,
    )


async def _server_network(desk: Desk) -> tuple[str, ...]:
    """As heads see this server; one on the session's own machine is seen as the session is."""
    settings = desk.settings
    if settings.seen_as:
        return (settings.seen_as,)
    if settings.embedded:
        return ()
    hint = "Start the server with --seen-as CIDR, or with another --my-address-url."
    return (await my_network(settings.my_address_url, hint),)


async def offered(desk: Desk, spec: ClusterSpec) -> tuple[Offer, ...]:
    provider = desk.providers.get(Cloud(spec.cloud))
    if provider is None and spec.cloud in NOT_TO_BE_ASKED_FOR:
        what, instead = NOT_TO_BE_ASKED_FOR[spec.cloud]
        raise NotPossible(what, hint=instead)
    if provider is None:
        raise desk.clouds.problems.get(spec.cloud) or NotPossible(
            f"The cloud {spec.cloud} is not set up on this server.",
            hint=f"Set it up: shoal setup {spec.cloud}",
        )
    if spec.region is not None and spec.cloud in CLOUDS:
        regions = Catalog(desk.settings.state.catalog).regions(spec.cloud)
        if spec.region not in regions:
            raise defaults.unknown("region", spec.region, regions)
    try:
        return tuple(await provider.offers(spec.region))
    except LaunchError as error:
        raise CloudError(error.message, hint=error.hint) from error


async def clusters(desk: Desk, asked: Incoming[ClusterQuery, None]) -> views.ClusterList:
    return await clusters_among(desk, asked, None)


async def clusters_among(
    desk: Desk, asked: Incoming[ClusterQuery, None], among: Collection[ClusterId] | None
) -> views.ClusterList:
    """`among`: of these alone; None: of all."""
    now, url = desk.clock(), desk.url
    seen, following = await desk.database.run(
        viewing.page, asked.caller.workspace, asked.query, now, among
    )
    shown = tuple(
        status.cluster_view(
            it.cluster,
            it.vms,
            it.head,
            it.marks,
            now=now,
            url=url,
            seq=it.seq,
            hold=it.hold,
            booked=status.Booked(seen.booked[it.cluster.id])
            if it.cluster.id in seen.booked
            else None,
        )
        for it in seen.facts
    )
    return views.ClusterList(shown, following)


async def cluster(desk: Desk, asked: Incoming[None, None]) -> views.ClusterView:
    return view_from(desk, await facts_of(desk, asked))


async def instances(desk: Desk, asked: Incoming[Page, None]) -> views.InstanceList:
    found = await _find(desk, asked)
    seen = await desk.database.run(
        viewing.instances, found.id, after=asked.query.page, limit=asked.query.limit
    )
    now = desk.clock()
    shown = [status.instance_view(it, seen.observations.get(it.id), now) for it in seen.instances]
    return views.InstanceList(tuple(shown), seen.following)


async def scale_cluster(
    desk: Desk, asked: Incoming[None, requests.ScaleCluster]
) -> views.ClusterView:
    found, workers = await _find(desk, asked), asked.body.workers
    defaults.check_workers(workers)
    if max(workers.wanted, workers.maximum) > desk.settings.max_workers:
        check_size(desk, workers, (await view_of(desk, found)).workers.ready)
    event = Event(
        desk.clock(),
        EventKind.CLUSTER_SCALED,
        asked.caller.user,
        f"{asked.caller.user} asked for {workers.wanted} workers",
        cluster=found.id,
        before=str(found.spec.workers.wanted),
        after=str(workers.wanted),
    )
    changed = await desk.database.run(rows.change_workers, found.id, None, workers, event)
    return await _changed_view(desk, found, changed)


async def sync_cluster(
    desk: Desk, asked: Incoming[None, requests.UpdateEnvironment]
) -> views.ClusterView:
    found, environment = await _find(desk, asked), EnvironmentId(asked.body.environment)
    await _check_environment(desk, found.workspace, environment)
    event = Event(
        desk.clock(),
        EventKind.CLUSTER_SYNCED,
        asked.caller.user,
        f"{asked.caller.user} moved it to {environment}",
        cluster=found.id,
        before=found.spec.environment,
        after=environment,
    )
    changed = await desk.database.run(rows.change_environment, found.id, environment, event)
    return await _changed_view(desk, found, changed)


async def _changed_view(desk: Desk, found: Cluster, changed: Cluster | None) -> views.ClusterView:
    if changed is None:
        raise Conflict(f"The cluster {found.spec.name!r} has ended.", hint="Start another one.")
    await tell_all(desk)
    return await view_of(desk, changed)


async def stop_cluster(desk: Desk, asked: Incoming[None, requests.StopCluster]) -> views.Ended:
    found, now = await _find(desk, asked), desk.clock()
    why = asked.body.reason
    event = Event(now, EventKind.CLUSTER_ENDING, asked.caller.user, why, cluster=found.id)
    did = await desk.database.run(rows.end, found.id, EndKind.USER, why, now, event)
    await tell_all(desk)
    return views.Ended(found.id, already=not did)


async def certificate(desk: Desk, asked: Incoming[None, None]) -> views.ClientCertificate:
    found = await _find(desk, asked)
    head = await desk.database.run(observation_rows.head, found.id)
    if head is None or not head.scheduler_address or found.ended_at is not None:
        raise Conflict(
            f"The scheduler of {found.spec.name!r} does not answer (yet, or any more).",
            hint=f"See: shoal cluster show {found.spec.name}",
        )
    identity = authority.client_identity(desk.key, found.id, found.created_at, asked.caller.user)
    return views.ClientCertificate(
        scheduler_address=head.scheduler_address,
        ca_pem=identity.ca_pem,
        certificate_pem=identity.certificate_pem,
        key_pem=identity.key_pem.text,
    )


async def explain(desk: Desk, asked: Incoming[None, None]) -> views.Explanation:
    found = await _find(desk, asked)
    reconciler = desk.reconcilers.get(found.spec.cloud)
    if reconciler is None:
        raise NotFound(f"The cloud {found.spec.cloud!r} is not set up on this server.")
    return await reconciler.explain(found.id)


async def cost(desk: Desk, asked: Incoming[None, None]) -> views.CostView:
    found = await _find(desk, asked)
    return money.cost_view(
        found.id, await desk.database.run(instance_rows.all_of_cluster, found.id), desk.clock()
    )


async def logs(desk: Desk, asked: Incoming[LogQuery, None]) -> views.LogPage:
    found, query = await _find(desk, asked), asked.query
    return await desk.database.run_samples(
        log_rows.read,
        found.id,
        instance=query.instance,
        process=query.process,
        text=query.text,
        cursor=query.cursor,
        limit=query.limit,
        any_case=query.any_case,
        since=query.since,
        until=query.until,
        before=query.before,
    )


async def _find(desk: Desk, asked: Incoming[Any, Any]) -> Cluster:
    return await desk.database.run(rows.find, asked.caller.workspace, asked.path["cluster"])


async def facts_of(desk: Desk, asked: Incoming[None, None]) -> viewing.ClusterFacts:
    """What a view of the cluster in the path is derived from."""
    workspace, named = asked.caller.workspace, asked.path["cluster"]
    return await desk.database.run(viewing.found, workspace, named, desk.clock())


async def view_of(desk: Desk, found: Cluster) -> views.ClusterView:
    return view_from(desk, await desk.database.run(viewing.cluster, found.id, desk.clock()))


def view_from(desk: Desk, seen: viewing.ClusterFacts) -> views.ClusterView:
    return status.cluster_view(
        seen.cluster,
        seen.vms,
        seen.head,
        seen.marks,
        now=desk.clock(),
        url=desk.url,
        seq=seen.seq,
        hold=seen.hold,
    )


async def tell_all(desk: Desk) -> None:
    await desk.told.ring()
    await desk.wanted.ring()
