"""Reads the logins of this session, sends them to the scheduler, and renews both while it lives.

What goes wrong with a login is told by `Cluster.details()` and `shoal doctor`; it never stops a
cluster. All that is forwarded goes with each message: states, not events.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from shoal.client.credentials import evidence, renewal
from shoal.client.credentials.aws import AwsLogin
from shoal.client.credentials.azure import AzureLogin
from shoal.client.credentials.found import (
    READING_FAILED,
    Forwarded,
    ForwardedIdentity,
    Login,
    Place,
)
from shoal.client.credentials.gcp import GcpLogin
from shoal.errors import ShoalError
from shoal.plugins.credentials.held import KNOWN, TAKE, WANTED, WITHDRAW
from shoal.wire.specs import Cloud

_T = TypeVar("_T")

_FIRST_READ_S = 15.0  # what is read by then is sent together
_AGAIN_S = 5.0
_REPEAT_S = 300.0  # so that a scheduler that began anew has it again
_POLL_S = 30.0
_CALL_S = 20.0
_NAP_S = 60.0  # at most: a laptop may sleep, and clocks jump


class Source(NamedTuple):
    cloud: Cloud
    make: Callable[[], Login]


_LOGINS = (
    Source(Cloud.AWS, AwsLogin),
    Source(Cloud.AZURE, AzureLogin),
    Source(Cloud.GCP, GcpLogin),
)


def sources(cluster: Cloud, place: Place) -> list[Source]:
    """All logins that are here. VMs of the local cloud find by themselves what is in files."""
    found = [(it, evidence.of(it.cloud, place)) for it in _LOGINS]
    return [
        it
        for it, where in found
        if where is evidence.In.SESSION or (where is not None and cluster is not Cloud.LOCAL)
    ]


class Forwarding:
    def __init__(
        self, found: Sequence[Source], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._sources = found
        self._now = now
        self._sender = secrets.token_hex(8)
        self._read: dict[Cloud, Forwarded] = {}
        self._why_not: dict[Cloud, str] = {}
        self._looked: set[Cloud] = set()
        self._resources: frozenset[str] = frozenset()  # Azure's, that tasks asked for
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._scheduler: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.settled = asyncio.Event()  # sent once, or nothing to send
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Reading does not need the scheduler yet."""
        if self._sources:
            self._running = asyncio.create_task(self._run())
        else:
            self.settled.set()

    def connected(self, scheduler: Any) -> None:
        """`scheduler`: Dask's rpc to it, over TLS."""
        if not self._scheduler.done():
            self._scheduler.set_result(scheduler)

    async def settle(self, within_s: float) -> None:
        """Until the workers that are there have what is forwarded, or it takes too long."""
        if self._running is not None:
            settled = asyncio.ensure_future(self.settled.wait())
            await asyncio.wait(
                {settled, self._running},
                timeout=within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            settled.cancel()

    def stop(self) -> None:
        """No more renewals; what was sent expires by itself."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def withdraw(self, scheduler: Any) -> None:
        """Workers forget what this session sent, now."""
        self.stop()
        self._read.clear()
        await _call(scheduler, WITHDRAW, sender=self._sender)

    async def identities(self, scheduler: Any) -> tuple[ForwardedIdentity, ...]:
        """Whose credentials the workers have, of whichever session; and what this one lacks."""
        with contextlib.suppress(OSError, TimeoutError):
            told = await _call(scheduler, KNOWN)
            there = {Cloud(it["cloud"]): it for it in told}
            known = [
                ForwardedIdentity(
                    cloud, it["identity"], datetime.fromtimestamp(it["expires_at"], UTC)
                )
                for cloud, it in there.items()
            ]
            missing = [
                ForwardedIdentity(cloud, "", None, why)
                for cloud, why in self._why_not.items()
                if cloud not in there
            ]
            return tuple(sorted([*known, *missing], key=lambda it: it.cloud))
        return ()

    # -- the jobs ----------------------------------------------------------------------------

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for it in self._sources:
                group.create_task(self._keep(it))
            group.create_task(self._send())
            if any(it.cloud is Cloud.AZURE for it in self._sources):
                group.create_task(self._hear_what_is_wanted())

    async def _keep(self, source: Source) -> None:
        login: Login | None = None
        while True:
            self._wanted.clear()
            now = self._now()
            due = now + renewal.AFTER_FAILURE
            try:
                if login is None:
                    login = await _in_thread(source.make)
                found = await _in_thread(login.read, now, self._resources)
            except READING_FAILED as error:
                self._why_not[source.cloud] = told(error)
            else:
                self._why_not.pop(source.cloud, None)
                if found != self._read.get(source.cloud):
                    self._read[source.cloud] = found
                    self._changed.set()
                due = renewal.due(now, found.expires_at)
            self._looked.add(source.cloud)
            self._changed.set()
            await self._until(due, more=source.cloud is Cloud.AZURE)

    async def _until(self, due: datetime, *, more: bool) -> None:
        """Or until a task wants a token that is not there, where tokens are for one resource."""
        while (rest_s := (due - self._now()).total_seconds()) > 0:
            nap_s = min(rest_s, _NAP_S)
            if not more:
                await asyncio.sleep(nap_s)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), nap_s)
                return

    async def _send(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_READ_S):
                while len(self._looked) < len(self._sources):
                    self._changed.clear()
                    await self._changed.wait()
        scheduler = await self._scheduler
        while True:
            self._changed.clear()
            sent = await self._sent(scheduler)
            self.settled.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _REPEAT_S if sent else _AGAIN_S)

    async def _sent(self, scheduler: Any) -> bool:
        now = self._now()
        held = [it.message() for it in self._read.values() if now < it.expires_at]
        if not held:
            return True
        try:
            await _call(scheduler, TAKE, sender=self._sender, held=held)
        except (OSError, TimeoutError):
            return False
        return True

    async def _hear_what_is_wanted(self) -> None:
        scheduler = await self._scheduler
        while True:
            try:
                known = len(self._resources)
                wanted = await _call(scheduler, WANTED, known=known, timeout_s=_POLL_S)
            except (OSError, TimeoutError):
                await asyncio.sleep(_AGAIN_S)
                continue
            if not self._resources.issuperset(wanted):
                self._resources |= frozenset(wanted)
                self._wanted.set()


def told(error: Exception) -> str:
    if isinstance(error, ShoalError):
        return f"{error.message}{f' ({error.hint})' if error.hint else ''}"
    return f"{type(error).__name__}: {error}"


async def _call(scheduler: Any, operation: str, **named: Any) -> Any:
    async with asyncio.timeout(_CALL_S + named.get("timeout_s", 0.0)):
        return await getattr(scheduler, operation)(**named)


async def _in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    """One that the end of the interpreter does not wait for: SDKs may take long to give up."""
    future: Future[_T] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # for whoever waits
                future.set_exception(error)

    threading.Thread(target=run, name="shoal-login", daemon=True).start()
    return await asyncio.wrap_future(future)
