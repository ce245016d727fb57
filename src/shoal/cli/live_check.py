"""`shoal doctor CLOUD --live`: a cluster of one small VM, made, looked at, ended, and its price.

It goes the way that every cluster goes; the server ends the VM too when this process is killed.
What is looked at besides: the cloud's own listing, asked from here with the login that is here, and
whether the VM's metadata service answers those who wait for a notice of preemption.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence

from shoal.cli.findings import Finding, Grade
from shoal.core.records import Vm
from shoal.errors import ShoalError
from shoal.wire.reports import NO_NOTICE
from shoal.wire.specs import Cloud
from shoal.wire.views import ClusterStatus, ClusterView, CostView, LogPage, ServerInfo

_GONE_WITHIN_S = 900.0
_LOOK_EACH_S = 2.0
_NOTICE_WITHIN_S = 180.0  # Azure's first answer may take two minutes

List = Callable[[], Sequence[Vm]]
Pause = Callable[[float], None]


def prove(
    cloud: Cloud,
    region: str | None,
    *,
    pause: Pause = time.sleep,
    listed: List | None = None,
) -> Iterator[Finding]:
    """What was seen, as it is seen. Closing the iterator (Ctrl+C) ends the VM first."""
    import shoal

    began = time.monotonic()
    name = f"doctor-{secrets.token_hex(3)}"
    listed = listed or (lambda: _listed(cloud))
    try:
        with shoal.Cluster(
            name,
            cloud=cloud.value,
            region=region,
            n_workers=0,
            wait_for_workers=False,
            scheduler_cpu=[1, 2],
            idle_timeout="10 minutes",
            cluster_timeout="15 minutes",
            package_sync_only=["dask", "distributed"],
            tags={"purpose": "doctor"},
            show_widget=False,
            shutdown_on_close=True,
        ) as cluster:
            seconds = time.monotonic() - began
            yield Finding("live: boot", Grade.GOOD, f"a VM booted and answered in {seconds:.0f} s")
            with cluster.get_client() as client:
                identity = client.scheduler_info()["address"]
            yield Finding("live: scheduler", Grade.GOOD, f"reached at {identity}")
            view = _last(name)
            if view is not None:
                yield _tagged(view, listed)
                yield _notices(view, pause)
    except ShoalError as error:
        yield Finding("live: boot", Grade.BAD, error.message, error.hint)
    yield from _afterwards(name, pause, listed)


def _tagged(view: ClusterView, listed: List) -> Finding:
    what = "live: listing and tags"
    try:
        found = [it for it in listed() if it.cluster == view.id and it.kind == "vm"]
    except ShoalError as error:
        told = f"the listing was not asked from here: {error.message}"
        return Finding(what, Grade.NOTE, told, error.hint)
    if len(found) != 1 or not found[0].batch:
        told = f"the cloud lists {len(found)} VMs with the tags of {view.id}, not one"
        return Finding(what, Grade.BAD, told, "Who may set tags? See: shoal doctor")
    return Finding(what, Grade.GOOD, f"the cloud lists {found[0].id} as of {found[0].batch}")


def _notices(view: ClusterView, pause: Pause) -> Finding:
    from shoal.cli import session
    from shoal.wire import endpoints

    until = time.monotonic() + _NOTICE_WITHIN_S
    query = endpoints.LogQuery(process="agent", text=NO_NOTICE)
    while True:
        page: LogPage = session.ask(endpoints.LOGS, path={"cluster": view.id}, query=query)
        if page.lines:
            return Finding("live: notices", Grade.GOOD, page.lines[0].text)
        if time.monotonic() > until:
            return Finding(
                "live: notices",
                Grade.BAD,
                f"the metadata service did not answer within {_NOTICE_WITHIN_S:.0f} s",
                "Spot VMs would end without notice. Is 169.254.169.254 closed on this network?",
            )
        pause(_LOOK_EACH_S)


def _afterwards(name: str, pause: Pause, listed: List) -> Iterator[Finding]:
    from shoal.cli import session
    from shoal.client.progress import dollars
    from shoal.wire import endpoints

    view = _last(name)
    if view is None:
        return
    until = time.monotonic() + _GONE_WITHIN_S
    over = (ClusterStatus.ENDED, ClusterStatus.FAILED)
    while view.status not in over and time.monotonic() < until:
        pause(_LOOK_EACH_S)
        view = session.ask(endpoints.CLUSTER, path={"cluster": view.id})
    yield _gone(view, listed)
    cost: CostView = session.ask(endpoints.COST, path={"cluster": view.id})
    yield Finding("live: cost", Grade.GOOD, dollars(cost.cost_uusd))


def _gone(view: ClusterView, listed: List) -> Finding:
    if view.status not in (ClusterStatus.ENDED, ClusterStatus.FAILED):
        return Finding(
            "live: deletion",
            Grade.BAD,
            f"{view.id} is not gone after {_GONE_WITHIN_S:.0f} s; the server goes on ending it",
            f"Look again: shoal cluster show {view.id}",
        )
    try:
        left = [it for it in listed() if it.cluster == view.id]
    except ShoalError:
        left = []  # the server's own listing has said it
    if left:
        told = f"the cloud still lists {', '.join(it.id for it in left)}"
        return Finding("live: deletion", Grade.BAD, told, "The server's sweep ends it.")
    return Finding("live: deletion", Grade.GOOD, "the VM and its disk are gone from the listing")


def _listed(cloud: Cloud) -> Sequence[Vm]:
    """All of this installation's, by the cloud's own answer to the login that is here."""
    from shoal.cli import session
    from shoal.cli.setup import ServerRegister
    from shoal.clouds.catalog import Catalog
    from shoal.server import providers
    from shoal.wire import endpoints

    account = ServerRegister().known(cloud)
    if account is None:
        return ()
    info: ServerInfo = session.ask(endpoints.SERVER)
    provider = providers.reached(account, info.installation, Catalog())
    return asyncio.run(provider.list())


def _last(name: str) -> ClusterView | None:
    from shoal.cli import session
    from shoal.wire import endpoints
    from shoal.wire.views import ClusterList

    query = endpoints.ClusterQuery(name=name, ended=True)
    found: ClusterList = session.ask(endpoints.CLUSTERS, query=query)
    return found.clusters[0] if found.clusters else None
