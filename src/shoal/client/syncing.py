"""After `Cluster.sync()`: until every worker runs the new environment, or it is clear that none
can.

Looks at the workers when something happened to them, and not more often than a person could read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from shoal.client import pages
from shoal.client.api import Api
from shoal.client.progress import Progress, StepName
from shoal.errors import ClusterFailed, EnvironmentFailed
from shoal.wire import endpoints
from shoal.wire.endpoints import ChangesQuery
from shoal.wire.events import EventKind
from shoal.wire.specs import Role
from shoal.wire.views import ClusterView, InstanceState, InstanceView, Stage

_APART_S = 0.5
_ENDS = (EventKind.CLUSTER_ENDING, EventKind.CLUSTER_ENDED)
_LIVING = (InstanceState.INTENDED, InstanceState.LAUNCHED)


async def until_moved(api: Api, view: ClusterView, progress: Progress) -> None:
    """`view`: as the change of environment was answered with. Raises EnvironmentFailed."""
    happened = asyncio.Event()
    watching = asyncio.ensure_future(_watch(api, view, happened))
    try:
        while not await _moved(api, view, progress):
            waiting = asyncio.ensure_future(happened.wait())
            await asyncio.wait([waiting, watching], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if watching.done():
                await watching
            await asyncio.sleep(_APART_S)
            happened.clear()
    finally:
        watching.cancel()


async def _watch(api: Api, view: ClusterView, happened: asyncio.Event) -> None:
    query = ChangesQuery(cluster=view.id, after=view.event_seq)
    async for event in api.stream(endpoints.CHANGES, query=query):
        if event.kind in _ENDS:
            raise ClusterFailed(
                f"Cluster {view.name} ({view.id}) ended before its workers had the new "
                f"environment: {event.why}"
            )
        happened.set()


async def _moved(api: Api, view: ClusterView, progress: Progress) -> bool:
    wanted = view.spec.environment
    workers = [
        it
        async for it in pages.instances(api, view.id)
        if it.role is Role.WORKER
        if it.state in _LIVING or it.broken == wanted
    ]
    if any(it.broken == wanted for it in workers):
        raise _cannot(view, workers)
    moved = sum(it.stage is Stage.READY and it.environment == wanted for it in workers)
    progress.running(StepName.WORKERS, f"{moved} of {len(workers)} run the new environment")
    if moved < len(workers):
        return False
    progress.done(StepName.WORKERS)
    return True


def _cannot(view: ClusterView, workers: Sequence[InstanceView]) -> EnvironmentFailed:
    """Grouped by the reason."""
    wanted = view.spec.environment
    whys = Counter(it.detail for it in workers if it.broken == wanted)
    told = "; ".join(f"{count} of {len(workers)} workers: {why}" for why, count in whys.items())
    return EnvironmentFailed(
        f"The workers of {view.name} cannot have the environment of now ({wanted}): {told}",
        hint="They go on with the one from before, and no new workers come until this is mended: "
        "change your environment and call sync() again",
    )
