"""In a worker: the credentials that count now, for the endpoint's threads.

The endpoint starts with the first credentials, and the variables that lead to it are there only
while there are some: else SDKs go on to what the VM itself may have.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from . import azure
from .endpoint import Endpoint
from .held import TAKE, WANT, Held, Message, quiet, read
from .passing_on import Beyond
from .variables import Variables

_TOKEN_WITHIN_S = 25.0


class Box:
    def __init__(
        self,
        beyond: Beyond,
        environ: MutableMapping[str, str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._beyond = beyond
        self._now = now
        self._held: dict[str, Held] = {}
        self._version = 0
        self._arrived = threading.Condition()
        self._variables = Variables(os.environ if environ is None else environ)
        self._endpoint: Endpoint | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Any = None

    def attach(self, worker: Any) -> None:
        quiet()
        worker.handlers[TAKE] = self.take
        self._loop = asyncio.get_running_loop()
        self._worker = worker

    async def take(self, version: int, held: list[Message]) -> int:
        """All that counts as of this version; an older one that comes late changes nothing."""
        if version > self._version:
            self._version = version
            with self._arrived:
                self._held = {it.cloud: it for it in read(held)}
                self._arrived.notify_all()
            self._lead_there()
        return self._version

    def close(self) -> None:
        with self._arrived:
            self._held = {}
        self._lead_there()
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def _lead_there(self) -> None:
        if self._held and self._endpoint is None:
            self._endpoint = Endpoint(self)
        if self._endpoint is not None:
            place = self._endpoint.place
            self._variables.lead_to(place, list(self._held.values()))

    # -- what the endpoint asks, in threads of its own ------------------------------------------

    @property
    def beyond(self) -> Beyond:
        return self._beyond

    @property
    def now(self) -> float:
        return self._now()

    def held(self, cloud: str) -> Held | None:
        with self._arrived:
            found = self._held.get(cloud)
        return found if found is not None and found.valid(self._now()) else None

    def token(self, resource: str) -> Held | None:
        """Azure's, with a token for this resource if a session can be had to give one."""
        found = self.held("azure")
        if found is None or azure.settled(found, resource, self._now()) or self._loop is None:
            return found
        asking = asyncio.run_coroutine_threadsafe(self._ask_session(resource), self._loop)
        with contextlib.suppress(OSError, TimeoutError):
            if asking.result(_TOKEN_WITHIN_S):
                with self._arrived:
                    self._arrived.wait_for(lambda: self._has(resource), _TOKEN_WITHIN_S)
        return self.held("azure")

    def _has(self, resource: str) -> bool:
        """Or nothing any more."""
        found = self._held.get("azure")
        return found is None or azure.settled(found, resource, self._now())

    async def _ask_session(self, resource: str) -> bool:
        """By way of the scheduler. Whether it makes sense to wait."""
        return bool(await getattr(self._worker.scheduler, WANT)(resource=resource))
