"""What every handler works with: the things that app constructed, and one request, decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from shoal.clouds.provider import Provider
from shoal.server.bell import Bell
from shoal.server.clouds import Clouds
from shoal.server.gate import Caller
from shoal.server.passes.reconcile import Reconciler
from shoal.server.passes_book import PassesBook
from shoal.server.request_book import RequestBook
from shoal.server.settings import Settings
from shoal.software.bundles import Bundles
from shoal.store.database import Database
from shoal.trust.installation_key import InstallationKey
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud

B = TypeVar("B")
Q = TypeVar("Q")


class Desk(msgspec.Struct):
    settings: Settings
    installation: InstallationId
    database: Database
    key: InstallationKey
    clouds: Clouds
    bundles: Bundles
    clock: Callable[[], datetime]
    started_at: datetime
    told: Bell  # events were written: streams look
    wanted: Bell  # something is to be done: loops look
    stopping: asyncio.Event
    url: str = ""
    last_request_at: float = 0.0  # monotonic
    passes: PassesBook = msgspec.field(default_factory=PassesBook)
    requests: RequestBook = msgspec.field(default_factory=RequestBook)

    @property
    def providers(self) -> Mapping[Cloud, Provider]:
        return self.clouds.providers

    @property
    def reconcilers(self) -> Mapping[Cloud, Reconciler]:
        return self.clouds.reconcilers


class Incoming(msgspec.Struct, Generic[Q, B]):
    caller: Caller
    path: Mapping[str, str]
    query: Q
    body: B


class Upload(msgspec.Struct):
    """A body that is a file: its bytes as they arrive."""

    chunks: AsyncIterator[bytes]
