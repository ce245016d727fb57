"""Dask's own dashboard of a cluster, through the server and behind its login.

Dask serves it to holders of the cluster's certificate; the server is one. What comes back is made
by whatever runs in the user's scheduler, so a browser must not take it for ours: it is sandboxed in
an origin of its own, which can read neither cookies nor pages of this server. From there no cookie
comes back either, so its address carries a pass instead: sealed by this server, good for this
cluster and login alone, until that login ends.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import datetime

import httpx2
import msgspec
import websockets
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from shoal.core.records import HeadObservation
from shoal.errors import Conflict, NotFound, NotLoggedIn
from shoal.server import gate
from shoal.server.desk import Desk
from shoal.server.pages.frame import Visit, redirect
from shoal.server.pages.session import open_text, opened, seal_text
from shoal.store import clusters as cluster_rows
from shoal.store import observations, tokens
from shoal.trust import authority
from shoal.trust.contexts import dialer
from shoal.trust.names import Role, host_name
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Cloud

_log = logging.getLogger(__name__)

_PURPOSE = "dashboard"
_ASKED = ("accept", "accept-language", "if-none-match", "if-modified-since", "range")
_ANSWERED = (
    "content-type",
    "content-encoding",
    "etag",
    "last-modified",
    "cache-control",
    "location",
)
_MAX_MESSAGE = 64 << 20  # bytes: plots of large clusters come whole
HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-forms allow-popups allow-downloads; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the pass
}


class Pass(msgspec.Struct, frozen=True):
    token: str  # the login's API token, by id
    cluster: ClusterId
    expires_at: datetime


class Upstream(msgspec.Struct, frozen=True):
    address: str  # host:port
    name: str  # in its certificate
    context: ssl.SSLContext


async def enter(visit: Visit) -> Response:
    """From a cluster's page to its dashboard."""
    desk, workspace = visit.desk, visit.known.caller.workspace
    found = await desk.database.run(
        cluster_rows.find, workspace, visit.request.path_params["cluster"]
    )
    if found.spec.cloud is Cloud.WATCHED:
        raise Conflict(
            f"{found.spec.name!r} is only watched: Shoal has no way into it.",
            hint="Its page here tells where its scheduler serves its own dashboard.",
        )
    await _head(desk, found.id)
    session = opened(desk.key, visit.cookie or "")
    if session is None:
        raise NotLoggedIn("Please log in.")
    made = msgspec.json.encode(Pass(session.token, found.id, session.expires_at))
    return redirect(f"/dask/{seal_text(desk.key, _PURPOSE, made)}/status", 302)


async def answer(desk: Desk, request: Request) -> Response:
    """One request of the dashboard's."""
    upstream = await _upstream(desk, request.path_params["sealed"])
    client = httpx2.AsyncClient(verify=upstream.context, trust_env=False, timeout=30.0)
    url = httpx2.URL(
        f"https://{upstream.address}/{request.path_params['path']}",
        query=request.url.query.encode() or None,
    )
    headers = {it: request.headers[it] for it in _ASKED if it in request.headers}
    asked = client.build_request(
        "GET", url, headers=headers, extensions={"sni_hostname": upstream.name}
    )
    try:
        told = await client.send(asked, stream=True)
    except httpx2.HTTPError as error:
        await client.aclose()
        _log.info("the dashboard at %s does not answer: %s", upstream.address, error)
        raise Conflict(
            "The cluster's dashboard does not answer.", hint="Is the scheduler still there?"
        ) from error
    kept = {it: told.headers[it] for it in _ANSWERED if it in told.headers}
    if kept.get("location", "").startswith("/"):
        kept["location"] = f"/dask/{request.path_params['sealed']}{kept['location']}"
    return StreamingResponse(
        told.aiter_raw(),
        told.status_code,
        kept | HEADERS,
        background=BackgroundTask(_close, client),
    )


async def _close(client: httpx2.AsyncClient) -> None:
    await client.aclose()


async def converse(desk: Desk, socket: WebSocket) -> None:
    """The dashboard's websocket: what either end says goes to the other, until one stops."""
    try:
        upstream = await _upstream(desk, socket.path_params["sealed"])
    except (NotLoggedIn, NotFound, Conflict):
        await socket.close(1008)
        return
    query = f"?{socket.url.query}" if socket.url.query else ""
    try:
        connection = await websockets.connect(
            f"wss://{upstream.address}/{socket.path_params['path']}{query}",
            ssl=upstream.context,
            server_hostname=upstream.name,
            subprotocols=[websockets.Subprotocol(it) for it in socket.scope["subprotocols"]]
            or None,
            max_size=_MAX_MESSAGE,
            compression=None,
            proxy=None,
            open_timeout=10,
        )
    except (OSError, websockets.WebSocketException) as error:
        _log.info("the dashboard at %s does not answer: %s", upstream.address, error)
        await socket.close(1011)
        return
    async with connection:
        await socket.accept(connection.subprotocol)
        async with asyncio.TaskGroup() as group:
            down = group.create_task(_down(connection, socket))
            up = group.create_task(_up(socket, connection))
            watch = group.create_task(_watch(desk, socket.path_params["sealed"]))
            tasks = (down, up, watch)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()


_WATCH_S = 30.0


async def _watch(desk: Desk, sealed: str) -> None:
    """Returns when the pass is good no more, or the server ends."""
    while not desk.stopping.is_set():
        try:
            async with asyncio.timeout(_WATCH_S):
                await desk.stopping.wait()
        except TimeoutError:
            try:
                await _upstream(desk, sealed)
            except (NotLoggedIn, NotFound, Conflict):
                return


async def _down(connection: websockets.ClientConnection, socket: WebSocket) -> None:
    try:
        async for message in connection:
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)
    except (websockets.ConnectionClosed, WebSocketDisconnect, RuntimeError):
        return  # RuntimeError: the browser's end is closed already (Starlette)


async def _up(socket: WebSocket, connection: websockets.ClientConnection) -> None:
    try:
        async for message in _said(socket):
            await connection.send(message)
    except websockets.ConnectionClosed:
        return


async def _said(socket: WebSocket) -> AsyncIterator[str | bytes]:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text: str | None = message.get("text")
        yield text if text is not None else message["bytes"]


async def _upstream(desk: Desk, sealed: str) -> Upstream:
    """Where the pass leads, if it is still good."""
    raw = open_text(desk.key, _PURPOSE, sealed)
    if raw is None:
        raise NotLoggedIn("This address is of no dashboard here.")
    given = msgspec.json.decode(raw, type=Pass)
    now = desk.clock()
    if given.expires_at <= now:
        raise NotLoggedIn("The session has expired.", hint="Open the cluster's page again.")
    _, caller = gate.admitted(await desk.database.run(tokens.by_id, given.token), now)
    gate.check_scope(caller, "clusters")
    found = await desk.database.run(cluster_rows.find, caller.workspace, given.cluster)
    head = await _head(desk, found.id)
    identity = authority.server_identity(desk.key, found.id, found.created_at)
    name = host_name(Role.HEAD, found.id)
    return Upstream(head.dashboard_address, name, dialer(identity))


async def _head(desk: Desk, cluster: ClusterId) -> HeadObservation:
    """NotFound for others than the ones whose scheduler serves a dashboard now."""
    found = await desk.database.run(cluster_rows.get, cluster)
    head = await desk.database.run(observations.head, cluster)
    if head is None or not head.dashboard_address or found.ended_at is not None:
        raise Conflict(
            f"The scheduler of {found.spec.name!r} serves no dashboard (yet, or any more).",
            hint="Its cluster's page tells how far it is.",
        )
    return head
