"""A cluster is followed for as long as a session holds it: no question without an event."""

from __future__ import annotations

from collections.abc import Iterator

from fake_server import FakeServer, event, view
from virtual_time import run

from shoal.client import following
from shoal.client.following import Following
from shoal.client.place import Place
from shoal.errors import NotLoggedIn, ServerUnreachable
from shoal.wire import endpoints
from shoal.wire.events import Event, EventKind
from shoal.wire.views import ClusterStatus, ClusterView

ENDED = view(ClusterStatus.FAILED, end_reason="the scheduler's VM was lost: it was preempted")


def followed(server: FakeServer) -> tuple[ClusterView | None, list[Event | None]]:
    heard: list[Event | None] = []
    following = Following(view(ClusterStatus.READY), heard.append, api=server.api())
    return run(following.until_over()), heard


def in_turn(*answers: object) -> object:
    """The last one stays."""
    left = list(answers)

    def answer(call: object) -> object:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def test_it_hears_each_event_and_gives_the_cluster_when_it_has_ended(server: FakeServer) -> None:
    told = [event(EventKind.INSTANCE_STAGE, 5), event(EventKind.CLUSTER_ENDING, 6)]
    server.on(endpoints.CLUSTER, in_turn(view(ClusterStatus.READY), ENDED))
    server.on(endpoints.CHANGES, lambda call: told)
    assert followed(server) == (ENDED, [None, *told])
    assert len(server.asked(endpoints.CLUSTER)) == 2  # however long it lived


def test_one_that_ended_meanwhile_is_told_at_once(server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, lambda call: ENDED)
    assert followed(server) == (ENDED, [])
    assert not server.asked(endpoints.CHANGES)


def test_it_waits_for_a_server_that_is_away_and_misses_nothing(server: FakeServer) -> None:
    first, last = event(EventKind.INSTANCE_STAGE, 7), event(EventKind.CLUSTER_ENDED, 8)
    cut = (ServerUnreachable("gone"), [last])
    running = view(ClusterStatus.READY)
    server.on(endpoints.CLUSTER, in_turn(ServerUnreachable("away"), running, running, ENDED))
    server.on(endpoints.CHANGES, in_turn([first], *cut))
    assert followed(server) == (ENDED, [None, first, None, last])
    assert [it.query["after"] for it in server.asked(endpoints.CHANGES)] == ["0", "7", "7"]


def test_whoever_may_not_look_any_more_stops_looking(server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, in_turn(NotLoggedIn("the token was revoked")))
    assert followed(server) == (None, [])


def test_no_server_is_started_to_follow(server: FakeServer) -> None:
    looks: Iterator[int] = iter(range(5))

    def find() -> Place:
        if next(looks) < 4:
            raise ServerUnreachable("it does not run")
        raise NotLoggedIn("over")

    assert run(Following(view(), [].append, find=find).until_over()) is None


def test_the_error_says_why_and_what_to_do() -> None:
    error = following.over(ENDED)
    assert "the scheduler's VM was lost: it was preempted" in error.message
    assert "shoal cluster events" in error.hint
    assert "shoal.Cluster('mine'" in error.hint
