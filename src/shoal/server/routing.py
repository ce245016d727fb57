"""From the table of endpoints to an ASGI app: decode, admit, call the handler, encode.

Knows nothing of clusters. Whatever a handler raises as a ShoalError becomes problem+json; anything
else is our bug, is logged with its traceback, and becomes a 500 that says so.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from shoal import errors
from shoal.server import gate
from shoal.server.desk import Desk, Incoming, Upload
from shoal.server.openapi import document
from shoal.server.request_book import Timed
from shoal.wire import problems
from shoal.wire.endpoints import ENDPOINTS, Endpoint

Handler = Callable[[Desk, Incoming[Any, Any]], Awaitable[Any]]
Streamer = Callable[[Desk, Incoming[Any, Any]], AsyncIterator[bytes]]

MAX_BODY_BYTES = 8 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_log = logging.getLogger(__name__)


def app(
    desk: Desk, handlers: Mapping[str, Handler | Streamer], pages: Sequence[BaseRoute] = ()
) -> Starlette:
    """Every endpoint of the table must have a handler of its name, and no other."""
    names = {endpoint.name for endpoint in ENDPOINTS}
    if names != handlers.keys():
        raise errors.ServerFault(f"Endpoints and handlers differ: {names ^ handlers.keys()}")
    routes = [_route(desk, endpoint, handlers[endpoint.name]) for endpoint in ENDPOINTS]
    routes.append(Route("/v1/openapi.json", _openapi(desk), methods=["GET"]))
    made = Starlette(routes=[*routes, *pages])
    made.add_exception_handler(HTTPException, _not_routed)
    made.add_middleware(Timed, book=desk.requests)
    return made


def _route(desk: Desk, endpoint: Endpoint, handler: Any) -> Route:
    async def answer(request: Request) -> Response:
        try:
            incoming = await _incoming(desk, endpoint, request)
            if endpoint.stream:
                return StreamingResponse(
                    handler(desk, incoming),
                    media_type="text/event-stream",
                    headers={"Cache-Control": "no-store"},
                )
            return _json(await handler(desk, incoming), endpoint.status)
        except errors.ShoalError as error:
            return _problem(error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:  # the driver of every request: what has no name is our bug
            _log.exception("%s %s failed", endpoint.method, endpoint.path)
            return _problem(errors.ServerFault("The server failed.", hint="Its log tells more."))

    return Route(endpoint.path, answer, methods=[endpoint.method], name=endpoint.name)


async def _incoming(desk: Desk, endpoint: Endpoint, request: Request) -> Incoming[Any, Any]:
    desk.last_request_at = time.monotonic()
    asking = await gate.caller(desk.database, request.headers.get("authorization"), desk.clock())
    gate.check_scope(asking, endpoint.scope)
    for name, value in request.path_params.items():
        if not _NAME.fullmatch(value):
            raise errors.InvalidRequest(f"{value!r} is not a {name}.")
    return Incoming(
        asking, request.path_params, _query(endpoint, request), await _body(endpoint, request)
    )


def _query(endpoint: Endpoint, request: Request) -> object:
    if endpoint.query is None:
        return None
    known = {field.name for field in msgspec.structs.fields(endpoint.query)}
    given = dict(request.query_params)
    if unknown := given.keys() - known:
        raise errors.InvalidRequest(
            f"Unknown query parameters: {', '.join(sorted(unknown))}.",
            hint=f"Known are: {', '.join(sorted(known))}.",
        )
    if any("\0" in value for value in given.values()):
        raise errors.InvalidRequest("A query parameter contains a NUL character.")
    try:
        return msgspec.convert(given, endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(f"The query is not right: {error}.") from error


async def _body(endpoint: Endpoint, request: Request) -> object:
    if endpoint.body is None:
        return None
    if endpoint.body is bytes:
        return Upload(request.stream())
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise errors.InvalidRequest(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    if b"\\u0000" in raw:
        raise errors.InvalidRequest("The body contains a NUL character.")
    try:
        return msgspec.json.decode(raw, type=endpoint.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.InvalidRequest(f"The body is not right: {error}.") from error


def _json(answer: object, status: int) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def _problem(error: errors.ShoalError) -> Response:
    problem = problems.from_error(error)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    return Response(
        msgspec.json.encode(problem), problem.status, headers, media_type=problems.MEDIA_TYPE
    )


async def _not_routed(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    problem = problems.Problem("about:blank", "Not found", status, "not-found", "No such endpoint.")
    if status == 405:
        problem = msgspec.structs.replace(
            problem, title="Method not allowed", code="invalid-request", detail="No such method."
        )
    headers = error.headers if isinstance(error, HTTPException) else None
    return Response(msgspec.json.encode(problem), status, headers, media_type=problems.MEDIA_TYPE)


def _openapi(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            await gate.caller(desk.database, request.headers.get("authorization"), desk.clock())
        except errors.ShoalError as error:
            return _problem(error)
        return _json(document(), 200)

    return answer
