"""`shoal.watch(client)`: the record of a Dask cluster that Shoal did not start.

The same plugin as in Shoal's own schedulers is registered through the client: the code of the Shoal
that is installed here, sent by value, nothing fetched from elsewhere. Every few seconds this
session asks it for what is new and hands that to the server, where the cluster shows up as
"watched". It is over when this session says so, ends, or loses the scheduler; the server calls it
over when it has heard nothing for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import cloudpickle
import msgspec
from distributed import Client, get_client

import shoal.plugins.watched
from shoal.client import code_frames, configuration, connection, details
from shoal.client.api import Api
from shoal.client.details import Details
from shoal.errors import InvalidRequest, NotFound, ShoalError
from shoal.plugins.watched import HANDLER, WatchedTelemetry
from shoal.wire import endpoints
from shoal.wire.requests import StopCluster, Watch
from shoal.wire.telemetry import Taken, WatchedReport
from shoal.wire.views import ClusterView

_EVERY_S = 2.0
_GONE_S = 30.0  # a scheduler that has not answered for so long is gone
_CALL_S = 10.0
_SHORTEST = 10  # characters of a scheduler's id that make a name


def watch(
    client: Client | None = None, name: str | None = None, *, tags: dict[str, str] | None = None
) -> Any:
    """Record what `client`'s cluster does, until the result is closed. Awaited where the client
    is asynchronous.

    >>> watched = watch(client, "on-the-laptop")  # doctest: +SKIP
    >>> watched.details()  # doctest: +SKIP
    """
    found = client or get_client()
    watched = Watched(found, name, tags or {}, Api(connection.find))
    return found.sync(watched.start)


class Watched:
    """A cluster that is being watched."""

    def __init__(
        self,
        client: Client,
        name: str | None,
        tags: dict[str, str],
        api: Api,
        *,
        every_s: float = _EVERY_S,
        gone_s: float = _GONE_S,
    ) -> None:
        self._every_s, self._gone_s = every_s, gone_s
        self._client = client
        self._name = name
        self._tags = tags
        self._api = api
        self._cursor = 0
        self._view: ClusterView | None = None
        self._passing_on: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Watched {self._view.name if self._view else self._name}: {self.details_url}>"

    @property
    def id(self) -> str:
        return self._view.id if self._view else ""

    @property
    def details_url(self) -> str:
        return self._view.details_url if self._view else ""

    def details(self) -> Any:
        """What is on record: signals, computations, exceptions."""
        return self._client.sync(self._details)

    def close(self) -> Any:
        """Stop watching; the record stays."""
        return self._client.sync(self._close, "closed by the session that watched it")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close("closed by the session that watched it")

    # -- beginning ---------------------------------------------------------------------------

    async def start(self) -> Self:
        scheduler = str((await self._ask("identity"))["id"])
        body = Watch(self._name or _name(scheduler), scheduler, self._tags)
        await self._register()
        self._view = await self._api.call(endpoints.WATCH, body=body)
        if configuration.value("record-code"):
            code_frames.attach(self._client)
        await self._pass_on()
        self._passing_on = asyncio.ensure_future(self._keep_passing_on())
        return self

    async def _register(self) -> None:
        try:
            with by_value():
                await self._client.register_plugin(WatchedTelemetry(every_s=self._every_s))
        except ValueError as error:
            raise InvalidRequest(
                "The scheduler does not take plugins.",
                hint="Start it with distributed.scheduler.pickle: true (Dask's default).",
            ) from error

    # -- passing on --------------------------------------------------------------------------

    async def _keep_passing_on(self) -> None:
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        while self._client.status not in ("closed", "closing"):
            await asyncio.sleep(self._every_s)
            try:
                if not await self._pass_on():
                    return
                heard_s = loop.time()
            except ShoalError:
                heard_s = loop.time()  # the server is away; what is new waits in the scheduler
            except (OSError, TimeoutError):
                if loop.time() - heard_s > self._gone_s:
                    break
        await self._tell_over("its scheduler is gone")

    async def _pass_on(self, *, end: bool = False) -> bool:
        """Whether the server still wants it."""
        told = await self._ask(HANDLER, cursor=self._cursor, end=end)
        try:
            report = msgspec.json.decode(told, type=WatchedReport)
        except (msgspec.MsgspecError, TypeError) as error:
            raise InvalidRequest(
                "The scheduler's plugin is of another Shoal.",
                hint="Close the other session that watches it.",
            ) from error
        taken: Taken = await self._api.call(
            endpoints.REPORT_WATCHED, path={"cluster": self.id}, body=report
        )
        self._cursor = max(self._cursor, taken.cursor)
        return taken.watching

    async def _ask(self, operation: str, **named: Any) -> Any:
        if self._client.scheduler is None:
            raise ConnectionError("the client is closed")
        async with asyncio.timeout(_CALL_S):
            return await getattr(self._client.scheduler, operation)(**named)

    # -- the end -----------------------------------------------------------------------------

    async def _close(self, reason: str) -> None:
        if self._passing_on is not None:
            self._passing_on.cancel()
            self._passing_on = None
            with contextlib.suppress(OSError, TimeoutError, ShoalError):
                await self._pass_on(end=True)
                await self._client.unregister_scheduler_plugin(WatchedTelemetry.name)
            await self._tell_over(reason)
        await self._api.aclose()

    async def _tell_over(self, reason: str) -> None:
        with contextlib.suppress(ShoalError):  # then the server finds out by the silence
            body = StopCluster(reason=reason)
            await self._api.call(endpoints.STOP_CLUSTER, path={"cluster": self.id}, body=body)

    async def _details(self) -> Details:
        if not self.id:
            raise NotFound("Nothing is watched yet.")
        return await details.of_cluster(self._api, self.id)


@contextlib.contextmanager
def by_value() -> Iterator[None]:
    """The plugin travels as code: the scheduler may have no Shoal, or another one. Dask looks for
    the module itself, cloudpickle for what it imports."""
    modules = (shoal.plugins, shoal.plugins.watched)
    for it in modules:
        cloudpickle.register_pickle_by_value(it)
    try:
        yield
    finally:
        for it in modules:
            cloudpickle.unregister_pickle_by_value(it)


def _name(scheduler: str) -> str:
    """Of a cluster that was given none."""
    known = re.sub(r"[^a-z0-9]", "", scheduler.lower().removeprefix("scheduler"))
    return f"watched-{known[:_SHORTEST]}"
