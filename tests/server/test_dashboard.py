"""Dask's dashboard through the server: who gets there, and what it may do in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import httpx2
import msgspec
import pytest
import websockets
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from shoal.core.records import Cluster, HeadObservation
from shoal.server import gate
from shoal.server.desk import Desk
from shoal.store import clusters, tables, tokens
from shoal.store.rows import upsert, values
from shoal.trust import authority
from shoal.trust.contexts import listener
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.views import TokenView
from tests.browser import serving
from tests.server.conftest import Served
from tests.server.specs import a_spec

CLUSTER = ClusterId("c-aaaaaaaaaa")


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """What a scheduler's pages say, and to whom: the peer's certificate is in the answer."""
    if request.headers.get("Upgrade"):
        return None
    if request.path == "/":
        return Response(302, "Found", Headers({"Location": "/status"}), b"")
    told = f"path={request.path} cookie={request.headers.get('Cookie')}"
    return Response(HTTPStatus.OK, "OK", Headers({"Content-Type": "text/html"}), told.encode())


async def echo(connection: ServerConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for message in connection:
            await connection.send(message)


@contextlib.asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    """A cluster whose scheduler serves a dashboard, the server on a socket, Ada logged in."""
    now = desk.clock()
    cluster = Cluster(CLUSTER, WorkspaceName("research"), UserName("ada"), a_spec(), 1, now)
    identity = authority.head_identity(desk.key, CLUSTER, now)
    context = listener(identity, certificate_required=True)
    async with serve(echo, "127.0.0.1", 0, ssl=context, process_request=answer) as upstream:
        address = f"127.0.0.1:{next(iter(upstream.sockets)).getsockname()[1]}"
        event = Event(now, EventKind.CLUSTER_CREATED, "ada", "why", cluster=CLUSTER)
        await desk.database.run(clusters.create, cluster, event)
        head = HeadObservation(CLUSTER, now, dashboard_address=address)
        await desk.database.run(upsert, tables.head, [values(head)])
        async with (
            _served(desk) as base,
            httpx2.AsyncClient(base_url=base, trust_env=False) as client,
        ):
            token = await _token(desk, "ada", "research")
            await client.post("/login", data={"token": token})
            yield base, client


@contextlib.asynccontextmanager
async def _served(desk: Desk) -> AsyncIterator[str]:
    """Its end waits for ours, so this loop must go on meanwhile."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serving.served(desk))
        await asyncio.to_thread(stack.close)


async def _token(desk: Desk, user: str, workspace: str) -> str:
    secret = gate.new_secret()
    view = TokenView(
        f"t-{user}", UserName(user), WorkspaceName(workspace), ("clusters",), desk.clock(), None
    )
    await desk.database.run(tokens.create, view, gate.hash_of(secret))
    return secret


async def entered(client: httpx2.AsyncClient) -> str:
    """The dashboard's address for this login."""
    sent = await client.get(f"/clusters/{CLUSTER}/dashboard")
    assert sent.status_code == 302
    return sent.headers["location"].removesuffix("status")


def test_the_dashboard_comes_through_sandboxed_and_without_our_cookie(served: Served) -> None:
    async def run() -> None:
        async with running(served.desk) as (_, client):
            place = await entered(client)
            page = await client.get(f"{place}status?theme=dark")
            assert page.text == "path=/status?theme=dark cookie=None"
            policy = page.headers["content-security-policy"]
            assert policy.startswith("sandbox allow-scripts")
            assert "allow-same-origin" not in policy
            assert page.headers["referrer-policy"] == "no-referrer"
            root = await client.get(place)
            assert root.headers["location"] == f"{place}status"

    asyncio.run(run())


def test_its_websocket_comes_through_both_ways(served: Served) -> None:
    async def run() -> None:
        async with running(served.desk) as (base, client):
            place = base.replace("http", "ws") + await entered(client)
            async with websockets.connect(f"{place}status/ws", proxy=None) as socket:
                for message in ("hello", b"\x00\x01", "x" * 100_000):
                    await socket.send(message)
                    assert await socket.recv() == message

    asyncio.run(run())


def test_a_pass_is_good_for_one_cluster_and_login(served: Served) -> None:
    async def run() -> None:
        desk = served.desk
        async with running(desk) as (base, client):
            place = await entered(client)
            body, _, mark = place.strip("/").split("/")[1].partition(".")
            for wrong in (f"/dask/{body}.x/status", f"/dask/x.{mark}/status", "/dask/x/status"):
                assert (await client.get(wrong)).status_code == 401
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(base.replace("http", "ws") + "/dask/x/ws", proxy=None)
            await desk.database.run(tokens.revoke, "t-ada", desk.clock())
            assert (await client.get(f"{place}status")).status_code == 401

    asyncio.run(run())


def test_others_and_clusters_without_a_dashboard_get_none(served: Served, tmp_path: Path) -> None:
    async def run() -> None:
        desk = served.desk
        async with running(desk) as (base, client):
            place = await entered(client)
            secret = await _token(desk, "eve", "other")
            async with httpx2.AsyncClient(base_url=base, trust_env=False) as eve:
                assert (await eve.get(f"/clusters/{CLUSTER}/dashboard")).status_code == 302
                await eve.post("/login", data={"token": secret})
                assert (await eve.get(f"/clusters/{CLUSTER}/dashboard")).status_code == 404
            silent = msgspec.structs.replace(
                HeadObservation(CLUSTER, desk.clock()), dashboard_address=""
            )
            await desk.database.run(upsert, tables.head, [values(silent)])
            assert (await client.get(f"{place}status")).status_code == 409
            assert (await client.get(f"/clusters/{CLUSTER}/dashboard")).status_code == 409

    asyncio.run(run())
