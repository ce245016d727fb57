"""A real uvicorn on loopback, real mutual TLS, and an app that says who is calling."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from two_clusters import CLUSTER, CREATED_AT, HEAD_NAME, KEY

from shoal.errors import NotAllowed, NotLoggedIn
from shoal.trust import authority
from shoal.trust.asgi_peer import config, find_peer, presenting, require_peer
from shoal.trust.contexts import dialer, joining_dialer, listener
from shoal.trust.identities import HeadIdentity, WorkerIdentity
from shoal.trust.names import Peer, Role

SERVER = authority.server_identity(KEY, CLUSTER, CREATED_AT)


async def tell_caller(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(find_peer(request.scope)))


async def tell_server_only(request: Request) -> PlainTextResponse:
    try:
        return PlainTextResponse(require_peer(request.scope, Role.SERVER).name)
    except NotAllowed as refusal:
        return PlainTextResponse(refusal.code, 403)


APP = Starlette(routes=[Route("/caller", tell_caller), Route("/server-only", tell_server_only)])


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[str]:
    """The socket listens before uvicorn runs, so whoever dials it waits rather than fails."""
    door = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config(APP, context, log_level="warning", ws="none"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[door]))
        try:
            yield f"https://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True


async def ask(url: str, context: ssl.SSLContext, *, times: int = 1) -> list[str]:
    async with httpx2.AsyncClient(verify=context) as client:
        named = {"sni_hostname": HEAD_NAME}
        return [(await client.get(url, extensions=named)).text for _ in range(times)]


def test_the_app_knows_each_caller_by_role(head: HeadIdentity, worker: WorkerIdentity) -> None:
    async def scenario() -> None:
        async with serving(listener(head, certificate_required=False)) as url:
            assert (
                await ask(f"{url}/caller", dialer(SERVER), times=2)
                == [str(Peer(Role.SERVER, CLUSTER, "server"))] * 2
            )
            assert "shoal-c-abcdefghij-7" in (await ask(f"{url}/caller", dialer(worker)))[0]
            assert await ask(f"{url}/caller", joining_dialer(head.ca_pem)) == ["None"]

    asyncio.run(scenario())


def test_a_route_serves_only_the_roles_it_names(head: HeadIdentity, worker: WorkerIdentity) -> None:
    async def scenario() -> None:
        async with serving(listener(head, certificate_required=False)) as url:
            assert await ask(f"{url}/server-only", dialer(SERVER)) == ["server"]
            assert await ask(f"{url}/server-only", dialer(worker)) == [NotAllowed.code]
            assert await ask(f"{url}/server-only", joining_dialer(head.ca_pem)) == [
                NotLoggedIn.code
            ]

    asyncio.run(scenario())


def test_a_strict_listener_answers_nobody_without_a_certificate(head: HeadIdentity) -> None:
    async def scenario() -> None:
        async with serving(listener(head, certificate_required=True)) as url:
            assert await ask(f"{url}/server-only", dialer(SERVER)) == ["server"]
            with pytest.raises(httpx2.TransportError):
                await ask(f"{url}/caller", joining_dialer(head.ca_pem))

    asyncio.run(scenario())


def test_forgetting_the_heads_name_fails(head: HeadIdentity) -> None:
    async def scenario() -> None:
        async with (
            serving(listener(head, certificate_required=False)) as url,
            httpx2.AsyncClient(verify=dialer(SERVER)) as client,
        ):
            with pytest.raises(httpx2.ConnectError, match="IP address mismatch"):
                await client.get(f"{url}/caller")

    asyncio.run(scenario())


def test_asyncio_streams_dial_by_name_too(head: HeadIdentity) -> None:
    async def scenario() -> None:
        async with serving(listener(head, certificate_required=False)) as url:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                int(url.rpartition(":")[2]),
                ssl=dialer(SERVER),
                server_hostname=HEAD_NAME,
            )
            writer.write(b"GET /server-only HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"server")
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("certificate", "answer"), [(SERVER.certificate_pem, "server"), (None, NotLoggedIn.code)]
)
def test_an_app_can_be_called_in_process_as_a_peer(certificate: str | None, answer: str) -> None:
    async def scenario() -> None:
        transport = httpx2.ASGITransport(presenting(APP, certificate))
        async with httpx2.AsyncClient(transport=transport, base_url="https://head") as client:
            assert (await client.get("/server-only")).text == answer

    asyncio.run(scenario())
