"""What was computed and measured, on pages, and the charts that the server draws."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from shoal.server.pages import charts, computation
from shoal.server.pages.builds import Use, uses
from shoal.server.pages.charts import Line, Plan
from shoal.server.pages.clients import stays
from shoal.server.pages.flame import flame
from shoal.server.pages.share import slices
from shoal.store import events, instances, logs, observations, tables, telemetry
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId, WorkspaceName
from shoal.wire.reports import HeadReport, LogChunk, PhaseTime, VmReport
from shoal.wire.requests import Watch
from shoal.wire.specs import Role
from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    Computation,
    HostSample,
    Item,
    Loss,
    PrefixTime,
    SchedulerSample,
    TaskGroupSample,
    WatchedReport,
    WorkerEvent,
)
from shoal.wire.views import InstanceState, InstanceView, LogLine, Stage
from tests.browser import seeded_record
from tests.server.browsing import Browser, Inline, a_cluster, one_pass
from tests.server.conftest import Served

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TASKS = Plan("Tasks", "", (Line("executing", "running"), Line("queued", "queued")))


@pytest.fixture
def recorded(served: Served) -> str:
    """A cluster's pages, of one with a record."""
    id = a_cluster(served, served.token("bob", "research", "clusters"))
    real, minutes = served.desk.clock, timedelta(minutes=3)
    served.desk.clock = lambda: real() + minutes
    now = served.desk.clock()
    workspace = WorkspaceName("research")
    filling = seeded_record.fill(served.desk.database, workspace, ClusterId(id), now, minutes=3)
    asyncio.run(filling)
    return f"/clusters/{id}"


def test_a_record_is_on_every_page_that_should_have_it(recorded: str, browser: Browser) -> None:
    wanted = {
        "": ("Workers are spilling", "worker_memory", "<polyline"),
        "/computations": ("return means.compute()", "3 erred", "negative depth"),
        "/computations/comp-4": ("groupby-mean", "moving data", "<mark>", "Traceback"),
        "/metrics": ("Memory of all workers", "<polyline", "VM 3"),
    }
    for tab, texts in wanted.items():
        page = browser.get(recorded + tab)
        assert page.status_code == 200, page.text
        for text in texts:
            assert text in page.text, (tab, text)
        inline = Inline()
        inline.feed(page.text)
        assert inline.found == [], tab
    assert "Workers are spilling" in browser.get("/").text


def test_computations_are_searched_by_their_code(recorded: str, browser: Browser) -> None:
    assert "means.py:13" in browser.get(f"{recorded}/computations?q=GROUPBY").text
    assert "No computation matches" in browser.get(f"{recorded}/computations?q=nothing").text
    erred = browser.get(f"{recorded}/computations.csv?show=erred").text
    assert [it["id"] for it in csv.DictReader(io.StringIO(erred))] == ["comp-4"]
    assert browser.get(f"{recorded}/computations/none").status_code == 404


def test_metrics_are_numbers_for_charts_and_a_file(recorded: str, browser: Browser) -> None:
    told = browser.get(f"{recorded}/metrics.json").json()
    assert len(told["at"]) == len(told["series"]["cpu_percent"]) > 10
    assert told["live"]
    vm = recorded.removeprefix("/clusters/")
    of_vm = browser.get(f"{recorded}/metrics.json?vm=shoal-{vm}-3").json()
    assert max(of_vm["series"]["memory_used_bytes"]) > 1 << 30
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{recorded}/metrics.csv").text)))
    assert rows[0].keys() >= {"at", "cpu_percent", "spilled_bytes"}
    for wrong in ("from=yesterday", "from=2026-11-01T00:00:00"):
        assert browser.get(f"{recorded}/metrics?{wrong}").status_code == 422


def a_sample(after_s: float, executing: int) -> SchedulerSample:
    return SchedulerSample(NOW + timedelta(seconds=after_s), executing=executing, queued=8)


def test_a_line_is_drawn_to_scale_and_broken_where_nothing_is_known() -> None:
    samples = [a_sample(s, n) for s, n in ((0, 0), (5, 4), (10, 8), (100, 8), (105, 0))]
    chart = charts.draw(TASKS, samples)
    running = chart.lines[0]
    assert running.pieces == ("0.0,148.0 28.6,75.0 57.1,2.0", "571.4,2.0 600.0,148.0")
    assert (running.last, chart.top) == ("0", "8")
    assert chart.words == "Tasks: running 0, queued 8"


@pytest.mark.parametrize("samples", [[], [a_sample(0, 1)]])
def test_nothing_or_one_sample_draws_no_line(samples: list[SchedulerSample]) -> None:
    assert [it.pieces for it in charts.draw(TASKS, samples).lines] == [(), ()]


def test_time_is_summed_by_prefix_the_longest_first() -> None:
    groups = [
        TaskGroupSample("c", "sum-1", "sum", tasks=2, compute_s=1.0, transfer_s=1.0),
        TaskGroupSample("c", "sum-2", "sum", tasks=3, compute_s=6.0),
        TaskGroupSample("c", "read-1", "read", tasks=9, compute_s=4.0),
    ]
    found = computation.prefixes(groups)
    assert [(it.name, it.groups, it.tasks, it.seconds) for it in found] == [
        ("sum", 2, 5, 8.0),
        ("read", 1, 9, 4.0),
    ]
    assert (found[0].compute_s, found[0].transfer_s) == (7.0, 1.0)


def test_a_bar_leaves_out_what_is_nothing_and_colours_by_name() -> None:
    assert [it.name for it in slices({"a": 0.0, "b": 1.0}, 2.0)] == ["b"]
    one, other = slices({"spilling": 1.0, "x": 1.0}, 2.0), slices({"x": 1.0, "spilling": 1.0}, 2.0)
    assert {it.name: it.colour for it in one} == {it.name: it.colour for it in other}


def test_workers_that_came_and_were_lost_are_there_with_the_reason(
    recorded: str, browser: Browser
) -> None:
    page = browser.get(f"{recorded}/workers").text
    for text in ("killed for memory", "preempted", "95 % of 16 GiB", "Results to compute again"):
        assert text in page, text
    lost = rows_of(browser, f"{recorded}/workers.csv?show=lost")
    assert {it["reason"] for it in lost} == {"preempted", "killed-for-memory"}
    assert [it["tasks_lost"] for it in lost] == ["600", "1080", "960"]
    of_memory = browser.get(f"{recorded}/workers.json?show=killed-for-memory").json()["events"]
    assert len(of_memory) == 1
    assert "us-east1-d" not in browser.get(f"{recorded}/workers?q=95+%25").text
    assert browser.get(f"{recorded}/workers?show=eaten").status_code == 422


def test_shuffles_errors_and_signals_are_lists_and_files(recorded: str, browser: Browser) -> None:
    assert "P2P shuffles" in browser.get(f"{recorded}/computations").text
    shuffles = rows_of(browser, f"{recorded}/shuffles.csv")
    assert [it["what"] for it in shuffles] == ["ended", "restarted", "started"]
    assert len(browser.get(f"{recorded}/shuffles.json").json()["events"]) == 3
    [raised] = rows_of(browser, f"{recorded}/exceptions.csv")
    assert (raised["type"], raised["count"]) == ("ValueError", "3")
    assert {it["kind"] for it in rows_of(browser, f"{recorded}/signals.csv")} == {
        "spilling",
        "tiny-tasks",
    }
    assert len(browser.get(f"{recorded}/signals.json").json()["signals"]) == 2


def test_the_first_page_tells_what_runs_what_failed_and_who_was_lost(
    recorded: str, browser: Browser
) -> None:
    page = browser.get(recorded).text
    for text in ("return means.compute()", "1,804 of 4,200", "negative depth", "killed for memory"):
        assert text in page, text
    assert "<code>worker_memory=" in page


def test_charts_know_when_workers_were_lost(served: Served, browser: Browser) -> None:
    id = a_cluster(served, served.token("bob", "research", "clusters"))
    now = served.desk.clock() + timedelta(seconds=20)
    items = [
        SchedulerSample(now),
        WorkerEvent(now + timedelta(seconds=1), "w", "tcp://h:1", False, Loss.MEMORY),
        WorkerEvent(now + timedelta(seconds=2), "v", "tcp://h:2", False, Loss.RETIRED),
        SchedulerSample(now + timedelta(seconds=5)),
    ]
    told(served, id, *items)
    marks = browser.get(f"/clusters/{id}/metrics.json").json()["marks"]
    assert [it["words"] for it in marks] == ["w killed for memory"], "who retired was asked to"


def test_what_was_dropped_is_said(served: Served, browser: Browser) -> None:
    id = a_cluster(served, served.token("bob", "research", "clusters"))
    assert "dropped" not in browser.get(f"/clusters/{id}").text
    lost = served.desk.database.run_samples(
        telemetry.lost, ClusterId(id), 1, served.desk.clock(), items=1234, log_lines=1
    )
    asyncio.run(lost)
    page = browser.get(f"/clusters/{id}").text
    assert "<b>1,234</b> items of the record were dropped" in page
    assert "<b>1</b> line of the log was dropped" in page
    assert "1,234" in browser.get(f"/clusters/{id}/metrics").text
    assert "lines" in browser.get(f"/clusters/{id}/logs").text


@pytest.fixture
def watched(served: Served) -> str:
    token = served.token("bob", "research", "clusters")
    made = served.ask(token, "POST", "/v1/watched", Watch("on-hpc", "Scheduler-1")).json()
    now = served.desk.clock()
    items = (
        HostSample(now, InstanceId("w-1"), cpus=4, memory_used_bytes=1 << 30),
        WorkerEvent(now, "w-9", "tcp://10.0.0.1:1", False, Loss.MEMORY, "9 GiB"),
    )
    report = WatchedReport(
        now,
        "tcp://10.0.0.9:8786",
        "10.0.0.9:8787",
        workers=4,
        chunks=tuple(Chunk(n, it) for n, it in enumerate(items, 1)),
        dropped=37,
    )
    answer = served.ask(token, "POST", f"/v1/watched/{made['id']}/report", report)
    assert answer.status_code == 200, answer.text
    return f"/clusters/{made['id']}"


def test_a_watched_cluster_is_told_of_without_vms(watched: str, browser: Browser) -> None:
    for path in ("/", watched, f"{watched}/workers", f"{watched}/metrics", f"{watched}/events"):
        page = browser.get(path)
        assert page.status_code == 200, path
        for wrong in ("VM", "idle for", "/dashboard", "/plan", "software", "the next pass"):
            assert wrong not in page.text, (path, wrong)
        assert "The cluster itself goes on" in page.text, path
    assert "10.0.0.9:8787" in browser.get(watched).text
    there = browser.get(f"{watched}/workers").text
    assert "w-1" in there
    assert "killed for memory" in there


def test_what_a_watched_cluster_has_not_is_refused_in_words(watched: str, browser: Browser) -> None:
    sent = browser.get(f"{watched}/vms")
    assert (sent.status_code, sent.headers["location"]) == (302, f"{watched}/workers")
    for path in ("dashboard", "plan"):
        answer = browser.get(f"{watched}/{path}")
        assert answer.status_code in (409, 422)
        assert "only watched" in answer.text
    assert "Its software is its own" in browser.get(f"{watched}/software").text


def test_clusters_with_signals_are_found_and_say_the_worst(
    recorded: str, served: Served, browser: Browser
) -> None:
    other = a_cluster(served, served.token("eve", "research", "clusters"), name="quiet")
    page = browser.get("/?signals=any").text
    assert f'id="open-{recorded.removeprefix("/clusters/")}"' in page
    assert other not in page
    assert "Workers are spilling" in page
    assert "+1 more" in page
    assert other in browser.get("/").text
    assert browser.get("/?signals=some").status_code == 422


def test_a_computation_is_drawn_over_time() -> None:
    done = Computation("k", NOW, NOW + timedelta(seconds=100))
    groups = [
        TaskGroupSample("k", "sum-1", "sum", NOW + timedelta(seconds=50),
                        NOW + timedelta(seconds=100), tasks=2, compute_s=30.0, transfer_s=10.0),
        TaskGroupSample("k", "read-1", "read", NOW, NOW + timedelta(seconds=40), compute_s=80.0),
        TaskGroupSample("k", "late-1", "late"),
    ]  # fmt: skip
    read, summed = flame(done, groups, [], NOW)
    assert (read.prefix, read.x, read.width, read.threads) == ("read", 0, 400, 2.0)
    assert (summed.prefix, summed.x, summed.width) == ("sum", 500, 500)
    assert [(it.name, it.x, it.width) for it in summed.cells] == [
        ("computing", 500, 375),
        ("moving data", 875, 125),
    ]
    fine = [PrefixTime("k", "sum", {"thread-cpu": 1.0, "disk-read": 3.0})]
    assert [it.name for it in flame(done, groups, fine, NOW)[1].cells] == [
        "disk-read",
        "thread-cpu",
    ]


def test_parts_of_a_computation_are_files(recorded: str, browser: Browser) -> None:
    groups = rows_of(browser, f"{recorded}/computations/comp-4/groups.csv")
    assert {it["prefix"] for it in groups} >= {"where", "groupby-mean"}
    sums = browser.get(f"{recorded}/computations/comp-4/prefixes.json").json()["prefixes"]
    assert sums[0]["name"] == "groupby-mean"
    did = rows_of(browser, f"{recorded}/computations/comp-4/activities.csv")
    assert {it["activity"] for it in did} == {"thread-cpu", "thread-noncpu"}
    assert rows_of(browser, f"{recorded}/hosts.csv")[0]["cpus"] == "4"


def test_metrics_go_back_as_far_as_asked(recorded: str, browser: Browser) -> None:
    assert browser.get(f"{recorded}/metrics?last=15m").status_code == 200
    assert browser.get(f"{recorded}/metrics?last=2y").status_code == 422
    backwards = "from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z"
    assert browser.get(f"{recorded}/metrics?{backwards}").status_code == 422
    page = browser.get(f"{recorded}/metrics").text
    for chart in ("Python’s lock (GIL)", "no worker", "connections", "in cores"):
        assert chart in page, chart


def test_clients_are_told_by_their_stays(recorded: str, browser: Browser) -> None:
    page = browser.get(f"{recorded}/clients").text
    for text in ("nightly report", "grace", "connected", "4 min", "9 min", "16 min 30 s"):
        assert text in page, text
    assert [it["client"] for it in rows_of(browser, f"{recorded}/clients.csv")] == [
        *("Client-g2", "Client-g1", "Client-g1", "Client-a2", "Client-a1", "Client-a1")
    ]


def test_a_stay_may_lack_its_beginning_and_nobody_outlasts_the_cluster() -> None:
    def event(after_s: float, client: str, *, connected: bool) -> ClientEvent:
        return ClientEvent(NOW + timedelta(seconds=after_s), client, connected, user="ada")

    events = [
        event(1, "early", connected=False),
        event(2, "left", connected=True),
        event(5, "left", connected=False),
        event(3, "stays", connected=True),
    ]
    seconds = {
        it.client: tuple(at and (at - NOW).total_seconds() for at in (it.since, it.until))
        for it in stays(events, None)
    }
    assert list(seconds.items()) == [
        ("stays", (3, None)),
        ("left", (2, 5)),
        ("early", (None, 1)),
    ]
    assert {
        it.until for it in stays(events, NOW + timedelta(seconds=9)) if it.client == "stays"
    } == {NOW + timedelta(seconds=9)}


def test_spans_are_shown_and_asked_for(recorded: str, browser: Browser) -> None:
    assert "monthly / means" in browser.get(f"{recorded}/computations/comp-1").text
    found = rows_of(browser, f"{recorded}/computations.csv?span=MONTHLY")
    assert [(it["id"], it["spans"]) for it in found] == [
        ("comp-1", "monthly / means"),
        ("comp-2", "monthly / means"),
    ]
    assert "No computation matches" in browser.get(f"{recorded}/computations?span=yearly").text


def test_time_that_dask_does_not_tell_apart_is_marked(recorded: str, browser: Browser) -> None:
    assert "with other computations" in browser.get(f"{recorded}/computations/comp-4").text
    assert "with other computations" not in browser.get(f"{recorded}/computations/comp-5").text


def test_how_long_the_lock_is_held_is_drawn_where_it_is_measured(
    served: Served, browser: Browser
) -> None:
    id = a_cluster(served, served.token("bob", "research", "clusters"))
    at = served.desk.clock() + timedelta(seconds=20)
    told(served, id, SchedulerSample(at, gil_share=0.4), SchedulerSample(at + timedelta(seconds=5)))
    page = browser.get(f"/clusters/{id}/metrics").text
    assert "Python’s lock (GIL) in the scheduler: held 0 %" in page


def test_what_went_for_want_of_room_is_said(served: Served, browser: Browser) -> None:
    id = a_cluster(served, served.token("bob", "research", "clusters"))
    row = {"cluster": id, "at": served.desk.clock(), "items": 4321, "log_lines": 1}
    asyncio.run(
        served.desk.database.run_samples(lambda tx: tx.execute(insert(tables.forgotten), [row]))
    )
    for path in ("", "/metrics"):
        assert "<b>4,321</b> items of the record went before their time" in (
            browser.get(f"/clusters/{id}{path}").text
        )
    log = browser.get(f"/clusters/{id}/logs").text
    assert "<b>1</b> line of the log went before its time" in log


def test_what_vms_run_and_cannot_run_is_told() -> None:
    def vm(number: int, runs: str, broken: str = "", gone: bool = False) -> InstanceView:
        return InstanceView(
            InstanceId(f"shoal-c-{number}"),
            *(Role.WORKER, InstanceState.LAUNCHED, Stage.READY, NOW, "wanted"),
            detail="numpy 9 has no wheel" if broken else "",
            gone_at=NOW if gone else None,
            environment=runs,
            broken=broken,
        )

    found = uses([vm(1, "new"), vm(2, "old", "new"), vm(3, "old"), vm(4, "new", gone=True)])
    assert found == [Use("new", 1, "numpy 9 has no wheel"), Use("old", 2), Use("new", 1)]


def test_how_long_each_phase_of_an_environment_took_is_told_vm_by_vm(
    served: Served, browser: Browser
) -> None:
    id = ClusterId(a_cluster(served, served.token("bob", "research", "clusters")))
    one_pass(served)
    run, now = served.desk.database.run, served.desk.clock()
    [vm, *_], _ = asyncio.run(run(instances.of_cluster, id, limit=1))
    phases = (PhaseTime("wheels", 1.5), PhaseTime("installing", 6.25))
    report = VmReport(vm.id, vm.role, Stage.STARTING, now, made_in=phases)
    asyncio.run(run(observations.record, HeadReport(id, now, 1, (report,)), now))
    page = browser.get(f"/clusters/{id}/software").text
    for text in ("wheels from the client 1.5 s", "packages 6.2 s", "7.8 s"):
        assert text in page, text
    assert rows_of(browser, f"/clusters/{id}/builds.csv") == [
        {"vm": vm.id, "phase": "wheels", "seconds": "1.5"},
        {"vm": vm.id, "phase": "installing", "seconds": "6.25"},
    ]


def test_a_build_that_failed_shows_its_log(served: Served, browser: Browser) -> None:
    id = ClusterId(a_cluster(served, served.token("bob", "research", "clusters")))
    one_pass(served)
    run, now = served.desk.database.run, served.desk.clock()
    [vm, *_], _ = asyncio.run(run(instances.of_cluster, id, limit=1))
    said = [LogLine(now, vm.id, "environment", f"trying {n}") for n in range(400)]
    said.append(LogLine(now, vm.id, "environment", "no wheel of pandas 9 & more"))
    said.append(LogLine(now, vm.id, "worker", "not of the build"))
    chunks = [LogChunk(n, it) for n, it in enumerate(said)]
    asyncio.run(served.desk.database.run_samples(logs.append, id, chunks, now))
    assert 'id="build-log"><summary>Build log</summary>' in page_of(browser, id)
    told = [
        Event(now, EventKind.INSTANCE_STAGE, "agent", "it says so", cluster=id,
              instance=vm.id, after=after)
        for after in ("preparing", "failed")
    ]  # fmt: skip
    asyncio.run(run(events.append_all, told))
    page = page_of(browser, id)
    assert f'id="build-log" open><summary>Build log of VM {vm.id[-1]}, which failed' in page
    assert "no wheel of pandas 9 &amp; more" in page
    assert "The last 300 lines" in page
    assert "trying 10<" not in page
    assert "not of the build" not in page
    of_it = browser.get(f"/clusters/{id}/logs?process=environment&vm={vm.id}").text
    assert "not of the build" not in of_it
    assert "no wheel of pandas 9" in of_it


def test_the_build_log_that_is_shown_is_of_a_vm_that_installed(
    served: Served, browser: Browser
) -> None:
    """Not of one that waited for it, then copied what was there."""
    id = ClusterId(a_cluster(served, served.token("bob", "research", "clusters")))
    one_pass(served)
    run, now = served.desk.database.run, served.desk.clock()
    [one, other, *_], _ = asyncio.run(run(instances.of_cluster, id, limit=2))
    said = [LogLine(now, it.id, "environment", f"of {it.id}") for it in (one, other)]
    chunks = [LogChunk(n, it) for n, it in enumerate(said)]
    asyncio.run(served.desk.database.run_samples(logs.append, id, chunks, now))
    took = ((one, PhaseTime("installing", 2.0)), (other, PhaseTime("waiting", 9.0)))
    reports = tuple(
        VmReport(it.id, it.role, Stage.STARTING, now, made_in=(phase,)) for it, phase in took
    )
    asyncio.run(run(observations.record, HeadReport(id, now, 1, reports), now))
    page = page_of(browser, id)
    assert f"<summary>Build log of VM {one.id[-1]}</summary>" in page
    assert f"of {other.id}" not in page


def page_of(browser: Browser, id: str) -> str:
    return browser.get(f"/clusters/{id}/software").text


def test_computations_of_one_line_and_events_of_many_vms_open(
    recorded: str, browser: Browser, served: Served
) -> None:
    page = browser.get(f"{recorded}/computations").text
    assert "Each of the 8" in page
    assert f'href="{recorded}/computations/comp-8"' in page
    id, now = ClusterId(recorded.removeprefix("/clusters/")), served.desk.clock()
    ready = [
        Event(now, EventKind.INSTANCE_STAGE, "agent", "its agent says ready", cluster=id,
              instance=InstanceId(f"shoal-{id}-{n}"), before="starting", after="ready")
        for n in range(2, 14)
    ]  # fmt: skip
    asyncio.run(served.desk.database.run(events.append_all, ready))
    for path in ("", "/events"):
        page = browser.get(recorded + path).text
        assert "× 12</span>" in page
        assert "12 VMs" in page
    assert "12 VMs" not in browser.get(f"{recorded}/events?each=1").text


def test_the_level_of_a_log_is_chosen_beside_what_is_searched(
    recorded: str, browser: Browser
) -> None:
    page = browser.get(f"{recorded}/logs?q=depth&level=error").text
    assert f'href="{recorded}/logs?q=depth&amp;level=warning"' in page
    assert '<input type="hidden" name="level" value="error">' in page


def rows_of(browser: Browser, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(browser.get(path).text)))


def told(served: Served, cluster: str, *items: Item) -> None:
    chunks = [Chunk(n, it) for n, it in enumerate(items, 1)]
    workspace = WorkspaceName("research")
    run = served.desk.database.run_samples
    asyncio.run(run(telemetry.append, ClusterId(cluster), workspace, chunks))
