"""Calls by the endpoint table: typed both ways, errors in words, streams that go on."""

from __future__ import annotations

from pathlib import Path

import httpx2
import msgspec
import pytest
from fake_server import CLUSTER, NOW, TOKEN, FakeServer, event, view
from starlette.responses import Response
from virtual_time import run

from shoal import errors
from shoal.client.api import Api
from shoal.client.place import Place
from shoal.wire import endpoints
from shoal.wire.endpoints import ChangesQuery, ClusterQuery
from shoal.wire.events import EventKind
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.requests import CreateToken, StopCluster
from shoal.wire.views import ClusterList, Ended


def test_an_answer_has_the_type_that_the_endpoint_names(server: FakeServer) -> None:
    server.on(endpoints.CLUSTERS, lambda call: ClusterList((view(),)))

    async def work() -> object:
        async with server.api() as api:
            return await api.call(endpoints.CLUSTERS, query=ClusterQuery(ended=True))

    assert run(work()) == ClusterList((view(),))
    assert server.calls[0].query == {"ended": "true", "limit": "100", "sort": "newest"}


def test_path_and_body_travel_as_they_are(server: FakeServer) -> None:
    server.on(endpoints.STOP_CLUSTER, lambda call: Ended(CLUSTER, already=False))

    async def work() -> None:
        async with server.api() as api:
            await api.call(
                endpoints.STOP_CLUSTER, path={"cluster": "my-one"}, body=StopCluster("because")
            )

    run(work())
    assert server.calls[0].path == {"cluster": "my-one"}
    assert server.calls[0].body == b'{"reason":"because"}'


def test_a_file_is_sent_as_it_is(server: FakeServer, tmp_path: Path) -> None:
    server.on(endpoints.PUT_WHEEL, lambda call: endpoints.Nothing())
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(bytes(range(256)) * 9000)

    async def work() -> None:
        async with server.api() as api:
            await api.call(endpoints.PUT_WHEEL, path={"sha256": "0" * 64}, body=wheel)

    run(work())
    assert server.calls[0].body == wheel.read_bytes()


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("no such cluster", hint="list them"),
        errors.Conflict("there is one"),
        errors.LimitExceeded("too many"),
        errors.NotLoggedIn("who are you"),
        errors.InvalidRequest("no"),
    ],
)
def test_a_problem_becomes_the_error_that_it_was(
    server: FakeServer, error: errors.ShoalError
) -> None:
    def refuse(call: object) -> object:
        raise error

    server.on(endpoints.SERVER, refuse)

    async def work() -> None:
        async with server.api() as api:
            await api.call(endpoints.SERVER)

    with pytest.raises(type(error)) as told:
        run(work())
    assert (told.value.message, told.value.hint) == (error.message, error.hint)


def test_an_answer_of_something_else_is_a_server_fault(server: FakeServer) -> None:
    server.on(endpoints.SERVER, lambda call: Response("<html>502", 502))

    async def work() -> None:
        async with server.api() as api:
            await api.call(endpoints.SERVER)

    with pytest.raises(errors.ServerFault, match="502"):
        run(work())


class Broken(httpx2.AsyncBaseTransport):
    """Fails each request in its own way; None lets one through to a server."""

    def __init__(self, server: FakeServer, *failures: type[httpx2.TransportError] | None) -> None:
        self._through = httpx2.ASGITransport(server.app)
        self._failures = list(failures)
        self.requests = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure("broken on purpose", request=request)
        return await self._through.handle_async_request(request)


def api_over(transport: Broken) -> Api:
    return Api(lambda: Place("http://fake", TOKEN, "start it again"), transport=transport)


def test_a_server_that_moved_is_looked_for_once_more(server: FakeServer) -> None:
    server.on(endpoints.CLUSTERS, lambda call: ClusterList(()))
    found: list[Place] = []

    def find() -> Place:
        found.append(Place(f"http://fake-{len(found)}", TOKEN))
        return found[-1]

    async def work() -> object:
        async with Api(find, transport=Broken(server, httpx2.ConnectError)) as api:
            return await api.call(endpoints.CLUSTERS)

    assert run(work()) == ClusterList(())
    assert len(found) == 2


def test_a_server_that_stays_away_is_told_with_its_address_and_hint(server: FakeServer) -> None:
    async def work() -> None:
        async with api_over(Broken(server, *[httpx2.ConnectError] * 2)) as api:
            await api.call(endpoints.CLUSTERS)

    with pytest.raises(errors.ServerUnreachable, match=r"http://fake.*\n?start it again"):
        run(work())


def test_what_may_have_been_done_is_not_done_twice(server: FakeServer) -> None:
    transport = Broken(server, httpx2.ReadError)
    body = CreateToken(UserName("ada"), WorkspaceName("default"))

    async def work() -> None:
        async with api_over(transport) as api:
            await api.call(endpoints.CREATE_TOKEN, body=body)

    with pytest.raises(errors.ServerUnreachable):
        run(work())
    assert transport.requests == 1


def test_a_stream_that_breaks_goes_on_after_the_last_event(server: FakeServer) -> None:
    scripts = [
        [event(EventKind.CLUSTER_CREATED, 5), event(EventKind.BATCH_INTENDED, 6)],
        [],
        [event(EventKind.CLUSTER_READY, 9)],
    ]
    server.on(endpoints.CHANGES, lambda call: scripts.pop(0) if scripts else [])

    async def work() -> list[int]:
        seen: list[int] = []
        async with server.api() as api:
            query = ChangesQuery(cluster=CLUSTER, after=4)
            async for it in api.stream(endpoints.CHANGES, query=query):
                seen.append(it.seq)
                if len(seen) == 3:
                    break
        return seen

    assert run(work()) == [5, 6, 9]
    assert [call.query["after"] for call in server.calls] == ["4", "6", "6"]


def test_a_stream_ends_with_a_word_when_nobody_answers_any_more(server: FakeServer) -> None:
    transport = Broken(server, *[httpx2.ConnectError] * 100)

    async def work() -> None:
        async with api_over(transport) as api:
            async for _ in api.stream(endpoints.CHANGES, query=ChangesQuery()):
                pass

    with pytest.raises(errors.ServerUnreachable):
        run(work())
    assert 3 < transport.requests < 20


def test_a_problem_inside_a_stream_is_the_error_that_it_was(server: FakeServer) -> None:
    text = b'event: problem\ndata: {"code":"not-found","detail":"no such cluster","hint":""}\n\n'
    server.on(endpoints.CHANGES, lambda call: Response(text, media_type="text/event-stream"))

    async def work() -> None:
        async with server.api() as api:
            async for _ in api.stream(endpoints.CHANGES, query=ChangesQuery(cluster="x")):
                pass

    with pytest.raises(errors.NotFound, match="no such cluster"):
        run(work())


def test_a_hint_within_a_stream_is_no_event(server: FakeServer) -> None:
    told = event(EventKind.CLUSTER_READY, 9)
    text = b"event: record\ndata: {}\n\ndata: %s\n\n" % msgspec.json.encode(told)
    server.on(endpoints.CHANGES, lambda call: Response(text, media_type="text/event-stream"))
    hints: list[str] = []

    async def work() -> object:
        async with server.api() as api:
            query = ChangesQuery(cluster=CLUSTER, hints=True)
            stream = api.stream(endpoints.CHANGES, query=query, hint=lambda: hints.append("new"))
            async for it in stream:
                return it
        return None

    assert run(work()) == told
    assert hints == ["new"]
    assert server.calls[0].query["hints"] == "true"


def test_no_repr_shows_the_token(server: FakeServer) -> None:
    async def work() -> str:
        async with server.api() as api:
            return f"{api!r} {api.place!r} {NOW}"

    assert TOKEN not in run(work())
