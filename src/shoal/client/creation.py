"""From what is asked to a cluster whose scheduler answers, as quickly as the parts allow.

    find or start the server  ─┐
    copy the environment      ─┴─> register it ─> ask for the cluster ─> follow what happens

Whoever is interrupted meanwhile leaves nothing behind: a request for a cluster that is under way
is waited for, so that its cluster can be told to stop. Knows the API, and nothing of Dask.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import msgspec

from shoal.client import configuration, environment, price_list, together
from shoal.client.api import Api
from shoal.client.arguments import Asked
from shoal.client.progress import Progress, StepName
from shoal.errors import (
    ClusterFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    ServerFault,
    ShoalError,
    StoreFault,
)
from shoal.wire import endpoints
from shoal.wire.accounts import AccountList, cloud_of
from shoal.wire.endpoints import ChangesQuery, Page
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import EventSeq
from shoal.wire.my_address import my_network
from shoal.wire.requests import CreateCluster, StopCluster
from shoal.wire.specs import Cloud, ClusterSpec
from shoal.wire.views import ClientCertificate, ClusterStatus, ClusterView, Ended, ServerInfo

_REFRESH_S = 0.25  # before each look at the whole cluster, however much happens
_PATIENCE_S, _AGAIN_S = 60.0, 1.0
_IN_TROUBLE = (ServerFault, StoreFault)
_OVER = (ClusterStatus.ENDING, ClusterStatus.ENDED, ClusterStatus.FAILED)
_MACHINES = Page(limit=100)  # enough to say which kinds there are


class Obtained(msgspec.Struct, frozen=True):
    view: ClusterView
    created: bool  # by this call; else joined


async def obtain(api: Api, asked: Asked, name: str, progress: Progress) -> Obtained:
    """Join the running cluster of that name, or ask for one. `name`: given or made up."""
    if asked.spec.name:
        await _connect(api, asked, progress)
        running = await _running(api, name)
        if running is not None:
            return Obtained(running, created=False)
    spec = await _complete(api, asked, name, progress)
    try:
        view = await _ask(api, spec)
    except Conflict:
        running = await _running(api, name)
        if running is None:
            raise
        return Obtained(running, created=False)
    return Obtained(view, created=True)


async def stop(api: Api, view: ClusterView, reason: str) -> Ended:
    ended: Ended = await api.call(
        endpoints.STOP_CLUSTER, path={"cluster": view.id}, body=StopCluster(reason=reason)
    )
    return ended


class Watch:
    """What happens in one cluster, from `view` on, until a piece of work on it is done."""

    def __init__(
        self,
        api: Api,
        view: ClusterView,
        progress: Progress,
        heard: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.view = view  # the newest
        self._api = api
        self._progress = progress
        self._heard = heard
        self._happened = asyncio.Event()
        self._scheduler_ready = asyncio.Event()
        if view.scheduler_address:
            self._scheduler_ready.set()

    async def during(self, work: Callable[[Watch], Awaitable[None]]) -> None:
        """Do `work`, unless the cluster ends before: then it is ClusterFailed, at once."""
        try:
            async with asyncio.TaskGroup() as group:
                watching = [group.create_task(self._follow()), group.create_task(self._look())]
                await work(self)
                for task in watching:
                    task.cancel()
        except ExceptionGroup as several:
            raise together.first(several) from None

    async def certificate(self) -> ClientCertificate:
        """As soon as the scheduler accepts clients. It may be gone again just then: asked for again
        until another has come, or a look finds that the cluster has ended."""
        patience = _Patience()
        while True:
            await self._scheduler_ready.wait()
            try:
                found: ClientCertificate = await self._api.call(
                    endpoints.CERTIFICATE, path={"cluster": self.view.id}
                )
                return found
            except Conflict:
                self._happened.set()
                await asyncio.sleep(_AGAIN_S)
            except _IN_TROUBLE as error:
                await patience.tried(error)

    async def _follow(self) -> None:
        self._happened.set()  # how things are now
        patience, seen = _Patience(), self.view.event_seq
        while True:
            query = ChangesQuery(cluster=self.view.id, after=seen)
            try:
                async for event in self._api.stream(endpoints.CHANGES, query=query):
                    seen = EventSeq(event.seq)
                    patience.rewarded()
                    await self._hear(event)
            except _IN_TROUBLE as error:
                await patience.tried(error)

    async def _hear(self, event: Event) -> None:
        self._progress.event(event)
        self._heard(event)
        self._happened.set()
        if event.kind is EventKind.CLUSTER_READY:
            self._scheduler_ready.set()
        elif event.kind in (EventKind.CLUSTER_ENDING, EventKind.CLUSTER_ENDED):
            await self.refresh()
            raise _failed(self.view, event.why)

    async def _look(self) -> None:
        """The whole cluster after something happened, but not after each of 1,000 things."""
        patience = _Patience()
        while True:
            await self._happened.wait()
            await asyncio.sleep(_REFRESH_S)  # more will have happened
            self._happened.clear()
            try:
                await self.refresh()
                machines = await self._api.call(
                    endpoints.INSTANCES, path={"cluster": self.view.id}, query=_MACHINES
                )
            except _IN_TROUBLE as error:
                await patience.tried(error)
                self._happened.set()
                continue
            patience.rewarded()
            self._progress.instances(machines.instances)

    async def refresh(self) -> None:
        """Look at the cluster now; ClusterFailed if it is over."""
        self.view = await self._api.call(endpoints.CLUSTER, path={"cluster": self.view.id})
        self._progress.cluster(self.view)
        if self.view.status in _OVER:
            raise _failed(self.view, self.view.end_reason)
        if self.view.scheduler_address:
            self._scheduler_ready.set()


class _Patience:
    """With a server that says it cannot, just now: a cluster is not given up for that at once."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    async def tried(self, error: ShoalError) -> None:
        """Waits, or raises the error when it has lasted too long."""
        now_s = asyncio.get_running_loop().time()
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s > _PATIENCE_S:
            raise error
        await asyncio.sleep(_AGAIN_S)

    def rewarded(self) -> None:
        self._since_s = None


def _failed(view: ClusterView, why: str) -> ClusterFailed:
    return ClusterFailed(
        f"Cluster {view.name} ({view.id}): {view.sentence or why or 'it has ended'}",
        hint=where_to_look(view),
    )


def where_to_look(view: ClusterView) -> str:
    return (
        f"What happened: shoal cluster events {view.id}; "
        f"what its processes said: shoal cluster logs {view.id}"
    )


async def _connect(api: Api, asked: Asked, progress: Progress) -> None:
    progress.running(StepName.SERVER)
    place = await api.connect()
    if asked.workspace is not None:
        info: ServerInfo = await api.call(endpoints.SERVER)
        if info.workspace != asked.workspace:
            raise InvalidRequest(
                f"workspace={asked.workspace!r}, but your token is for {info.workspace!r}",
                hint="Log in with a token of that workspace: shoal login URL --token TOKEN",
            )
    progress.done(StepName.SERVER, place.url)


async def _running(api: Api, name: str) -> ClusterView | None:
    try:
        view: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": name})
    except NotFound:
        return None
    return None if view.status in _OVER else view


def not_reached(view: ClusterView, address: str, error: OSError) -> ClusterFailed:
    """The server reaches it and this session does not: the way between is closed, or another."""
    return ClusterFailed(
        f"Cluster {view.name} ({view.id}) runs, but its scheduler at {address} is not reached from "
        f"here: {error}",
        hint=f"Is a VPN or a firewall in between? Only {_let_in(view.spec)} may come in from "
        'outside of its network: say who else with allow_ingress_from="203.0.113.0/24"',
    )


def _let_in(spec: ClusterSpec) -> str:
    if spec.allow_ingress_from != "me":
        return spec.allow_ingress_from
    return ", ".join(spec.ingress) or "this machine"


def timed_out(name: str, waited_s: float, newest: ClusterView | None) -> ClusterFailed:
    where = newest.sentence if newest else "nothing was asked of a cloud yet"
    return ClusterFailed(
        f"Cluster {name} did not come up within {waited_s:g} s: {where}",
        hint="Give it longer with timeout=, or see why: shoal cluster explain " + name,
    )


async def _complete(api: Api, asked: Asked, name: str, progress: Progress) -> ClusterSpec:
    """The environment is copied while the server is found; most of the time both are there."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_preview(api, asked, name, progress))
            copying = group.create_task(
                environment.copy(asked.software, environment.target_of(asked.spec), progress)
            )
    except ExceptionGroup as several:
        raise together.first(several) from None
    registered = await environment.register(api, copying.result(), progress)
    return msgspec.structs.replace(
        asked.spec,
        name=name,
        environment=registered,
        python_hint=_own_python(asked.spec.cloud),
        ingress=await _own_network(api, asked.spec),
    )


async def _preview(api: Api, asked: Asked, name: str, progress: Progress) -> None:
    """What it would be made of; at once an error if it cannot be had, or limits forbid it."""
    if not asked.spec.name:  # else connected already
        await _connect(api, asked, progress)
    spec = msgspec.structs.replace(asked.spec, name=name)
    told = await price_list.head(api, spec)
    progress.offered(told.table)
    progress.noted(told.notices)


async def _own_network(api: Api, spec: ClusterSpec) -> tuple[str, ...]:
    """What this session is seen as, where a scheduler with a public address lets in "me" alone."""
    if spec.allow_ingress_from != "me" or spec.cloud is Cloud.LOCAL:
        return ()
    registered: AccountList = await api.call(endpoints.ACCOUNTS)
    if not any(cloud_of(it) is spec.cloud and it.public_scheduler for it in registered.accounts):
        return ()
    hint = (
        'Say who may reach the scheduler: allow_ingress_from="203.0.113.7/32"; '
        "or set shoal.my-address-url to a URL that answers with the address of whoever asks."
    )
    return (await my_network(configuration.text("my_address_url"), hint),)


def _own_python(cloud: Cloud) -> str:
    """VMs of this machine can build on the interpreter that this session builds on."""
    return getattr(sys, "_base_executable", sys.executable) if cloud is Cloud.LOCAL else ""


async def _ask(api: Api, spec: ClusterSpec) -> ClusterView:
    asking = asyncio.ensure_future(
        api.call(endpoints.CREATE_CLUSTER, body=CreateCluster(spec=spec, join=False))
    )
    try:
        view: ClusterView = await asyncio.shield(asking)
    except asyncio.CancelledError:
        await stop(api, await asking, "interrupted while it was asked for")
        raise
    return view
