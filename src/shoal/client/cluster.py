"""`shoal.Cluster`: a Dask cluster whose machines the Shoal server looks after.

A `distributed.deploy.Cluster`, so it works wherever Dask expects one. It holds no state of its
own: what is wanted goes to the server, and whoever asks for the same name joins. This file ties
Dask's ways (sync and async, context managers, the end of the interpreter) to the calls of
creation.py and api.py; it decides nothing about machines.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import logging
import os
import secrets
import threading
import weakref
from collections.abc import Awaitable, Generator, Iterable
from typing import Any, Unpack

import msgspec
from distributed.client import Client
from distributed.core import Status, rpc
from distributed.deploy import Cluster as DaskCluster
from distributed.security import Security
from distributed.utils import Logs

from shoal.client import (
    arguments,
    code_frames,
    connection,
    creation,
    details,
    environment,
    following,
    logs,
    pages,
    parting,
    progress,
    syncing,
)
from shoal.client.adaptivity import Adaptivity
from shoal.client.api import Api
from shoal.client.arguments import Options
from shoal.client.credentials import evidence
from shoal.client.credentials.forwarding import Forwarding, sources
from shoal.client.dask_info import DaskInfo
from shoal.client.details import Details
from shoal.client.following import Following
from shoal.client.live import Live, LiveDetails
from shoal.client.log_places import Chosen
from shoal.errors import ClusterFailed, InvalidRequest, ShoalError
from shoal.trust import dask_tls
from shoal.trust.identities import ClientIdentity
from shoal.trust.secret import Secret
from shoal.wire import endpoints
from shoal.wire.events import Event, EventKind
from shoal.wire.requests import ScaleCluster, UpdateEnvironment
from shoal.wire.specs import Workers
from shoal.wire.views import (
    ClientCertificate,
    ClusterView,
    CostView,
    Explanation,
)

_log = logging.getLogger(__name__)

_LOOK_S = 1.0  # from a sign that workers came or went to a look at them: there may be more signs
_LOOK_S_A_WORKER = 0.02  # but not so often when they are many
_CREDENTIALS_S = 15.0  # that a cluster which is ready waits for those it is to have
_INTERRUPT_S = 10.0  # for telling the server, after Ctrl+C


class Cluster(DaskCluster):  # type: ignore[misc]
    """A Dask cluster with your own environment, on your own cloud account or this machine.

    >>> cluster = Cluster(n_workers=4)  # doctest: +SKIP
    >>> client = cluster.get_client()  # doctest: +SKIP

    A running cluster of the same `name` is joined. All arguments are in
    docs/reference/cluster.md; their defaults can be set in dask.config under `shoal.`.
    """

    def __init__(
        self, name: str | None = None, *, loop: Any = None, **options: Unpack[Options]
    ) -> None:
        code_frames.switch_on()
        self._asked = arguments.asked(name, options, local_cpus=os.cpu_count() or 1)
        name = self._asked.spec.name or f"dask-{secrets.token_hex(4)}"
        self._progress = progress.Progress(name, progress.rendering(show=self._asked.show_widget))
        self._view: ClusterView | None = None
        self._watch: creation.Watch | None = None  # over its creation
        self._shutdown_on_close = False
        self._come_and_gone = asyncio.Event()  # set whenever a worker does
        self._settled = threading.Event()  # starting has ended, one way or the other
        self._stale = asyncio.Event()  # what is known of the workers may be out of date
        self._jobs: list[asyncio.Future[None]] = []  # until it is closed
        self._left = False  # by close(), after it was over
        self._over = False  # it has ended, and this session did not ask for that
        self._live: Live | None = None  # what a notebook shows
        self._forwarding: Forwarding | None = None
        self.security: Security | None = None
        super().__init__(asynchronous=self._asked.asynchronous, loop=loop, quiet=True, name=name)
        self._api = Api(connection.find)
        if not self.called_from_running_loop:
            self._loop_runner.start()
            self._start_blocking()

    # -- starting

    def _start_blocking(self) -> None:
        try:
            DaskCluster.sync(self, self._start)
        except BaseException as error:  # Ctrl+C too: the loop's thread still has to tell the server
            if not isinstance(error, Exception):
                self._settled.wait(_INTERRUPT_S)
            with contextlib.suppress(TimeoutError):  # a wheel may still be building in a thread
                self._loop_runner.stop()
            raise

    def __await__(self) -> Generator[Any, None, Cluster]:
        return self._started().__await__()

    async def _started(self) -> Cluster:
        if self.status == Status.created:
            await self._start()
        return self

    async def _start(self) -> None:
        self.status = Status.starting
        failed = True
        try:
            async with asyncio.timeout(self._asked.spec.creation_timeout_s):
                await self._bring_up()
            failed = False
        except TimeoutError as error:
            newest = self._watch.view if self._watch else self._view
            waited_s = self._asked.spec.creation_timeout_s
            raise creation.timed_out(self.name, waited_s, newest) from error
        finally:
            if failed:
                await self._give_up()
            self._progress.close(failed=failed)
            self._settled.set()

    async def _bring_up(self) -> None:
        if self._asked.forward_credentials:
            self._forwarding = Forwarding(sources(self._asked.spec.cloud, evidence.here()))
            self._forwarding.begin()
        obtained = await creation.obtain(self._api, self._asked, self.name, self._progress)
        self._view = obtained.view
        chosen = self._asked.shutdown_on_close
        self._shutdown_on_close = obtained.created if chosen is None else chosen
        self._progress.cluster(obtained.view)
        watch = creation.Watch(self._api, obtained.view, self._progress, self._hear)
        self._watch = watch
        await watch.during(self._connect)
        self._view = watch.view
        self._progress.connected(len(self.scheduler_info["workers"]))
        self._jobs.append(asyncio.ensure_future(self._follow(watch.view)))
        self._live = Live(
            Api(connection.find_running),
            self._read_details,
            soon=lambda work: self.loop.add_callback(work),
        )
        self._jobs.append(asyncio.ensure_future(self._live.keep()))
        _open.add(self)

    async def _connect(self, watch: creation.Watch) -> None:
        found = await watch.certificate()
        self.security = _security(found)
        self.scheduler_comm = rpc(
            found.scheduler_address, connection_args=self.security.get_connection_args("client")
        )
        try:
            await super()._start()
        except OSError as error:
            await watch.refresh()  # it is gone because the cluster has just ended?
            raise creation.not_reached(watch.view, found.scheduler_address, error) from error
        self._jobs.append(asyncio.ensure_future(self._look_again()))
        if self._forwarding is not None:
            self._forwarding.connected(self.scheduler_comm)
        await self._enough_workers(watch)
        if self._forwarding is not None:
            await self._forwarding.settle(_CREDENTIALS_S)

    async def _enough_workers(self, watch: creation.Watch) -> None:
        """Not more than are wanted: of a cluster that is joined, or that adapts, it may be fewer
        than were asked for."""
        while len(self.observed) < min(self._asked.wait_for, watch.view.spec.workers.wanted):
            self._come_and_gone.clear()
            await self._come_and_gone.wait()

    def _update_worker_status(self, op: str, message: Any) -> None:
        """Dask's own would stumble over a worker that `_look_again` has found gone before."""
        if op == "remove":
            self.scheduler_info["workers"].pop(message, None)
        else:
            super()._update_worker_status(op, message)
        self._come_and_gone.set()

    async def _look_again(self) -> None:
        """A Dask scheduler tells workers' comings and goings to the one who subscribed last
        (distributed/diagnostics: WorkerStatusPlugin has one name, 2026.8). Here several sessions
        may share a cluster, so each looks by itself when it hears that there was something."""
        while True:
            await self._stale.wait()
            await asyncio.sleep(max(_LOOK_S, _LOOK_S_A_WORKER * len(self.observed)))
            self._stale.clear()
            try:
                self.scheduler_info = await self.scheduler_comm.identity()
            except OSError:
                continue  # Dask's own connections find out, and tell
            self._come_and_gone.set()

    # -- being told

    async def _follow(self, view: ClusterView) -> None:
        ended = await Following(view, self._hear, hinted=self._changed).until_over()
        if ended is not None and self.status == Status.running:
            await self._end(ended)

    def _changed(self) -> None:
        if self._live is not None:
            self._live.changed()

    def _hear(self, event: Event | None) -> None:
        self._changed()
        if event is None or event.kind in _OF_WORKERS:
            self._stale.set()

    async def _end(self, view: ClusterView) -> None:
        """Others ended it, or it was lost. Dask would only see that nobody answers any more."""
        self._view, self._over, self._shutdown_on_close = view, True, False
        self.status = Status.closing
        _open.discard(self)
        error = following.over(view)
        _log.warning("%s", error)
        for client in [it for it in Client._instances if it.cluster is self]:
            client.loop.add_callback(parting.cut_off, client, view)
        if self._live is not None:
            self._live.over(view)
        for job in self._jobs:
            if job is not asyncio.current_task():
                job.cancel()
        if self._forwarding is not None:
            self._forwarding.stop()
        await super()._close()

    @property
    def _usable(self) -> ClusterView:
        """For whatever needs it to run."""
        if self._over:
            raise following.over(self._known)
        return self._known

    async def _give_up(self) -> None:
        """Leave nothing behind that this call made. The first error is the one to be told."""
        try:
            await self._close(reason="its creation was given up")
        except ShoalError:
            self.status = Status.closed

    # -- ending

    def close(self, timeout: float | None = None) -> Awaitable[None] | None:
        """Leave the cluster; it ends too if this session created it (`shutdown_on_close`)."""
        return self._close_with(timeout=timeout)

    def shutdown(self) -> Awaitable[None] | None:
        """End the cluster and all its machines."""
        if self.status == Status.closed:
            return self._close_with(timeout=None)
        self._shutdown_on_close = True
        return self._close_with(timeout=None)

    def _close_with(self, timeout: float | None) -> Awaitable[None] | None:
        ending: Awaitable[None] | None
        if self._over and not self._left:
            self._left = True
            ending = self._sync(self._close)
        else:
            ending = DaskCluster.close(self, timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return ending

    async def _close(self, reason: str = "closed by the session that created it") -> None:
        if self.status == Status.closed:
            await self._api.aclose()
            return
        self.status = Status.closing  # from here on Dask's clients do not try to reconnect
        _open.discard(self)
        if self._shutdown_on_close and self._view is not None:
            await parting.tell_to_stop(self._api, self._view, reason)
        for job in self._jobs:
            job.cancel()
        if self._forwarding is not None:
            self._forwarding.stop()
        await super()._close()
        await self._api.aclose()

    def _stop_at_exit(self) -> None:
        self.status = Status.closed
        if self._shutdown_on_close and self._api.place is not None and self._view is not None:
            parting.tell_at_exit(self._api.place, self._view)

    # -- what is wanted

    def scale(self, n: int) -> Awaitable[None] | None:
        """Want `n` workers, from now on and not adaptively."""
        changed: Awaitable[None] | None = self._sync(self._want, arguments.workers(n))
        return changed

    def adapt(  # type: ignore[override, unused-ignore]
        self,
        Adaptive: Any = None,  # noqa: N803 (Dask's name)
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Let the tasks decide how many workers are wanted, within bounds. The cluster's head
        does it, so that it goes on without this session."""
        if Adaptive is not None or kwargs:
            unknown = ", ".join(sorted(kwargs)) or "Adaptive"
            raise InvalidRequest(
                f"adapt() does not take {unknown}: the cluster's head scales it, with its own pace",
                hint="Give minimum and maximum",
            )
        workers = arguments.bounded(self._usable.spec.workers, minimum, maximum)
        return self._sync(self._adapt, workers)

    async def _adapt(self, workers: Workers) -> Adaptivity:
        await self._want(workers)
        return Adaptivity(workers.minimum, workers.maximum, lambda: self._sync(self._fix))

    async def _fix(self) -> None:
        """As many as are wanted now; the head may have changed it since."""
        self._view = await self._api.call(endpoints.CLUSTER, path={"cluster": self._known.id})
        await self._want(arguments.workers(self._known.spec.workers.wanted))

    async def _want(self, workers: Workers) -> None:
        self._view = await self._api.call(
            endpoints.SCALE_CLUSTER,
            path={"cluster": self._usable.id},
            body=ScaleCluster(workers=workers),
        )

    @property
    def wanted(self) -> int:
        """How many workers the server was last heard to want."""
        return self._known.spec.workers.wanted

    def sync(self, func: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Bring the workers' environment to what the local one is now, by the difference, and wait
        until they have it (`wait=False`: do not). Some begin anew at a time, and hand over their
        results first; the scheduler keeps its environment.

        (Dask calls a method of this name with a function, to run it in the event loop.)
        """
        if func is None:
            return super().sync(self._sync_environment, *args, **kwargs)
        return super().sync(func, *args, **kwargs)

    def withdraw_credentials(self) -> Any:
        """Take back what this session forwards: workers forget it now, and get no more."""
        return self._sync(self._withdraw_credentials)

    async def _withdraw_credentials(self) -> None:
        if self._forwarding is not None:
            await self._forwarding.withdraw(self.scheduler_comm)

    async def _sync_environment(self, *, wait: bool = True) -> None:
        path = {"cluster": self._usable.id}
        shown = progress.Progress(self.name, progress.rendering(show=self._asked.show_widget))
        failed = True
        try:
            target = environment.target_of(self._asked.spec)
            copied = await environment.copy(self._asked.software, target, shown)
            registered = await environment.register(self._api, copied, shown)
            change = UpdateEnvironment(environment=registered)
            view: ClusterView = await self._api.call(endpoints.SYNC_CLUSTER, path=path, body=change)
            self._view = view
            if wait:
                await syncing.until_moved(self._api, view, shown)
                self._view = await self._api.call(endpoints.CLUSTER, path=path)
            failed = False
        finally:
            shown.close(failed=failed)

    # -- what is known

    @property
    def _known(self) -> ClusterView:
        if self._view is None:
            raise ClusterFailed(
                f"Cluster {self.name} has not been started", hint="await it, or use `async with`"
            )
        return self._view

    @property
    def id(self) -> str:
        return self._known.id

    @property
    def details_url(self) -> str:
        return self._known.details_url

    @property
    def dashboard_link(self) -> str:
        """Dask's dashboard, through the server: its own port wants the cluster's certificate."""
        return f"{self._view.details_url}/dashboard" if self._view is not None else ""

    @property
    def scheduler_info(self) -> DaskInfo:
        return self._scheduler_info

    @scheduler_info.setter
    def scheduler_info(self, told: dict[str, Any]) -> None:
        self._scheduler_info = DaskInfo(told, lambda: self.details_url)

    @property
    def shutdown_on_close(self) -> bool:
        return self._shutdown_on_close

    def get_client(self) -> Any:
        """The current Dask client if it is this cluster's, else a new one."""
        self._usable  # noqa: B018 (it raises)
        try:
            current = Client.current()
        except ValueError:
            current = None
        if current is not None and current.cluster is self:
            return current
        return Client(self, asynchronous=self.asynchronous)

    def cost(self) -> Any:
        """What it has cost so far, VM by VM."""
        return self._sync(self._cost)

    def details(self) -> Any:
        """How it is, what deserves attention, what ran and what failed: a shoal.client.Details,
        which a notebook shows as it changes."""
        return self._sync(self._details)

    def explain(self) -> Any:
        """What the server would do next, and why."""
        return self._sync(self._explain)

    def events(self) -> Any:
        """What happened so far, oldest first."""
        return self._sync(self._events)

    async def _cost(self) -> CostView:
        found: CostView = await self._api.call(endpoints.COST, path={"cluster": self.id})
        return found

    async def _details(self) -> Details:
        found = await self._read_details(self._api)
        if self._live is None or self._over:
            return found
        return LiveDetails(**msgspec.structs.asdict(found), live=self._live)

    async def _read_details(self, api: Api) -> Details:
        found = await details.of_cluster(api, self.id)
        if self._forwarding is None or self._over:
            return found
        whose = await self._forwarding.identities(self.scheduler_comm)
        return msgspec.structs.replace(found, credentials=whose)

    async def _explain(self) -> Explanation:
        found: Explanation = await self._api.call(endpoints.EXPLAIN, path={"cluster": self.id})
        return found

    async def _events(self) -> tuple[Event, ...]:
        return tuple([event async for event in pages.events(self._api, self.id)])

    def get_logs(
        self,
        cluster: bool = True,
        scheduler: bool = True,
        workers: bool | Iterable[str] = True,
        *,
        agents: bool | None = None,
        kernel: bool | None = None,
        environment: bool | None = None,
    ) -> Any:
        """What happened ("Cluster") and what each process said: "Scheduler", workers by their
        address, and of each VM its agent, its kernel and the making of its environment ("agent of
        VM", "kernel of VM", "environment of VM"), chosen with `cluster` unless it is said
        otherwise."""
        of_vms = {"agent": agents, "kernel": kernel, "environment": environment}
        chosen = [it for it, wanted in of_vms.items() if (cluster if wanted is None else wanted)]
        all_or_these = workers if isinstance(workers, bool) else frozenset(workers)
        return self._sync(
            self._get_logs, Chosen(scheduler, all_or_these, frozenset(chosen)), cluster
        )

    async def _get_logs(self, chosen: Chosen, happened: bool) -> Logs:
        return await logs.read(self._api, self.id, chosen, happened=happened)

    async def _wait_for_workers(self, n_workers: int = 0, timeout: Any = None) -> None:
        self._usable  # noqa: B018 (it raises)
        await super()._wait_for_workers(n_workers, timeout)

    def _sync(self, func: Any, *args: Any) -> Any:
        return super().sync(func, *args)

    # -- how it looks

    def __repr__(self) -> str:
        if self._over and self._view is not None:
            told = self._view.end_reason or self._view.sentence
            return f"{self._cluster_class_name}({self.name!r}, has ended: {told})"
        text: str = super().__repr__()
        return text

    def _scaling_status(self) -> str:
        """Of Dask's widget."""
        workers = self._known.spec.workers
        here = len(self.scheduler_info["workers"])
        mode = f"Adaptive, {workers.minimum} to {workers.maximum}" if workers.adaptive else "Manual"
        return (
            f"<table><tr><td>Scaling mode: {mode}</td></tr>"
            f"<tr><td>Workers: {here} of {workers.wanted}</td></tr></table>"
        )

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        newest = self._live.newest() if self._live is not None else None
        shown = newest.summary_html() if newest is not None else None
        if shown is None and self._view is not None:
            shown = progress.html(self._progress.snapshot)
        text: str = super()._repr_html_(cluster_status=cluster_status or shown)
        return text

    @property
    def plan(self) -> set[Any]:
        return self.observed  # type: ignore[no-any-return]

    @property
    def requested(self) -> set[Any]:
        return self.observed  # type: ignore[no-any-return]


_OF_WORKERS = (EventKind.INSTANCE_STAGE, EventKind.INSTANCE_RELEASED, EventKind.INSTANCE_GONE)


def _security(found: ClientCertificate) -> Security:
    identity = ClientIdentity(found.ca_pem, found.certificate_pem, Secret(found.key_pem))
    return Security(**dask_tls.from_text(identity))


_open: weakref.WeakSet[Cluster] = weakref.WeakSet()


@atexit.register
def _stop_those_left() -> None:
    for cluster in list(_open):
        cluster._stop_at_exit()


def _signature() -> inspect.Signature:
    """What completion and help show: each argument by its name."""
    keyword, name = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    options = [
        inspect.Parameter(option, keyword, default=None) for option in Options.__annotations__
    ]
    return inspect.Signature([inspect.Parameter("name", name, default=None), *options])


Cluster.__signature__ = _signature()
