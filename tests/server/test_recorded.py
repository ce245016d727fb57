"""What was recorded, over the API: who may see it, of past clusters too; and clusters watched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shoal.server.passes import record, signalling, watched
from shoal.store import samples
from shoal.wire.ids import ClusterId, InstanceId, WorkspaceName
from shoal.wire.reports import HeadReport, LogChunk
from shoal.wire.requests import CreateCluster, StopCluster, Watch
from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    CodeFrame,
    Computation,
    HostSample,
    Item,
    Loss,
    SchedulerSample,
    TaskException,
    TaskGroupSample,
    WatchedReport,
    WorkerEvent,
)
from shoal.wire.views import LogLine
from tests.server.conftest import Served
from tests.server.specs import a_spec

VM = InstanceId("shoal-c-1")


@pytest.fixture
def ada(served: Served) -> str:
    return served.token("ada", "research", "clusters")


@pytest.fixture
def cluster(served: Served, ada: str) -> ClusterId:
    made = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec())).json()
    return ClusterId(made["id"])


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def reported(served: Served, cluster: ClusterId, *items: Item, **more: Any) -> None:
    """As a head's report is taken."""
    chunks = tuple(Chunk(seq, it) for seq, it in enumerate(items, 1))
    report = HeadReport(cluster, ago(900), 50, telemetry=chunks, **more)
    workspace = WorkspaceName("research")
    database = served.desk.database
    asyncio.run(database.run_samples(samples.take, cluster, workspace, report, ago(0)))


def a_computation(**fields: Any) -> Computation:
    code = (CodeFrame("etl.py", 3, "frame.mean().compute()"),)
    return Computation("k-1", ago(60), ago(30), code, tasks=5, done=5, **fields)


def get(served: Served, token: str, path: str) -> Any:
    answer = served.ask(token, "GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_ran_is_found_with_its_code_groups_and_exceptions(
    served: Served, ada: str, cluster: ClusterId
) -> None:
    exception = TaskException(
        "e-1", "k-1", ago(40), ago(40), 1, "ValueError", "no", "…", "f-1", "f", VM
    )
    group = TaskGroupSample("k-1", "mean-1f", "mean", compute_s=2.0)
    reported(served, cluster, a_computation(erred=1), group, exception)
    [found] = get(served, ada, "/v1/computations?text=FRAME.mean&erred=true")["computations"]
    assert (found["cluster"], found["computation"]["tasks"]) == (cluster, 5)
    whole = get(served, ada, f"/v1/clusters/{cluster}/computations/k-1")
    assert [it["prefix"] for it in whole["groups"]] == ["mean"]
    assert [it["type"] for it in whole["exceptions"]] == ["ValueError"]
    assert len(get(served, ada, "/v1/clusters/etl/exceptions")["exceptions"]) == 1
    missing = served.ask(ada, "GET", f"/v1/clusters/{cluster}/computations/k-9")
    assert missing.status_code == 404


def test_who_was_connected_is_told(served: Served, ada: str, cluster: ClusterId) -> None:
    came = ClientEvent(ago(9), "Client-1", connected=True, name="notebook", user="ada")
    reported(served, cluster, came)
    [told] = get(served, ada, f"/v1/clusters/{cluster}/client-events")["events"]
    assert (told["client"], told["user"], told["name"]) == ("Client-1", "ada", "notebook")


def test_computations_are_found_by_their_spans(
    served: Served, ada: str, cluster: ClusterId
) -> None:
    group = TaskGroupSample("k-1", "mean-1f", "mean", span=("etl", "load"))
    reported(served, cluster, a_computation(spans=("etl / load",)), group)
    [found] = get(served, ada, "/v1/computations?span=load")["computations"]
    assert found["computation"]["spans"] == ["etl / load"]
    assert get(served, ada, "/v1/computations?span=save")["computations"] == []
    whole = get(served, ada, f"/v1/clusters/{cluster}/computations/k-1")
    assert [it["span"] for it in whole["groups"]] == [["etl", "load"]]


def test_others_see_nothing_of_it(served: Served, ada: str, cluster: ClusterId) -> None:
    reported(served, cluster, a_computation())
    bob = served.token("bob", "sales", "clusters")
    assert get(served, bob, "/v1/computations")["computations"] == []
    assert get(served, bob, "/v1/signals?past=true")["signals"] == []
    for path in ("computations/k-1", "exceptions", "metrics", "hosts", "telemetry"):
        assert served.ask(bob, "GET", f"/v1/clusters/{cluster}/{path}").status_code == 404


def test_it_is_there_when_the_cluster_is_not(served: Served, ada: str, cluster: ClusterId) -> None:
    event = WorkerEvent(ago(5), VM, "tls://h:1", added=False, reason=Loss.MEMORY)
    reported(served, cluster, a_computation(), event, SchedulerSample(ago(5), workers=3))
    served.ask(ada, "POST", f"/v1/clusters/{cluster}/stop", StopCluster())
    assert len(get(served, ada, "/v1/computations?cluster=etl")["computations"]) == 1
    [lost] = get(served, ada, "/v1/clusters/etl/worker-events")["events"]
    assert lost["reason"] == "killed-for-memory"


def test_series_have_as_many_points_as_can_be_shown(
    served: Served, ada: str, cluster: ClusterId
) -> None:
    told = [SchedulerSample(ago(s), workers=int(s)) for s in range(1500, -30, -10)]
    hosts = [HostSample(ago(s), VM, cpus=4) for s in range(100, 0, -10)]
    reported(served, cluster, *told, *hosts)
    now = datetime.now(UTC).isoformat().replace("+", "%2B")
    since = ago(0).isoformat().replace("+", "%2B")
    series = get(served, ada, f"/v1/clusters/{cluster}/metrics")
    assert series["resolution_s"] == 0
    empty = get(served, ada, f"/v1/clusters/{cluster}/metrics?since={since}&until={now}")
    assert empty["samples"] == []
    [host] = get(served, ada, f"/v1/clusters/{cluster}/hosts")["hosts"]
    assert host["cpus"] == 4
    assert series["samples"]
    assert served.ask(ada, "GET", f"/v1/clusters/{cluster}/metrics?points=0").status_code == 422


def test_dropped_lines_and_items_are_told(served: Served, ada: str, cluster: ClusterId) -> None:
    line = LogChunk(1, LogLine(ago(5), VM, "worker", "An Error here"))
    reported(served, cluster, logs=(line,), logs_dropped=7, telemetry_dropped=3)
    found = get(served, ada, f"/v1/clusters/{cluster}/logs?text=error&any_case=true")
    assert ([it["text"] for it in found["lines"]], found["dropped"]) == (["An Error here"], 7)
    extent = get(served, ada, f"/v1/clusters/{cluster}/telemetry")
    assert (extent["dropped"], extent["logs_dropped"], extent["log_lines"]) == (3, 7, 1)


def test_a_signal_shows_while_it_is_so_and_stays_on_record(
    served: Served, ada: str, cluster: ClusterId
) -> None:
    idle = [SchedulerSample(ago(s), workers=2, threads=4) for s in range(600, 0, -5)]
    reported(served, cluster, *idle)
    asyncio.run(signalling.look(served.desk))
    [shown] = get(served, ada, f"/v1/signals?cluster={cluster}")["signals"]
    assert (shown["signal"]["kind"], shown["active"]) == ("all-idle", True)
    assert "idle_timeout=" in shown["signal"]["advice"]
    served.ask(ada, "POST", f"/v1/clusters/{cluster}/stop", StopCluster())
    asyncio.run(signalling.look(served.desk))
    assert get(served, ada, "/v1/signals")["signals"] == []
    [past] = get(served, ada, "/v1/signals?past=true")["signals"]
    assert past["active"] is False


def test_the_upkeep_of_the_record_runs_on_an_empty_one(served: Served) -> None:
    for _, _, job in record.JOBS:
        asyncio.run(job(served.desk))


# -- watched clusters -----------------------------------------------------------------------------


def watch(served: Served, token: str, scheduler: str = "Scheduler-1") -> dict[str, Any]:
    answer = served.ask(token, "POST", "/v1/watched", Watch("laptop", scheduler))
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


def a_report(*items: Item, **more: Any) -> WatchedReport:
    chunks = tuple(Chunk(seq, it) for seq, it in enumerate(items, 1))
    return WatchedReport(
        ago(60), "tcp://127.0.0.1:8786", workers=3, clients=1, chunks=chunks, **more
    )


def tell(served: Served, token: str, id: str, report: WatchedReport) -> dict[str, Any]:
    answer = served.ask(token, "POST", f"/v1/watched/{id}/report", report)
    assert answer.status_code == 200, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def test_a_watched_cluster_is_one_of_the_clusters(served: Served, ada: str) -> None:
    view = watch(served, ada)
    assert (view["status"], view["spec"]["cloud"]) == ("starting", "watched")
    assert tell(served, ada, view["id"], a_report(a_computation())) == {
        "cursor": 1,
        "watching": True,
    }
    seen = get(served, ada, "/v1/clusters/laptop")
    assert (seen["status"], seen["sentence"]) == ("ready", "ready: 3 of 3 workers are ready")
    assert len(get(served, ada, "/v1/computations?cluster=laptop")["computations"]) == 1
    assert watch(served, ada)["id"] == view["id"]  # gone on with


def test_another_scheduler_under_the_name_is_another_cluster(served: Served, ada: str) -> None:
    first, second = watch(served, ada), watch(served, ada, "Scheduler-2")
    assert first["id"] != second["id"]
    assert tell(served, ada, first["id"], a_report()) == {"cursor": 0, "watching": False}


def test_shoals_own_clusters_are_not_watched(served: Served, ada: str, cluster: ClusterId) -> None:
    taken = served.ask(ada, "POST", "/v1/watched", Watch("etl", "Scheduler-1"))
    assert taken.status_code == 409
    told = served.ask(ada, "POST", f"/v1/watched/{cluster}/report", a_report())
    assert told.status_code == 409
    wrong = served.ask(ada, "POST", "/v1/watched", Watch("No Name", "Scheduler-1"))
    assert wrong.status_code == 422


def test_a_watched_cluster_ends_with_its_session(served: Served, ada: str) -> None:
    view = watch(served, ada)
    tell(served, ada, view["id"], a_report())
    asyncio.run(watched.care_for_watched(served.desk))
    assert get(served, ada, "/v1/clusters/laptop")["status"] == "ready"
    clock = served.desk.clock
    served.desk.clock = lambda: clock() + watched.SILENT + timedelta(seconds=1)
    asyncio.run(watched.care_for_watched(served.desk))
    seen = get(served, ada, "/v1/clusters/laptop")
    assert (seen["status"], seen["end_reason"]) == ("ended", "the session that watched it is gone")


def test_a_watched_cluster_can_be_told_to_end(served: Served, ada: str) -> None:
    view = watch(served, ada)
    served.ask(ada, "POST", f"/v1/clusters/{view['id']}/stop", StopCluster("done"))
    assert not tell(served, ada, view["id"], a_report())["watching"]
    asyncio.run(watched.care_for_watched(served.desk))
    assert get(served, ada, f"/v1/clusters/{view['id']}")["status"] == "ended"
