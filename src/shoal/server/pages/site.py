"""The pages as routes: who may see them, and what they answer when something is not right.

Every page but the login needs a session. A page asked for with `X-Part` is the same page without
its frame: the script of an open page asks for it to show what changed.
"""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from shoal.errors import NotLoggedIn, ServerFault, ShoalError
from shoal.server import gate, metrics
from shoal.server.desk import Desk
from shoal.server.pages import (
    clients,
    cluster,
    clusters,
    computation,
    computations,
    costs,
    dashboard,
    limits,
    log,
    login,
    machinery,
    overview,
    samples,
    settings,
    signals,
    software,
    stream,
    workers,
)
from shoal.server.pages.frame import ASSETS, HEADERS, Visit, render
from shoal.server.pages.session import visitor
from shoal.wire import problems

Page = Callable[[Visit], Awaitable[Response]]
_SCOPE = "clusters"
NOT_FOUND = 404
_WORTH_BYTES = 1000  # a smaller answer is as quick as it is
_log = logging.getLogger(__name__)


_SEEN: dict[str, Page] = {
    "/": clusters.listed,
    "/clusters.csv": clusters.as_csv,
    "/clusters.json": clusters.as_json,
    "/clusters/{cluster}": overview.overview,
    "/clusters/{cluster}/overview/{part}.{kind}": overview.part,
    "/clusters/{cluster}/computations": computations.computations,
    "/clusters/{cluster}/computations.csv": computations.computations_csv,
    "/clusters/{cluster}/computations.json": computations.computations_json,
    "/clusters/{cluster}/computations/{computation}": computation.computation,
    "/clusters/{cluster}/computations/{computation}/{part}.{kind}": computation.part,
    "/clusters/{cluster}/clients": clients.clients,
    "/clusters/{cluster}/clients.{kind}": clients.clients_file,
    "/clusters/{cluster}/hosts.{kind}": samples.hosts_file,
    "/clusters/{cluster}/builds.{kind}": software.builds_file,
    "/clusters/{cluster}/software.{kind}": software.packages_file,
    "/clusters/{cluster}/metrics": samples.metrics,
    "/clusters/{cluster}/metrics.csv": samples.metrics_csv,
    "/clusters/{cluster}/metrics.json": samples.numbers,
    "/clusters/{cluster}/signals.csv": signals.signals_csv,
    "/clusters/{cluster}/signals.json": signals.signals_json,
    "/clusters/{cluster}/exceptions.csv": computations.exceptions_csv,
    "/clusters/{cluster}/exceptions.json": computations.exceptions_json,
    "/clusters/{cluster}/workers": workers.workers,
    "/clusters/{cluster}/workers.csv": workers.workers_csv,
    "/clusters/{cluster}/workers.json": workers.workers_json,
    "/clusters/{cluster}/shuffles.csv": workers.shuffles_csv,
    "/clusters/{cluster}/shuffles.json": workers.shuffles_json,
    "/clusters/{cluster}/vms": cluster.vms,
    "/clusters/{cluster}/vms.csv": cluster.vms_csv,
    "/clusters/{cluster}/vms.json": cluster.vms_json,
    "/clusters/{cluster}/events": cluster.events,
    "/clusters/{cluster}/events.csv": cluster.events_csv,
    "/clusters/{cluster}/events.json": cluster.events_json,
    "/clusters/{cluster}/plan": cluster.plan,
    "/clusters/{cluster}/plan.{kind}": cluster.plan_file,
    "/clusters/{cluster}/software": software.software,
    "/clusters/{cluster}/software/{part}.{kind}": software.part,
    "/clusters/{cluster}/pylock.toml": software.lock,
    "/clusters/{cluster}/logs": log.logs,
    "/clusters/{cluster}/logs/more": log.more,
    "/clusters/{cluster}/logs.txt": log.logs_text,
    "/clusters/{cluster}/logs.csv": log.logs_csv,
    "/clusters/{cluster}/logs.json": log.logs_json,
    "/clusters/{cluster}/dashboard": dashboard.enter,
    "/costs": costs.costs,
    "/costs.csv": costs.costs_csv,
    "/costs.json": costs.costs_json,
    "/machinery": machinery.machinery,
    "/machinery/{part}.{kind}": machinery.part,
    "/settings": settings.settings,
    "/settings/tokens.{kind}": settings.tokens_file,
    "/settings/limits.{kind}": limits.limits_file,
    "/settings/clouds.{kind}": settings.clouds_file,
    "/pages/changes": stream.changes,
}
_SENT: dict[str, Page] = {
    "/clusters/{cluster}/stop": clusters.stop,
    "/settings/limits": limits.change,
    "/settings/tokens": settings.create_token,
    "/settings/tokens/{token}/revoke": settings.revoke_token,
}


def routes(desk: Desk) -> list[BaseRoute]:
    return [
        *(Route(path, _page(desk, page)) for path, page in _SEEN.items()),
        *(Route(path, _page(desk, page), methods=["POST"]) for path, page in _SENT.items()),
        Route("/login", _page(desk, login.show, public=True)),
        Route("/login", _page(desk, login.enter, public=True), methods=["POST"]),
        Route("/logout", _page(desk, login.leave, public=True), methods=["POST"]),
        Route("/pages/assets/{name}", _asset),
        Route("/metrics", metrics.page(desk)),
        Route("/dask/{sealed}/{path:path}", _dashboard(desk)),
        WebSocketRoute("/dask/{sealed}/{path:path}", _dashboard_socket(desk)),
    ]


def _page(
    desk: Desk, page: Page, *, public: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        visit = Visit(desk, request)
        if not visit.part:
            desk.last_request_at = time.monotonic()
        try:
            visit = await _admitted(visit, public=public)
            made = await page(visit)
        except NotLoggedIn:
            made = Response(status_code=401) if visit.part else login.to_login(visit)
        except ShoalError as error:
            made = _problem(visit, error)
        except ClientDisconnect:
            made = Response(status_code=499)
        except Exception:  # the driver of every request: what has no name is our bug
            _log.exception("%s %s failed", request.method, request.url.path)
            made = _problem(visit, ServerFault("The server failed.", hint="Its log tells more."))
        made.headers.update(HEADERS)
        return _packed(request, made)

    return answer


def _packed(request: Request, made: Response) -> Response:
    """Compressed, if it is worth it. (That a compressed page may give away a secret in it needs
    requests from another site with the visitor's cookie; browsers send it with none.)"""
    wanted = "gzip" in request.headers.get("accept-encoding", "")
    if not wanted or isinstance(made, StreamingResponse) or len(made.body) < _WORTH_BYTES:
        return made
    made.body = gzip.compress(bytes(made.body), compresslevel=4, mtime=0)
    made.headers["Content-Length"] = str(len(made.body))
    made.headers["Content-Encoding"] = "gzip"
    made.headers["Vary"] = "Accept-Encoding"
    return made


async def _admitted(visit: Visit, *, public: bool) -> Visit:
    try:
        known = await visitor(visit.desk, visit.cookie)
    except NotLoggedIn:
        if public:
            return visit
        raise
    if not public:
        gate.check_scope(known.caller, _SCOPE)
    return msgspec.structs.replace(visit, visitor=known)


def _problem(visit: Visit, error: ShoalError) -> Response:
    problem = problems.from_error(error)
    cluster = visit.request.path_params.get("cluster")
    back = cluster if cluster and problem.status != NOT_FOUND else ""
    return render(visit, "problem.html", {"problem": problem, "back": back}, problem.status)


def _dashboard(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """Not ours, so with neither our frame nor our headers; only what goes wrong is told by us."""

    async def answer(request: Request) -> Response:
        desk.last_request_at = time.monotonic()
        try:
            return await dashboard.answer(desk, request)
        except ShoalError as error:
            made = _problem(Visit(desk, request), error)
            made.headers.update(HEADERS)
            return made

    return answer


def _dashboard_socket(desk: Desk) -> Callable[[WebSocket], Awaitable[None]]:
    async def converse(socket: WebSocket) -> None:
        await dashboard.converse(desk, socket)

    return converse


async def _asset(request: Request) -> Response:
    found = ASSETS.get(request.path_params["name"])
    if found is None:
        return Response(status_code=404, headers=HEADERS)
    forever = {"Cache-Control": "public, max-age=31536000, immutable"}
    made = Response(found.content, media_type=found.media_type, headers=HEADERS | forever)
    return _packed(request, made)
