"""The head's HTTPS API: who may call what, JSON in and out, long polls. Types: wire/reports.py.

    server   PUT /v1/orders · PUT /v1/wheels/{sha256} · GET /v1/report
    worker   GET /v1/orders · GET /v1/wheels/{sha256} · POST /v1/beat
    nobody   POST /v1/join · GET /v1/bundle · GET /v1/bundle/{sha256}, with the join secret

Decides nothing; head_desk.py does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from shoal import errors
from shoal.agent import wheel_store
from shoal.agent.head_desk import HeadDesk
from shoal.agent.preparation import missing_wheels
from shoal.agent.vm import Vm
from shoal.errors import InvalidRequest, NotAllowed, NotFound, ShoalError
from shoal.trust.asgi_peer import find_peer, require_peer
from shoal.trust.names import Role
from shoal.trust.secret import Secret
from shoal.wire import problems
from shoal.wire.bundle import JOIN_HEADER
from shoal.wire.ids import InstanceId
from shoal.wire.reports import JoinRequest, Orders, OrdersTaken, WorkerBeat

_BODY_BYTES = 64 * 2**20
_LONGEST_WAIT_S = 60.0
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")

T = TypeVar("T")
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def application(desk: HeadDesk, vm: Vm) -> Starlette:
    routes = _Routes(desk, vm)
    table = {
        ("PUT", "/v1/orders"): routes.put_orders,
        ("PUT", "/v1/wheels/{sha256}"): routes.put_wheel,
        ("GET", "/v1/report"): routes.report,
        ("GET", "/v1/orders"): routes.orders,
        ("GET", "/v1/wheels/{sha256}"): routes.wheel,
        ("POST", "/v1/beat"): routes.beat,
        ("GET", "/v1/bundle"): routes.bundle,
        ("GET", "/v1/bundle/{sha256}"): routes.bundle_file,
        ("POST", "/v1/join"): routes.join,
    }
    return Starlette(
        routes=[Route(path, it, methods=[method]) for (method, path), it in table.items()],
        exception_handlers={ShoalError: _problem},
    )


class _Routes:
    def __init__(self, desk: HeadDesk, vm: Vm) -> None:
        self._desk = desk
        self._vm = vm

    # -- the server --------------------------------------------------------------------------

    async def put_orders(self, request: Request) -> Response:
        self._from_server(request)
        orders = await _body(request, Orders)
        if orders.stop == "":
            self._desk.lacks(missing_wheels(orders.manifest, self._vm))
        self._desk.take(orders)
        return _json(OrdersTaken(orders.version, self._desk.missing))

    async def put_wheel(self, request: Request) -> Response:
        self._from_server(request)
        sha256 = request.path_params["sha256"]
        orders = self._desk.orders
        if orders is None or sha256 not in {it.sha256 for it in orders.manifest.wheels}:
            raise InvalidRequest(f"The environment has no wheel {sha256}.")
        await wheel_store.keep(self._vm.wheels, sha256, request.stream())
        self._desk.lacks(missing_wheels(orders.manifest, self._vm))
        return Response(status_code=204)

    async def report(self, request: Request) -> Response:
        self._from_server(request)
        desk, cursor = self._desk, _number(request, "cursor")
        await desk.worth_telling(cursor, _wait_s(request))
        desk.heard_server()
        answer = desk.report(cursor)
        if answer.stop is not None:
            desk.stop_told.ring()
        return _json(answer)

    # -- workers -----------------------------------------------------------------------------

    async def join(self, request: Request) -> Response:
        return _json(self._desk.join(await _body(request, JoinRequest)))

    async def orders(self, request: Request) -> Response:
        """Answers when the version differs from the one the worker has; 204: still the same."""
        post = self._desk.post(self._worker(request))
        version = _number(request, "version")
        if version == post.version or post.content is None:
            await post.changed.after(post.changed.count, _wait_s(request))
        content = self._desk.given(post)
        if version == post.version or content is None:
            return Response(status_code=204)
        return _json(content)

    async def wheel(self, request: Request) -> Response:
        self._worker(request)
        return FileResponse(wheel_store.find(self._vm.wheels, request.path_params["sha256"]))

    async def beat(self, request: Request) -> Response:
        worker = self._worker(request)
        beat = await _body(request, WorkerBeat)
        if beat.vm.instance != worker:
            raise NotAllowed(f"{worker} may not speak for {beat.vm.instance}.")
        return _json(self._desk.beat(beat))

    # -- VMs that have no agent yet (bootstrap.py) -------------------------------------------

    async def bundle(self, request: Request) -> Response:
        """The server asks too, to know that an agent is here: 204 says so."""
        peer = find_peer(request.scope)
        if peer is not None and peer.role is Role.SERVER:
            self._desk.heard_server()
            return Response(status_code=204)
        return FileResponse(self._bundle(request) / "bundle.json", media_type="application/json")

    async def bundle_file(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        return FileResponse(wheel_store.find(self._bundle(request), sha256))

    def _bundle(self, request: Request) -> Path:
        self._desk.check(Secret(request.headers.get(JOIN_HEADER, "")))
        if self._vm.bundle is None:
            raise NotFound("VMs of this cloud have their agent already.")
        return self._vm.bundle

    # -- who ---------------------------------------------------------------------------------

    def _from_server(self, request: Request) -> None:
        require_peer(request.scope, Role.SERVER)
        self._desk.heard_server()

    def _worker(self, request: Request) -> InstanceId:
        return InstanceId(require_peer(request.scope, Role.WORKER).name)


async def _body(request: Request, kind: type[T]) -> T:
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > _BODY_BYTES:
            raise InvalidRequest(f"The body is larger than {_BODY_BYTES} bytes.")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not a {kind.__name__}: {error}") from error


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise InvalidRequest(f"{name} must be a number.")
    return int(text)


def _wait_s(request: Request) -> float:
    text = request.query_params.get("wait_s", "0")
    if not _SECONDS.fullmatch(text):
        raise InvalidRequest("wait_s must be a number of seconds.")
    return min(float(text), _LONGEST_WAIT_S)


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ShoalError)
    problem = problems.from_error(error)
    return Response(msgspec.json.encode(problem), problem.status, media_type=problems.MEDIA_TYPE)
