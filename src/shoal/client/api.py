"""Calls to the server, by the endpoint table: typed values in, typed values or a ShoalError out.

Knows HTTP and nothing of clusters. A call that never reached the server, or that may safely be
made twice, is made once more after asking where the server is: an embedded server that was killed
has another address when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2
import msgspec

from shoal import errors
from shoal.client.place import Place
from shoal.version import VERSION
from shoal.wire import endpoints, problems
from shoal.wire.endpoints import Endpoint

_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_RECONNECT_S = 0.2  # doubles up to:
_RECONNECT_MOST_S = 5.0
_RECONNECT_TRIES = 8
_CHUNK_BYTES = 1 << 20
_ONCE = frozenset({endpoints.CREATE_TOKEN.name, endpoints.CREATE_CLUSTER.name})

Transport = httpx2.AsyncBaseTransport


class Api:
    """One server, found by `find`, which is called in a thread. Answers have the type that the
    endpoint names; callers annotate them."""

    def __init__(self, find: Callable[[], Place], *, transport: Transport | None = None) -> None:
        self._find = find
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None
        self._finding = asyncio.Lock()
        self.place: Place | None = None

    def __repr__(self) -> str:
        return f"Api({self.place.url if self.place else 'not connected'})"

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def connect(self) -> Place:
        """Find the server (and, where it is ours, start it)."""
        async with self._finding:
            if self.place is None:
                self.place = await asyncio.to_thread(self._find)
                self._client = _client(self.place, self._transport)
            return self.place

    async def aclose(self) -> None:
        client, self._client, self.place = self._client, None, None
        if client is not None:
            await client.aclose()

    async def call(
        self,
        endpoint: Endpoint,
        *,
        path: Mapping[str, str] | None = None,
        query: msgspec.Struct | None = None,
        body: object = None,
    ) -> Any:
        """`body`: a struct of the endpoint's type, or the Path of a file to send as it is."""
        request = _Request(endpoint, path or {}, query, body)
        try:
            return await self._send(request)
        except httpx2.TransportError as error:
            if not _may_repeat(endpoint, error):
                raise _unreachable(self.place, error) from error
        await self._forget()
        try:
            return await self._send(request)
        except httpx2.TransportError as error:
            raise _unreachable(self.place, error) from error

    async def stream(
        self,
        endpoint: Endpoint,
        *,
        query: endpoints.ChangesQuery,
        hint: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Any]:
        """Server-sent events, without an end. A broken connection is made anew and goes on after
        the last event seen. `hint` is called for a word that is none of them (`query.hints`)."""
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(endpoint.answer)
        failures = 0
        while True:
            try:
                async for event in self._events(endpoint, query):
                    failures = 0
                    if event.event == "record":
                        hint()
                        continue
                    value = decoder.decode(event.data)
                    query = msgspec.structs.replace(query, after=value.seq)
                    yield value
            except httpx2.TransportError as error:
                failures += 1
                if failures > _RECONNECT_TRIES:
                    raise _unreachable(self.place, error) from error
                if not isinstance(error, httpx2.ReadTimeout):
                    await self._forget()
            await asyncio.sleep(min(_RECONNECT_MOST_S, _RECONNECT_S * 2**failures))

    async def _send(self, request: _Request) -> Any:
        await self.connect()
        assert self._client is not None
        response = await self._client.request(
            request.endpoint.method,
            request.url,
            params=request.params,
            content=request.content(),
            headers=request.headers(),
        )
        _check(response)
        return msgspec.json.decode(response.content or b"{}", type=request.endpoint.answer)

    async def _events(
        self, endpoint: Endpoint, query: msgspec.Struct
    ) -> AsyncIterator[httpx2.ServerSentEvent]:
        await self.connect()
        assert self._client is not None
        request = _Request(endpoint, {}, query, None)
        async with self._client.sse(request.url, params=request.params) as source:
            if source.response.status_code >= 400:
                await source.response.aread()
                _check(source.response)
            async for event in source:
                if event.event == "problem":
                    told = msgspec.json.decode(event.data, type=_StreamProblem)
                    raise errors.from_code(told.code, told.detail, told.hint)
                if event.data:
                    yield event

    async def _forget(self) -> None:
        """Where the server was it is not any more."""
        async with self._finding:
            await self.aclose()


class _StreamProblem(msgspec.Struct, frozen=True):
    """What a stream says instead of going on: its status line was sent long before."""

    code: str
    detail: str
    hint: str = ""


class _Request(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    path: Mapping[str, str]
    query: msgspec.Struct | None
    body: object

    @property
    def url(self) -> str:
        quoted = {name: quote(value, safe="") for name, value in self.path.items()}
        return self.endpoint.path.format(**quoted)

    @property
    def params(self) -> dict[str, str]:
        fields = {} if self.query is None else msgspec.to_builtins(self.query)
        return {name: _text(value) for name, value in fields.items() if value is not None}

    def content(self) -> bytes | AsyncIterator[bytes] | None:
        if isinstance(self.body, Path):
            return _chunks(self.body)
        return None if self.body is None else msgspec.json.encode(self.body)

    def headers(self) -> dict[str, str]:
        if isinstance(self.body, Path):
            size = str(self.body.stat().st_size)
            return {"content-type": "application/octet-stream", "content-length": size}
        return {} if self.body is None else {"content-type": "application/json"}


def _client(place: Place, transport: Transport | None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=place.url,
        headers={"authorization": f"Bearer {place.token}", "user-agent": f"shoal/{VERSION}"},
        timeout=_TIMEOUT,
        transport=transport,
        verify=not place.plain,  # building an SSL context takes longer than a call
        trust_env=not place.plain,
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


def _check(response: httpx2.Response) -> None:
    if response.status_code < 400:
        return
    with contextlib.suppress(msgspec.DecodeError):
        raise problems.to_error(msgspec.json.decode(response.content, type=problems.Problem))
    raise errors.ServerFault(
        f"{response.url.host} answered {response.status_code} to {response.url.path}, "
        "without a word that Shoal understands",
        hint="Is this the address of a Shoal server? Look with: shoal server status",
    )


def _may_repeat(endpoint: Endpoint, error: httpx2.TransportError) -> bool:
    never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    timed_out = isinstance(error, httpx2.TimeoutException)
    return never_sent or (endpoint.name not in _ONCE and not timed_out)


def _unreachable(place: Place | None, error: httpx2.TransportError) -> errors.ServerUnreachable:
    where = place.url if place else "its address"
    hint = place.hint if place else ""
    reason = str(error) or type(error).__name__
    return errors.ServerUnreachable(f"No Shoal server answers at {where}: {reason}", hint=hint)
