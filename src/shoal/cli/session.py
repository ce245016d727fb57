"""One command's conversation with the server: which one, and in which event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from shoal.cli.output import note
from shoal.client import connection
from shoal.client.api import Api
from shoal.wire.endpoints import Endpoint

_R = TypeVar("_R")


def ask(
    endpoint: Endpoint,
    *,
    path: Mapping[str, str] | None = None,
    query: msgspec.Struct | None = None,
    body: object = None,
) -> Any:
    """One call, the answer typed as the endpoint says."""

    async def work(api: Api) -> Any:
        return await api.call(endpoint, path=path, query=query, body=body)

    return talk(work)


def talk(work: Callable[[Api], Awaitable[_R]]) -> _R:
    async def whole() -> _R:
        async with Api(lambda: connection.find(note)) as api:
            return await work(api)

    return asyncio.run(whole())
