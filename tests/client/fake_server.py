"""A server in this process, by the endpoint table, whose answers a test writes.

It speaks the wire as the real one does (problem+json, server-sent events) and remembers what it
was asked. A stream ends when its script does, as if the connection were cut.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from shoal.client.api import Api
from shoal.client.place import Place
from shoal.errors import NotFound, ShoalError
from shoal.wire import problems
from shoal.wire.endpoints import ENDPOINTS, Endpoint
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EnvironmentId, EventSeq, UserName, WorkspaceName
from shoal.wire.specs import Cloud, ClusterSpec, Workers
from shoal.wire.views import ClusterStatus, ClusterView, WorkerCounts

TOKEN = "shoal_a-secret-that-must-not-show"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLUSTER = ClusterId("c-aaaaaaaaaa")


class Call(msgspec.Struct, frozen=True):
    endpoint: str
    path: dict[str, str]
    query: dict[str, str]
    body: bytes


Answer = Callable[[Call], Any]


class FakeServer:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: dict[str, Answer] = {}
        self.app = Starlette(routes=[self._route(endpoint) for endpoint in ENDPOINTS])

    def on(self, endpoint: Endpoint, answer: Answer) -> None:
        """`answer` returns a value, an iterable of events for a stream, or raises ShoalError."""
        self.answers[endpoint.name] = answer

    def api(self) -> Api:
        return Api(
            lambda: Place("http://fake", TOKEN, "look again"),
            transport=httpx2.ASGITransport(self.app),
        )

    def asked(self, endpoint: Endpoint) -> list[Call]:
        return [call for call in self.calls if call.endpoint == endpoint.name]

    def _route(self, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Response:
            assert request.headers["authorization"] == f"Bearer {TOKEN}"
            call = Call(
                endpoint.name, request.path_params, dict(request.query_params), await request.body()
            )
            self.calls.append(call)
            try:
                found = self.answers.get(endpoint.name, _nothing)(call)
            except ShoalError as error:
                problem = problems.from_error(error)
                return _json(problem, problem.status, problems.MEDIA_TYPE)
            if isinstance(found, Response):
                return found
            if endpoint.stream:
                return StreamingResponse(_events(found), media_type="text/event-stream")
            return _json(found, endpoint.status, "application/json")

        return Route(endpoint.path, answer, methods=[endpoint.method])


def _nothing(call: Call) -> object:
    raise NotFound(f"no answer is written for {call.endpoint}")


def _json(value: object, status: int, media_type: str) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=media_type)


async def _events(events: Iterable[Event]) -> AsyncIterator[bytes]:
    yield b": connected\n\n"
    for event in events:
        yield b"id: %d\ndata: %s\n\n" % (event.seq, msgspec.json.encode(event))


def view(status: ClusterStatus = ClusterStatus.STARTING, **changes: Any) -> ClusterView:
    spec = ClusterSpec(
        name="mine",
        cloud=Cloud.LOCAL,
        workers=Workers(2, 2, 2),
        environment=EnvironmentId("env-0"),
    )
    made = ClusterView(
        id=CLUSTER,
        name="mine",
        workspace=WorkspaceName("default"),
        owner=UserName("ada"),
        status=status,
        sentence=f"it is {status}",
        spec=spec,
        workers=WorkerCounts(wanted=2, launching=2, preparing=0, ready=0, draining=0),
        created_at=NOW,
    )
    return msgspec.structs.replace(made, **changes)


def event(kind: EventKind, seq: int, why: str = "because", **changes: Any) -> Event:
    made = Event(at=NOW, kind=kind, actor="reconciler", why=why, seq=EventSeq(seq), cluster=CLUSTER)
    return msgspec.structs.replace(made, **changes)
