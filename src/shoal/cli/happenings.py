"""What happened to a cluster, past and as it happens: the record's events, and what Dask told of
its workers and shuffles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, assert_never

import click

from shoal.wire.events import Event
from shoal.wire.telemetry import ShuffleEvent, ShuffleList, WorkerEvent, WorkerEventList
from shoal.wire.views import ClusterView

if TYPE_CHECKING:
    from shoal.client.api import Api

Happening: TypeAlias = Event | WorkerEvent | ShuffleEvent

_FOLLOW_S = 1.0  # between looks for what comes in no stream


async def tell_all(
    api: Api, cluster: str, tell: Callable[[Happening], None], *, follow: bool
) -> None:
    from shoal.client import pages
    from shoal.wire import endpoints

    view: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": cluster})
    past: list[Happening] = [event async for event in pages.events(api, view.id)]
    after = max((it.seq for it in past if isinstance(it, Event)), default=0)
    happened = await _of_dask(api, view, None)
    for it in sorted([*past, *happened], key=lambda it: it.at):
        tell(it)
    if follow:
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(_follow_dask(api, view, happened, tell))
            changes = endpoints.ChangesQuery(cluster=view.id, after=after)
            async for event in api.stream(endpoints.CHANGES, query=changes):
                tell(event)
            beside.cancel()


async def _of_dask(api: Api, view: ClusterView, since: datetime | None) -> list[Happening]:
    """Workers' arrivals and losses, and shuffles, the newest."""
    from shoal.wire import endpoints

    path, query = {"cluster": view.id}, endpoints.NewestQuery(since=since, limit=1000)
    workers: WorkerEventList = await api.call(endpoints.WORKER_EVENTS, path=path, query=query)
    shuffles: ShuffleList = await api.call(endpoints.SHUFFLES, path=path, query=query)
    return [*workers.events, *shuffles.events]


async def _follow_dask(
    api: Api, view: ClusterView, told: list[Happening], tell: Callable[[Happening], None]
) -> None:
    """They come in no stream: the newest are asked for now and then."""
    while True:
        await asyncio.sleep(_FOLLOW_S)
        since = max((it.at for it in told), default=None)
        new = [it for it in await _of_dask(api, view, since) if it not in told]
        for it in sorted(new, key=lambda it: it.at):
            tell(it)
        told += new


def line(it: Happening) -> None:
    match it:
        case Event():
            _event(it)
        case WorkerEvent():
            what = "arrived" if it.added else f"lost ({it.reason or 'nobody has said why'})"
            lost = f"; {it.tasks_lost} results are computed again" if it.tasks_lost else ""
            click.echo(f"{it.at:%Y-%m-%d %H:%M:%S}  worker {what}  {it.worker}  {it.detail}{lost}")
        case ShuffleEvent():
            run = f", run {it.run}" if it.run > 1 else ""
            click.echo(f"{it.at:%Y-%m-%d %H:%M:%S}  shuffle {it.what}{run}  {it.id}  {it.detail}")
        case _:
            assert_never(it)


def _event(event: Event) -> None:
    subject = event.instance or event.cluster or ""
    change = f" ({event.before or '–'} → {event.after})" if event.after else ""
    times = f" ×{event.count}" if event.count > 1 else ""
    click.echo(
        f"{event.at:%Y-%m-%d %H:%M:%S}  {event.kind.value}{times}  {subject}{change}  "
        f"{event.actor}: {event.why}"
    )
