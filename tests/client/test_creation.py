"""From arguments to a running cluster: joined or asked for, told at once when it fails."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from fake_server import CLUSTER, Call, FakeServer, event, view
from virtual_time import run

from shoal.client import arguments, creation
from shoal.client.arguments import Asked
from shoal.client.creation import Watch
from shoal.client.progress import Progress, Silent
from shoal.errors import ClusterFailed, Conflict, InvalidRequest, NotFound, StoreFault
from shoal.software.targets import here
from shoal.wire import endpoints
from shoal.wire.environments import Manifest, PackageSummary
from shoal.wire.events import EventKind
from shoal.wire.ids import EnvironmentId
from shoal.wire.views import (
    ClientCertificate,
    ClusterStatus,
    ClusterView,
    Ended,
    InstanceList,
)

STORED = "prod"  # an environment that the server has: nothing to scan here


def asked(name: str | None = None, **options: object) -> Asked:
    return arguments.asked(name, {"software": STORED, **options}, local_cpus=2)


def obtain(server: FakeServer, what: Asked, name: str) -> creation.Obtained:
    async def work() -> creation.Obtained:
        async with server.api() as api:
            return await creation.obtain(api, what, name, Progress(name, Silent()))

    return run(work())


def missing(call: Call) -> object:
    raise NotFound("no such cluster")


def taken(call: Call) -> object:
    raise Conflict("a cluster of that name is running")


@pytest.fixture(autouse=True)
def _environment(server: FakeServer) -> None:
    server.on(endpoints.ENVIRONMENT, lambda call: _manifest())
    server.on(endpoints.CERTIFICATE, lambda call: CERTIFICATE)


def _manifest() -> Manifest:
    return Manifest(EnvironmentId(STORED), "", here().python, here().platform)


def test_a_stored_environment_must_be_understood_and_fit_the_machines(server: FakeServer) -> None:
    server.on(endpoints.CREATE_CLUSTER, lambda call: view())
    stored = _manifest()
    old = (PackageSummary("dask", "1.0", "index"),)
    for changes, words in (
        ({"platform": "aarch64-apple-darwin"}, "was made for aarch64-apple-darwin"),
        ({"packages": old}, "dask: 1.0 there and"),
        ({"python": "3.99.1"}, r"python: 3\.99\.1 there and"),
    ):
        changed = msgspec.structs.replace(stored, **changes)
        server.on(endpoints.ENVIRONMENT, lambda call, it=changed: it)
        with pytest.raises(InvalidRequest, match=words):
            obtain(server, asked(), "mine")
    assert not server.asked(endpoints.CREATE_CLUSTER)


def test_a_running_cluster_of_that_name_is_joined(server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, lambda call: view(ClusterStatus.READY))
    assert obtain(server, asked("mine"), "mine") == creation.Obtained(
        view(ClusterStatus.READY), created=False
    )
    assert not server.asked(endpoints.CREATE_CLUSTER)


@pytest.mark.parametrize(
    "status", [ClusterStatus.ENDING, ClusterStatus.ENDED, ClusterStatus.FAILED]
)
def test_one_that_has_ended_is_not_joined(server: FakeServer, status: ClusterStatus) -> None:
    server.on(endpoints.CLUSTER, lambda call: view(status))
    server.on(endpoints.CREATE_CLUSTER, lambda call: view())
    assert obtain(server, asked("mine"), "mine").created


def test_a_cluster_without_a_name_is_asked_for_under_a_new_one(server: FakeServer) -> None:
    server.on(endpoints.CREATE_CLUSTER, lambda call: view())
    assert obtain(server, asked(), "dask-1234").created
    [call] = server.asked(endpoints.CREATE_CLUSTER)
    assert b'"name":"dask-1234"' in call.body
    assert b'"environment":"prod"' in call.body
    assert not server.asked(endpoints.CLUSTER)


def test_who_asks_second_joins(server: FakeServer) -> None:
    looks = [missing, lambda call: view(ClusterStatus.STARTING)]
    server.on(endpoints.CLUSTER, lambda call: looks.pop(0)(call))
    server.on(endpoints.CREATE_CLUSTER, taken)
    assert not obtain(server, asked("mine"), "mine").created


def test_a_workspace_that_is_not_the_tokens_is_refused(server: FakeServer) -> None:
    from fake_server import NOW

    from shoal.wire.ids import InstallationId, UserName, WorkspaceName
    from shoal.wire.views import ServerInfo

    info = ServerInfo(
        "0.1.0", InstallationId("i-0"), "", True, 0, 1, NOW, UserName("ada"), WorkspaceName("a")
    )
    server.on(endpoints.SERVER, lambda call: info)
    with pytest.raises(InvalidRequest, match="your token is for 'a'"):
        obtain(server, asked(workspace="b"), "mine")


CERTIFICATE = ClientCertificate("tls://127.0.0.1:1", "ca", "certificate", "key")


def watch(server: FakeServer) -> ClusterView:
    async def until_ready(it: Watch) -> None:
        await it.certificate()

    async def work() -> ClusterView:
        async with server.api() as api:
            it = Watch(api, view(), Progress("mine", Silent()))
            async with asyncio.timeout(600):
                await it.during(until_ready)
            return it.view

    return run(work())


def test_the_scheduler_is_awaited_by_its_event(server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, lambda call: view())
    server.on(endpoints.INSTANCES, lambda call: InstanceList(()))
    scripts = [[event(EventKind.CLUSTER_CREATED, 1)], [event(EventKind.CLUSTER_READY, 2)]]
    server.on(endpoints.CHANGES, lambda call: scripts.pop(0) if scripts else [])
    watch(server)
    assert not scripts


def test_a_ready_scheduler_is_found_when_its_event_was_missed(server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, lambda call: view(scheduler_address="tls://127.0.0.1:1"))
    server.on(endpoints.INSTANCES, lambda call: InstanceList(()))
    server.on(endpoints.CHANGES, lambda call: [])
    assert watch(server).scheduler_address == "tls://127.0.0.1:1"


def test_a_server_in_trouble_for_a_moment_ends_no_creation(server: FakeServer) -> None:
    """Its database is locked, say: the cluster comes up all the same."""

    def locked(call: Call) -> object:
        raise StoreFault("The database is locked.")

    looks = [locked, locked]
    server.on(
        endpoints.CLUSTER,
        lambda call: looks.pop()(call) if looks else view(scheduler_address="tls://127.0.0.1:1"),
    )
    server.on(endpoints.INSTANCES, lambda call: InstanceList(()))
    streams = [locked]
    server.on(endpoints.CHANGES, lambda call: streams.pop()(call) if streams else [])
    assert watch(server).scheduler_address == "tls://127.0.0.1:1"


def test_a_server_in_trouble_for_long_ends_it(server: FakeServer) -> None:
    def locked(call: Call) -> object:
        raise StoreFault("The database is locked.")

    server.on(endpoints.CLUSTER, locked)
    server.on(endpoints.CHANGES, lambda call: [])
    with pytest.raises(StoreFault, match="locked"):
        watch(server)
    assert len(server.asked(endpoints.CLUSTER)) > 10


def test_a_cluster_that_ends_meanwhile_fails_at_once_with_the_servers_sentence(
    server: FakeServer,
) -> None:
    ended = view(ClusterStatus.FAILED, sentence="3 of 3 workers: no capacity in here")
    server.on(endpoints.CLUSTER, lambda call: ended)
    server.on(endpoints.INSTANCES, lambda call: InstanceList(()))
    server.on(endpoints.CHANGES, lambda call: [event(EventKind.CLUSTER_ENDING, 3)])
    with pytest.raises(ClusterFailed, match="3 of 3 workers: no capacity in here") as told:
        watch(server)
    assert CLUSTER in told.value.hint


def silent(call: Call) -> object:
    raise Conflict("The scheduler of 'mine' does not answer (yet, or any more).")


def test_a_scheduler_that_goes_before_it_is_reached_is_waited_for_again(server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, lambda call: view(scheduler_address="tls://127.0.0.1:1"))
    server.on(endpoints.INSTANCES, lambda call: InstanceList(()))
    server.on(endpoints.CHANGES, lambda call: [])
    answers = [lambda call: CERTIFICATE, silent, silent]
    server.on(endpoints.CERTIFICATE, lambda call: answers.pop()(call))
    watch(server)
    assert not answers


def test_one_that_goes_because_the_cluster_ends_is_told_with_the_servers_sentence(
    server: FakeServer,
) -> None:
    views = [
        view(ClusterStatus.FAILED, sentence="1 of 2 workers: The Dask worker cannot be made"),
        view(scheduler_address="tls://127.0.0.1:1"),
    ]
    server.on(endpoints.CLUSTER, lambda call: views.pop() if views[1:] else views[0])
    server.on(endpoints.INSTANCES, lambda call: InstanceList(()))
    server.on(endpoints.CHANGES, lambda call: [])
    server.on(endpoints.CERTIFICATE, silent)
    with pytest.raises(ClusterFailed, match="The Dask worker cannot be made"):
        watch(server)


def test_interrupted_while_it_is_asked_for_the_cluster_is_told_to_stop(server: FakeServer) -> None:
    server.on(endpoints.STOP_CLUSTER, lambda call: Ended(CLUSTER, already=False))

    async def work() -> None:
        async with server.api() as api:
            asking = asyncio.ensure_future(
                creation.obtain(api, asked(), "mine", Progress("mine", Silent()))
            )

            def answer(call: Call) -> object:
                asking.cancel()  # Ctrl+C, when the server has it already
                return view()

            server.on(endpoints.CREATE_CLUSTER, answer)
            with pytest.raises(asyncio.CancelledError):
                await asking

    run(work())
    [call] = server.asked(endpoints.STOP_CLUSTER)
    assert call.path == {"cluster": CLUSTER}
