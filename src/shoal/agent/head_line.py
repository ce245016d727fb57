"""A worker's conversation with the head: typed calls, each of which may fail.

The head is dialled by address and recognised by name (`head.<cluster>.shoal`); who calls is told by
the worker's certificate, or in `join` by the cluster's secret.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx2
import msgspec

from shoal.agent import wheel_store
from shoal.errors import ShoalError
from shoal.trust.names import Role, host_name
from shoal.wire import problems
from shoal.wire.boot import BootDocument
from shoal.wire.reports import BeatAnswer, JoinAnswer, JoinRequest, WorkerBeat, WorkerOrders

T = TypeVar("T")

_TIMEOUT_S = 10.0


class HeadSilent(ShoalError):
    """The head did not answer, or not with what was asked."""


class HeadLine:
    def __init__(self, boot: BootDocument, context: ssl.SSLContext) -> None:
        self._names = {"sni_hostname": host_name(Role.HEAD, boot.cluster)}
        self._client = httpx2.AsyncClient(
            base_url=f"https://{boot.head_address}",
            verify=context,
            trust_env=False,
            timeout=_TIMEOUT_S,
        )

    async def __aenter__(self) -> HeadLine:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def join(self, request: JoinRequest) -> JoinAnswer:
        return await self._ask("/v1/join", JoinAnswer, request)

    async def orders(self, version: int, wait_s: float) -> WorkerOrders | None:
        """None: still those of this version."""
        path = f"/v1/orders?version={version}&wait_s={wait_s}"
        text = await self._call("GET", path, wait_s=wait_s)
        return _read(text, WorkerOrders) if text else None

    async def beat(self, beat: WorkerBeat) -> BeatAnswer:
        return await self._ask("/v1/beat", BeatAnswer, beat)

    async def wheel(self, sha256: str, directory: Path) -> None:
        try:
            async with self._client.stream(
                "GET", f"/v1/wheels/{sha256}", extensions=self._names
            ) as answer:
                await _check(answer)
                await wheel_store.keep(directory, sha256, answer.aiter_bytes())
        except httpx2.HTTPError as error:
            raise HeadSilent(f"The wheel {sha256} did not come: {error}") from error

    async def _ask(self, path: str, kind: type[T], body: msgspec.Struct) -> T:
        return _read(await self._call("POST", path, body=msgspec.json.encode(body)), kind)

    async def _call(
        self, method: str, path: str, *, body: bytes | None = None, wait_s: float = 0.0
    ) -> bytes:
        try:
            answer = await self._client.request(
                method,
                path,
                content=body,
                extensions=self._names,
                timeout=_TIMEOUT_S + wait_s,
            )
            await _check(answer)
        except httpx2.HTTPError as error:
            raise HeadSilent(f"The head does not answer: {error!r}") from error
        return answer.content


def _read(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HeadSilent(f"The head's answer cannot be read: {error}") from error


async def _check(answer: httpx2.Response) -> None:
    """Raise what the head refused with, as the error that it is."""
    if answer.is_success:
        return
    text = await answer.aread()
    try:
        problem = msgspec.json.decode(text, type=problems.Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise HeadSilent(f"The head answered {answer.status_code}.") from None
    raise problems.to_error(problem)
