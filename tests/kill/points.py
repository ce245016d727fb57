"""The places where a reconciler can be cut off: before and after each question to the database and
each call to the cloud. A cut is a BaseException, as a power failure is nobody's to handle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, text

from shoal.clouds.provider import Launched, Naming, Provider
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.errors import StoreFault
from shoal.store.database import Database
from shoal.wire.specs import Cloud


class Killed(BaseException):
    """The process is no more."""


class Points:
    """Counts them. `kills`: the numbers of those at which the process dies; `torn`: after which it
    dies inside the transaction, with all of it said and nothing committed; `guests`: at which
    somebody else's work comes between.

    `distinct`: the points before which something was written, or the cloud was called. To die at
    another one leaves the same behind as to die at the distinct one before it, so that killing at
    the distinct ones is killing at all of them. `openings`: the points before something; guests
    that come after the one thing come before the next. `writes`: those before questions that wrote.
    """

    def __init__(self) -> None:
        self.count = 0
        self.distinct: list[int] = []
        self.openings: list[int] = []
        self.writes: list[int] = []
        self.kills: frozenset[int] = frozenset()
        self.torn: frozenset[int] = frozenset()
        self.guests: frozenset[int] = frozenset()
        self.guest: Callable[[], Awaitable[None]] | None = None
        self.dead = False
        self.died_at: list[str] = []

    async def reach(self, what: str, *, changed: bool = False) -> None:
        if self.dead:
            raise Killed(what)  # what other tasks of a dead process would still do
        self.count += 1
        if changed or self.count == 1:
            self.distinct.append(self.count)
        if what.startswith("before"):
            self.openings.append(self.count)
        if self.count in self.kills:
            raise self.die(what)
        if self.count in self.guests and self.guest is not None:
            await self.guest()

    def die(self, what: str) -> Killed:
        self.dead = True
        self.died_at.append(f"{self.count}: {what}")
        return Killed(what)


class FrailDatabase(Database):
    """A database whose user can die at each question, and inside it."""

    def __init__(self, inner: Database, points: Points, changes: Callable[[], int]) -> None:
        self._inner = inner
        self._points = points
        self._changes = changes  # how many rows were ever written

    async def run(self, question: Any, *args: Any, **kwargs: Any) -> Any:
        name = f"{question.__module__.rpartition('.')[2]}.{question.__name__}"
        await self._points.reach(f"before {name}")
        number = self._points.count
        if number in self._points.torn:
            killed = self._points.die(f"inside {name}")
            with suppress(StoreFault):  # what the engine says of a connection that is cut
                await self._inner.run(_cut_off, question, *args, **kwargs)
            raise killed
        before = self._changes()
        answer = await self._inner.run(question, *args, **kwargs)
        changed = self._changes() != before
        if changed:
            self._points.writes.append(number)
        await self._points.reach(f"after {name}", changed=changed)
        return answer


def _cut_off(tx: Connection, question: Any, *args: Any, **kwargs: Any) -> None:
    question(tx, *args, **kwargs)
    if tx.dialect.name == "postgresql":  # which finds out by itself that nobody is there any more
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    raise Killed("with nothing committed")


class FrailProvider:
    """A provider whose user can die at each call."""

    def __init__(self, inner: Provider, points: Points, on_record: Callable[[Batch], None]) -> None:
        self.cloud: Cloud = inner.cloud
        self._inner = inner
        self._points = points
        self._on_record = on_record
        self.timing: Timing = inner.timing
        self.inside_names = inner.inside_names if isinstance(inner, Naming) else ""

    async def offers(self, region: str | None) -> Sequence[Offer]:
        await self._points.reach("before offers")
        return await self._inner.offers(region)

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        await self._points.reach("before launch")
        self._on_record(batch)
        try:
            return await self._inner.launch(batch, boot_text)
        finally:
            await self._points.reach("after launch", changed=True)

    async def list(self) -> Sequence[Vm]:
        await self._points.reach("before list")
        return await self._inner.list()

    async def terminate(self, vms: Collection[Vm]) -> None:
        await self._points.reach("before terminate")
        try:
            await self._inner.terminate(vms)
        finally:
            await self._points.reach("after terminate", changed=True)
