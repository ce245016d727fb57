"""`Cluster.sync()` ends when the workers have changed, or when it is clear that they cannot."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from fake_server import NOW, FakeServer, event, view
from virtual_time import run

from shoal.client import syncing
from shoal.client.progress import Progress, Silent
from shoal.errors import ClusterFailed, EnvironmentFailed
from shoal.wire import endpoints
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import ClusterStatus, InstanceList, InstanceState, InstanceView, Stage


def vm(number: int, environment: str, **changes: object) -> InstanceView:
    state = changes.get("state", InstanceState.LAUNCHED)
    return InstanceView(
        InstanceId(f"shoal-c-{number}"),
        Role.SCHEDULER if number == 1 else Role.WORKER,
        InstanceState(str(state)),
        Stage.READY,
        NOW,
        "accepted",
        detail=str(changes.get("detail", "")),
        environment=environment,
        broken=str(changes.get("broken", "")),
    )


def sync(server: FakeServer, looks: Iterable[tuple[InstanceView, ...]], *events: Event) -> None:
    left = list(looks)
    server.on(
        endpoints.INSTANCES,
        lambda call: InstanceList((vm(1, "old"), *(left.pop(0) if len(left) > 1 else left[0]))),
    )
    server.on(endpoints.CHANGES, lambda call: events)

    async def work() -> None:
        async with server.api() as api:
            running = view(ClusterStatus.READY)
            await syncing.until_moved(api, running, Progress("mine", Silent()))

    run(work())


CHANGED = event(EventKind.INSTANCE_ENVIRONMENT, 5)


def test_it_waits_until_every_worker_runs_the_new_one_whatever_the_scheduler_runs(
    server: FakeServer,
) -> None:
    both_old = (vm(2, "old"), vm(3, "old"))
    half = (vm(2, "env-0"), vm(3, "old"))
    moved = (vm(2, "env-0"), vm(3, "env-0"), vm(4, "old", state=InstanceState.GONE))
    sync(server, [both_old, half, moved], CHANGED)
    assert len(server.asked(endpoints.INSTANCES)) == 3


def test_that_it_cannot_be_is_told_grouped_and_with_what_goes_on(server: FakeServer) -> None:
    why = "seaweed could not be installed"
    broken = [vm(it, "old", broken="env-0", detail=why) for it in (2, 3)]
    with pytest.raises(EnvironmentFailed, match=f"2 of 3 workers: {why}") as caught:
        sync(server, [(*broken, vm(4, "old"))], CHANGED)
    assert "go on with the one from before" in caught.value.hint


def test_the_end_of_the_cluster_ends_it(server: FakeServer) -> None:
    with pytest.raises(ClusterFailed, match="because"):
        sync(server, [(vm(2, "old"),)], CHANGED, event(EventKind.CLUSTER_ENDING, 6))
