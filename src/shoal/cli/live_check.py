"""`shoal doctor CLOUD --live`: a cluster of one small VM, made, looked at, ended, and its price.

It goes the way that every cluster goes. That the VM is found in the cloud's listing by its tags,
boots, brings up its agent and a scheduler that this machine reaches, and is gone from the listing
afterwards, is what the server waits for. The server ends it too when this process is killed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

from shoal.cli.findings import Finding, Grade
from shoal.errors import ShoalError
from shoal.wire.specs import Cloud
from shoal.wire.views import ClusterStatus, ClusterView, CostView

_GONE_WITHIN_S = 900.0
_LOOK_EACH_S = 2.0


def prove(
    cloud: Cloud, region: str | None, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[Finding]:
    """What was seen, as it is seen. Closing the iterator (Ctrl+C) ends the VM first."""
    import shoal

    began = time.monotonic()
    name = f"doctor-{secrets.token_hex(3)}"
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
    except ShoalError as error:
        yield Finding("live: boot", Grade.BAD, error.message, error.hint)
    yield from _afterwards(name, pause)


def _afterwards(name: str, pause: Callable[[float], None]) -> Iterator[Finding]:
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
    if view.status in over:
        yield Finding("live: deletion", Grade.GOOD, "the VM is gone from the cloud's own listing")
    else:
        yield Finding(
            "live: deletion",
            Grade.BAD,
            f"{view.id} is not gone after {_GONE_WITHIN_S:.0f} s; the server goes on ending it",
            f"Look again: shoal cluster show {view.id}",
        )
    cost: CostView = session.ask(endpoints.COST, path={"cluster": view.id})
    yield Finding("live: cost", Grade.GOOD, dollars(cost.cost_uusd))


def _last(name: str) -> ClusterView | None:
    from shoal.cli import session
    from shoal.wire import endpoints
    from shoal.wire.views import ClusterList

    query = endpoints.ClusterQuery(name=name, ended=True)
    found: ClusterList = session.ask(endpoints.CLUSTERS, query=query)
    return found.clusters[0] if found.clusters else None
