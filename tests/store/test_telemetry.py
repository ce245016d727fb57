"""What was recorded of computations: told twice or late it is stored once, found, bounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shoal.store import samples, series, signals, telemetry
from shoal.store.database import Database
from shoal.wire.ids import ClusterId, InstanceId, WorkspaceName
from shoal.wire.reports import HeadReport
from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    CodeFrame,
    Computation,
    HostSample,
    Item,
    Loss,
    PrefixTime,
    SchedulerSample,
    Severity,
    ShuffleEvent,
    Signal,
    SignalKind,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)
from tests.store.asking import ask_samples
from tests.store.samples import NOW, RESEARCH, later

CLUSTER = ClusterId("c-aaaaaaaaaa")
OTHER = ClusterId("c-bbbbbbbbbb")
VM = InstanceId("shoal-c-aaaaaaaaaa-1")
MINUTE = datetime(2026, 11, 1, 12, 0, tzinfo=NOW.tzinfo)


def tell(database: Database, *items: Item, first: int = 1, cluster: ClusterId = CLUSTER) -> None:
    chunks = tuple(Chunk(seq, it) for seq, it in enumerate(items, first))
    ask_samples(database, telemetry.append, cluster, RESEARCH, chunks)


def a_computation(number: int = 1, **changes: Any) -> Computation:
    frame = CodeFrame("/home/ada/etl.py", 12, "frame.groupby('Carrier').mean().compute()")
    known = {"id": f"k-{number}", "started_at": later(number), "code": (frame,), "tasks": 10}
    return Computation(**{**known, **changes})


def an_exception(computation: str = "k-1", **changes: Any) -> TaskException:
    known = {
        "id": "e-1", "computation": computation, "at": NOW, "last_at": NOW, "count": 1,
        "type": "ValueError", "message": "no", "traceback": "…", "key": "('f', 0)", "prefix": "f",
        "worker": VM,
    }  # fmt: skip
    return TaskException(**{**known, **changes})


def ids(database: Database, **wanted: Any) -> list[str]:
    found = ask_samples(database, telemetry.computations, RESEARCH, **wanted)
    return [it.computation.id for it in found.computations]


def test_a_computation_is_as_it_was_told_last(database: Database) -> None:
    tell(database, a_computation(done=10), first=7)
    tell(database, a_computation(done=3), first=5)  # an older report, read again
    [view] = ask_samples(database, telemetry.computations, RESEARCH).computations
    assert (view.cluster, view.computation) == (CLUSTER, a_computation(done=10))


def test_computations_are_found_newest_first_by_page(database: Database) -> None:
    tell(database, *(a_computation(n) for n in range(1, 8)))
    seen, page = [], None
    while True:
        found = ask_samples(database, telemetry.computations, RESEARCH, before=page, limit=3)
        seen += [it.computation.id for it in found.computations]
        page = found.next_page
        if page is None:
            break
    assert seen == [f"k-{n}" for n in range(7, 0, -1)]


def test_computations_are_found_by_cluster_code_error_and_time(database: Database) -> None:
    odd = CodeFrame("<ipython-input-3>", 1, "100%_sure()")
    tell(database, a_computation(1), a_computation(2, erred=1))
    tell(database, a_computation(3, code=(odd,)), cluster=OTHER)
    assert ids(database, cluster=OTHER) == ["k-3"]
    assert ids(database, text="GROUPBY('carrier')") == ["k-2", "k-1"]
    assert ids(database, text="100%_") == ["k-3"]
    assert ids(database, text="%x") == []
    tell(database, a_computation(4, spans=("etl / load 100%", 'a "quoted" one')), first=70)
    assert ids(database, span="LOAD 100%") == ["k-4"]
    assert ids(database, span='"quoted"') == ["k-4"]
    assert ids(database, span="l_ad") == ids(database, span="groupby") == []
    assert ids(database, erred=True) == ["k-2"]
    assert ids(database, since=later(2)) == ["k-4", "k-3", "k-2"]
    assert ids(database, until=later(2)) == ["k-1"]


def test_another_workspace_sees_nothing_of_it(database: Database) -> None:
    tell(database, a_computation())
    found = ask_samples(database, telemetry.computations, WorkspaceName("sales"))
    assert found.computations == ()


def test_a_computation_has_its_groups_times_and_exceptions(database: Database) -> None:
    groups = [TaskGroupSample("k-1", f"{name}-1f", name, compute_s=s) for name, s in _SPENT]
    time = PrefixTime("k-1", "sum", {"thread-cpu": 1.5})
    tell(database, a_computation(), *groups, time, an_exception(), a_computation(2))
    found = ask_samples(database, telemetry.computation, CLUSTER, "k-1")
    assert [it.prefix for it in found.groups] == ["sum", "read", "drop"]
    assert (found.times, found.exceptions) == ((time,), (an_exception(),))
    assert ask_samples(database, telemetry.computation, CLUSTER, "k-9") is None
    assert ask_samples(database, telemetry.computation, OTHER, "k-1") is None


_SPENT = (("read", 2.0), ("sum", 9.0), ("drop", 0.1))


def test_an_event_is_stored_once_however_often_it_is_told(database: Database) -> None:
    added = WorkerEvent(NOW, VM, "tls://10.0.0.2:1", added=True)
    lost = WorkerEvent(later(9), VM, "tls://10.0.0.2:1", added=False, reason=Loss.MEMORY)
    tell(database, added, lost, ShuffleEvent(later(3), "s", 1, "started"))
    tell(database, added, lost)
    assert ask_samples(database, telemetry.worker_events, CLUSTER) == (lost, added)
    assert ask_samples(database, telemetry.worker_events, CLUSTER, since=later(5)) == (lost,)
    assert [it.what for it in ask_samples(database, telemetry.shuffles, CLUSTER)] == ["started"]
    assert ask_samples(database, telemetry.clients, CLUSTER) == ()
    came = ClientEvent(NOW, "Client-1", connected=True, user="ada")
    tell(database, came, first=90)
    assert ask_samples(database, telemetry.clients, CLUSTER) == (came,)


def test_what_was_dropped_on_the_way_is_counted(database: Database) -> None:
    first = HeadReport(CLUSTER, NOW, 100, logs_dropped=7, telemetry_dropped=2)
    for report in (first, first, HeadReport(CLUSTER, NOW, 200, telemetry_dropped=3)):
        ask_samples(database, samples.take, CLUSTER, RESEARCH, report, NOW)
    assert ask_samples(database, telemetry.dropped, CLUSTER) == (5, 7)
    tell(database, a_computation(), HostSample(NOW, VM))
    extent = ask_samples(database, telemetry.extent, CLUSTER)
    assert (extent.computations, extent.samples, extent.dropped, extent.logs_dropped) == (
        1,
        1,
        5,
        7,
    )


def test_a_head_whose_clock_is_wrong_tells_of_now(database: Database) -> None:
    hour = timedelta(hours=1)
    told = (Chunk(1, a_computation(started_at=NOW + hour)), Chunk(2, HostSample(NOW + hour, VM)))
    for lag in (0.1, 0.4):  # read twice
        sent_at = NOW + hour - timedelta(seconds=lag)
        report = HeadReport(CLUSTER, NOW, 9, telemetry=told, sent_at=sent_at)
        ask_samples(database, samples.take, CLUSTER, RESEARCH, report, NOW)
    [view] = ask_samples(database, telemetry.computations, RESEARCH).computations
    assert view.computation.started_at == NOW
    [sample] = ask_samples(database, series.newest_hosts, CLUSTER)
    assert sample.at == NOW


def test_what_is_old_goes_with_its_parts(database: Database) -> None:
    group = TaskGroupSample("k-1", "sum-1f", "sum")
    tell(database, a_computation(1), group, PrefixTime("k-1", "sum", {}), an_exception())
    tell(database, a_computation(100, id="k-new"), first=10)
    ask_samples(database, telemetry.prune, later(50))
    assert ids(database) == ["k-new"]
    assert ask_samples(database, telemetry.groups, CLUSTER, ["k-1"]) == ()
    assert ask_samples(database, telemetry.times, CLUSTER, ["k-1"]) == ()
    assert ask_samples(database, telemetry.exceptions, CLUSTER) == ()


def test_a_cluster_with_too_many_loses_its_oldest(database: Database) -> None:
    tell(database, *(a_computation(n) for n in range(1, 6)))
    tell(database, a_computation(1), cluster=OTHER)
    ask_samples(database, telemetry.prune, later(-1000), 3)
    assert ids(database, cluster=CLUSTER) == ["k-5", "k-4", "k-3"]
    assert ids(database, cluster=OTHER) == ["k-1"]


# -- series ---------------------------------------------------------------------------------------


def at(seconds: float) -> datetime:
    return MINUTE + timedelta(seconds=seconds)


def a_host(seconds: float, **changes: Any) -> HostSample:
    return HostSample(**{"at": at(seconds), "instance": VM, "cpus": 4, **changes})


def of_host(database: Database, resolution_s: int, **changes: Any) -> tuple[HostSample, ...]:
    wanted = {"since": at(0), "until": at(36_000), "resolution_s": resolution_s, **changes}
    found = ask_samples(database, series.of_host, CLUSTER, VM, **wanted)
    return tuple(found.samples)


def test_samples_of_a_vm_come_back_in_order_and_once(database: Database) -> None:
    later_, first = a_host(5, oom_kills=1), a_host(0, cpu_user_percent=12.5)
    tell(database, later_, first)
    tell(database, first, a_host(3, instance=InstanceId("another")))
    assert of_host(database, series.TOLD) == (first, later_)
    assert of_host(database, series.TOLD, since=at(1)) == (later_,)
    assert of_host(database, series.TOLD, most=1) == (later_,)


def test_rolled_up_a_rate_is_the_mean_and_a_level_the_greatest(database: Database) -> None:
    told = [a_host(s, net_in_bps=s, memory_used_bytes=100 - s) for s in range(0, 60, 10)]
    tell(database, *told, a_host(60, net_in_bps=7.0, memory_used_bytes=3))
    ask_samples(database, series.roll_up, at(90))
    minute, rest = of_host(database, series.MINUTE)
    assert (minute.at, minute.net_in_bps, minute.memory_used_bytes) == (at(0), 25.0, 100)
    assert (rest.at, rest.net_in_bps) == (at(60), 7.0)  # not complete yet: as it was told


def test_a_roll_up_that_is_made_twice_changes_nothing(database: Database) -> None:
    tell(database, *(a_host(s, cpu_user_percent=s) for s in range(0, 60, 10)))
    ask_samples(database, series.roll_up, at(61))
    once = of_host(database, series.MINUTE)
    ask_samples(database, series.roll_up, at(62))
    assert of_host(database, series.MINUTE) == once


def test_samples_get_coarser_before_they_go(database: Database) -> None:
    tell(database, *(a_host(s, cpu_user_percent=40.0) for s in range(0, 7200, 30)))
    tell(database, *(SchedulerSample(at(s), workers=3) for s in range(0, 7200, 30)), first=1000)
    hour, days = 3600.0, 86_400.0
    ask_samples(database, series.age, at(3 * hour), timedelta(days=90))
    assert of_host(database, series.TOLD) == ()
    assert [it.cpu_user_percent for it in of_host(database, series.MINUTE)] == [40.0] * 120
    ask_samples(database, series.age, at(2 * days + 3 * hour), timedelta(days=90))
    assert len(of_host(database, series.TEN_MINUTES)) == 12
    cluster = ask_samples(
        database, series.of_cluster, CLUSTER, since=at(0), until=at(days), resolution_s=600
    )
    assert [it.workers for it in cluster.samples] == [3] * 12
    ask_samples(database, series.age, at(91 * days), timedelta(days=90))
    assert of_host(database, series.TEN_MINUTES) == ()


def test_a_reader_gets_the_finest_resolution_that_it_can_show() -> None:
    now = at(100_000)
    ago = [now - timedelta(seconds=s) for s in (600, 7200, 86_000, 400_000)]
    assert [series.resolution(it, now, now, 500) for it in ago] == [0, 60, 600, 600]
    assert series.resolution(ago[0], now, now, 5) == 600
    assert series.resolution(None, now, now, 5_000) == 600


def test_the_newest_sample_of_each_vm_is_known_however_old(database: Database) -> None:
    other = InstanceId("another")
    tell(database, *(a_host(s) for s in range(0, 60, 10)), a_host(5, instance=other))
    assert [it.at for it in ask_samples(database, series.newest_hosts, CLUSTER)] == [at(5), at(50)]
    ask_samples(database, series.age, at(7200), timedelta(days=90))
    found = ask_samples(database, series.newest_hosts, CLUSTER)
    assert [(it.instance, it.at) for it in found] == [(other, at(0)), (VM, at(0))]


def test_the_fullest_vms_are_told_first_and_the_others_by_name(database: Database) -> None:
    """Also where the newest that is known of one is older than that of another."""
    full, half = {"memory_limit_bytes": 8, "memory_used_bytes": 7}, {"memory_used_bytes": 4}
    tell(database, a_host(0, instance=InstanceId("old"), **full))
    ask_samples(database, series.age, at(7200), timedelta(days=90))
    empty, again = InstanceId("empty"), {"memory_limit_bytes": 8} | half
    tell(database, a_host(7190, **full), a_host(7195, **again), a_host(7195, instance=empty))
    seen = ask_samples(database, series.fullest_hosts, CLUSTER, 2)
    assert seen.vms == ("empty", "old", VM)
    newest = {it.instance: it for it in ask_samples(database, series.newest_hosts, CLUSTER)}
    assert list(seen.hosts) == [newest[InstanceId("old")], newest[VM]]
    assert newest[VM].memory_used_bytes == 4
    assert ask_samples(database, series.fullest_hosts, CLUSTER, 0).hosts == ()


def test_recent_samples_are_by_vm(database: Database) -> None:
    tell(database, a_host(0), a_host(10), a_host(10, instance=InstanceId("another")))
    wanted = {"since": at(-60), "finely_since": at(0)}
    found = ask_samples(database, series.recent_hosts, CLUSTER, **wanted)
    assert {name: len(told) for name, told in found.items()} == {VM: 2, "another": 1}


def test_what_is_not_quite_recent_comes_by_the_minute(database: Database) -> None:
    tell(database, *(a_host(s) for s in range(0, 300, 10)))
    ask_samples(database, series.roll_up, at(300))
    wanted = {"since": at(0), "finely_since": at(200)}
    [(_, told)] = ask_samples(database, series.recent_hosts, CLUSTER, **wanted).items()
    assert [it.at for it in told[:4]] == [at(0), at(60), at(120), at(180)]
    assert len(told) == 3 + 12


def test_too_much_is_made_less_the_oldest_first(database: Database) -> None:
    tell(database, *(a_host(s) for s in range(0, 1000, 10)))
    assert ask_samples(database, samples.size_bytes) > 0
    ask_samples(database, samples.shrink, at(1000))
    assert of_host(database, series.TOLD)[0].at == at(100)


def test_too_much_of_any_kind_is_made_less_and_told(database: Database) -> None:
    """Computations with their groups, exceptions and events are bounded too, not samples alone."""
    for n in range(10):
        minutes = timedelta(minutes=10 * n)
        id = f"k-{n}"
        tell(
            database,
            a_computation(id=id, started_at=NOW + minutes),
            TaskGroupSample(id, "sum-1f", "sum"),
            PrefixTime(id, "sum", {}),
            an_exception(id, id=f"e-{n}", last_at=NOW + minutes),
            ShuffleEvent(NOW + minutes, "s", 1, "started"),
            first=1 + 5 * n,
        )
    tell(database, a_host(0), first=90, cluster=OTHER)
    gone = ask_samples(database, samples.shrink, NOW + timedelta(minutes=100))
    assert gone.items == 5 + 1
    assert ids(database, cluster=CLUSTER) == [f"k-{n}" for n in range(9, 0, -1)]
    assert ask_samples(database, telemetry.groups, CLUSTER, ["k-0"]) == ()
    assert ask_samples(database, telemetry.times, CLUSTER, ["k-0", "k-1"]) != ()
    assert len(ask_samples(database, telemetry.exceptions, CLUSTER)) == 9
    assert len(ask_samples(database, telemetry.shuffles, CLUSTER)) == 9
    assert ask_samples(database, telemetry.extent, CLUSTER).forgotten == 5
    ask_samples(database, samples.shrink, NOW + timedelta(minutes=100))
    assert ask_samples(database, telemetry.extent, CLUSTER).forgotten == 10
    assert ask_samples(database, telemetry.extent, OTHER).forgotten == 1


# -- signals --------------------------------------------------------------------------------------


def a_signal(kind: SignalKind = SignalKind.SPILLING, evidence: str = "so it is") -> Signal:
    return Signal(
        kind, Severity.WARNING, "It spills", evidence, "Use more memory.", "worker_memory",
        since=NOW, until=later(60),
    )  # fmt: skip


def test_a_signal_that_shows_no_more_is_kept_as_past(database: Database) -> None:
    def put(*found: Signal, when: float) -> bool:
        news: bool = ask_samples(database, signals.put, CLUSTER, RESEARCH, found, later(when))
        return news

    assert put(a_signal(), when=60)
    assert not put(a_signal(evidence="still"), when=70)
    [view] = ask_samples(database, signals.page, RESEARCH)
    assert (view.first_at, view.last_at, view.signal.evidence) == (NOW, later(70), "still")
    assert put(when=80)
    assert ask_samples(database, signals.page, RESEARCH) == ()
    [view] = ask_samples(database, signals.page, RESEARCH, past=True)
    assert (view.active, view.last_at) == (False, later(70))
    assert set(ask_samples(database, signals.of_clusters, [CLUSTER, OTHER])) == {CLUSTER}
