"""In the scheduler: credentials come in from sessions, and go on to every worker, present or
joining; a worker has them before its first task.

What workers are told is all that counts, with a version. A worker that did not answer is told
again, a few times. A session also learns here which of Azure's resources tasks want tokens for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import azure
from .held import KNOWN, TAKE, WANT, WANTED, WITHDRAW, Message, quiet, read, written
from .standing import Standing

_TELL_S = 5.0
_AGAIN_S = 5.0
_TRIES = 4
_AT_ONCE = 50
_MOST_WANTED = 30  # resources


class Desk:
    def __init__(self, scheduler: Any, now: Callable[[], float] = time.time) -> None:
        self._scheduler = scheduler
        self._now = now
        self._standing = Standing()
        self._version = int(now() * 1000)
        self._told: dict[str, int] = {}  # worker -> version
        self._tries: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._wanted: list[str] = []
        self._more_wanted = asyncio.Condition()

    def attach(self) -> None:
        quiet()
        self._scheduler.handlers |= {
            TAKE: self.take,
            WITHDRAW: self.withdraw,
            KNOWN: self.known,
            WANT: self.want,
            WANTED: self.wanted,
        }
        self._scheduler.add_plugin(_plugin(self), name="shoal-credentials")

    # -- what sessions ask -------------------------------------------------------------------

    async def take(self, sender: str, held: list[Message]) -> Message:
        """All that this session forwards, now; answered when the workers have it."""
        self._standing.put(sender, read(held))
        await self._tell_all()
        return {"workers": self._up_to_date()}

    async def withdraw(self, sender: str) -> Message:
        self._standing.withdraw(sender)
        await self._tell_all()
        return {"workers": self._up_to_date()}

    async def known(self) -> list[Message]:
        """Whose credentials count, and until when; no values."""
        self._standing.forget_expired(self._now())
        return [
            {"cloud": it.cloud, "identity": it.identity, "expires_at": it.expires_at}
            for it in self._standing.counts()
        ]

    async def wanted(self, known: int = 0, timeout_s: float = 0.0) -> list[str]:
        """Azure's resources that tasks asked for, when there are more than are known."""
        async with self._more_wanted:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._more_wanted.wait_for(lambda: len(self._wanted) > known), timeout_s
                )
        return list(self._wanted)

    # -- what workers ask --------------------------------------------------------------------

    async def want(self, resource: str) -> bool:
        """Whether some session may be able to get a token for it."""
        resource = azure.normal(resource)
        if resource in self._wanted:
            return True
        if not azure.forwardable(resource) or len(self._wanted) >= _MOST_WANTED:
            return False
        async with self._more_wanted:
            self._wanted.append(resource)
            self._more_wanted.notify_all()
        return True

    # -- telling workers ---------------------------------------------------------------------

    async def joined(self, worker: str) -> None:
        self._standing.forget_expired(self._now())
        if self._standing.counts():
            await self._tell([worker])

    def left(self, worker: str) -> None:
        self._told.pop(worker, None)
        self._tries.pop(worker, None)

    async def keep(self) -> None:
        """Forget in time; tell those again that did not answer."""
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._rest_s())
            if self._standing.forget_expired(self._now()):
                await self._tell_all()
            elif behind := self._behind():
                await self._tell(behind)

    def _up_to_date(self) -> int:
        return sum(it == self._version for it in self._told.values())

    def _rest_s(self) -> float | None:
        if self._behind():
            return _AGAIN_S
        expiry = self._standing.next_expiry()
        return None if expiry is None else max(0.0, expiry - self._now()) + 0.1

    def _behind(self) -> list[str]:
        if not self._standing.counts() and not self._told:
            return []
        return [
            it
            for it in self._scheduler.workers
            if self._told.get(it) != self._version and self._tries.get(it, 0) < _TRIES
        ]

    async def _tell_all(self) -> None:
        self._standing.forget_expired(self._now())
        self._version += 1
        self._tries.clear()
        await self._tell(list(self._scheduler.workers))
        self._changed.set()

    async def _tell(self, workers: Iterable[str]) -> None:
        """Each by itself: one that hangs keeps nobody waiting for long."""
        held = [written(it) for it in self._standing.counts()]
        message = {"op": TAKE, "version": self._version, "held": held}
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def tell(worker: str) -> None:
            async with at_once:
                self._tries[worker] = self._tries.get(worker, 0) + 1
                telling = self._scheduler.broadcast(
                    msg=message, workers=[worker], on_error="ignore"
                )
                with contextlib.suppress(TimeoutError):
                    answers = await asyncio.wait_for(telling, _TELL_S)
                    if worker in answers:
                        self._told[worker] = int(answers[worker])

        await asyncio.gather(*map(tell, workers))


def _plugin(desk: Desk) -> Any:
    from distributed.diagnostics.plugin import SchedulerPlugin

    async def add_worker(self: Any, scheduler: Any, worker: str) -> None:
        await desk.joined(worker)

    def remove_worker(self: Any, scheduler: Any, worker: str, **named: Any) -> None:
        desk.left(worker)

    members = {"add_worker": add_worker, "remove_worker": remove_worker}
    return type("ShoalCredentials", (SchedulerPlugin,), members)()
