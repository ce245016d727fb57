"""Each signal shows on its side of its threshold, and is silent just below."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.records import Instance
from shoal.core.signals import RULES, Scene, Start, signals
from shoal.wire.ids import BatchId, ClusterId, EnvironmentId, InstanceId
from shoal.wire.specs import Cloud, ClusterSpec, Role, SpotPolicy, Workers
from shoal.wire.telemetry import (
    Computation,
    HostSample,
    Loss,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    Signal,
    SignalKind,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)
from shoal.wire.views import InstanceState

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
GIB = 1 << 30
MIB = 1 << 20


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def a_scene(**parts: Any) -> Scene:
    spec = ClusterSpec("etl", Cloud.GCP, Workers(4, 4, 4), EnvironmentId("env-1"))
    return Scene(**{"now": NOW, "spec": spec, **parts})


def series(seconds: float = 1200, every: float = 10, **fields: Any) -> tuple[SchedulerSample, ...]:
    known = {"workers": 4, "threads": 16}
    count = int(seconds / every)
    return tuple(
        SchedulerSample(ago(every * (count - n)), **{**known, **fields}) for n in range(count)
    )


def a_host(name: str = "w-1", seconds: float = 700, **fields: Any) -> dict[InstanceId, Any]:
    """Fields may be functions of how far (0…1) the series has come."""
    count = int(seconds / 10)

    def one(n: int) -> HostSample:
        told = {key: it(n / (count - 1)) if callable(it) else it for key, it in fields.items()}
        known = {"memory_limit_bytes": 8 * GIB, **told}
        return HostSample(ago(10 * (count - 1 - n)), InstanceId(name), **known)

    return {InstanceId(name): tuple(one(n) for n in range(count))}


def a_computation(**fields: Any) -> Computation:
    return Computation("k", ago(600), ago(60), **fields)


def a_group(**fields: Any) -> TaskGroupSample:
    return TaskGroupSample("k", "sum-1", "sum", ago(600), ago(60), **fields)


def a_loss(seconds: float, reason: Loss, **fields: Any) -> WorkerEvent:
    return WorkerEvent(ago(seconds), "w-1", "tls://h:1", added=False, reason=reason, **fields)


def retried(count: int, seconds: float = 60) -> TaskException:
    return TaskException(
        "e", "k", ago(seconds), ago(seconds), count, "OSError", "no route", "…", "f-1", "f", "w-1",
        retried=count,
    )  # fmt: skip


def vms(*zones: str, price: int | None = 1_000_000) -> tuple[Instance, ...]:
    return tuple(
        Instance(
            InstanceId(f"shoal-c-{n}"), BatchId("c-b1"), ClusterId("c"), Role.WORKER,
            InstanceState.LAUNCHED, ago(900), "", ago(900), zone=zone, price_uusd_per_hour=price,
        )
        for n, zone in enumerate(zones)
    )  # fmt: skip


def a_start(seconds: float, preparing: float) -> Start:
    """Ready after `seconds`, of which `preparing` went into the environment."""
    begun = ago(1000)

    def at(later: float) -> datetime:
        return begun + timedelta(seconds=later)

    return Start(InstanceId("w"), begun, at(1), at(5), at(5 + preparing), at(seconds))


BUSY = {"executing": 16, "processing": 20, "cpu_percent": 1600.0}
LARGE = {"tasks": 20, "states": {"memory": 20}, "compute_s": 20.0}

# kind: a scene where it shows, one just below, what its evidence and its advice must name
TABLE: dict[SignalKind, tuple[Scene, Scene, str, str]] = {
    SignalKind.ALL_IDLE: (
        a_scene(samples=series(310), instances=vms("a", "a")),
        a_scene(samples=(*series(310)[:-1], SchedulerSample(NOW, workers=4, processing=1))),
        "4 workers have had nothing to do for 5 min. It ends after 20 min",
        "idle_timeout=",
    ),
    SignalKind.LOW_CPU: (
        a_scene(samples=series(200, executing=10, processing=10, cpu_percent=290.0)),
        a_scene(samples=series(200, executing=10, processing=10, cpu_percent=300.0)),
        "10 tasks ran at a time, and each used 29 % of a CPU",
        'worker_options={"nthreads": 14}',
    ),
    SignalKind.MEMORY_PRESSURE: (
        a_scene(hosts=a_host(memory_used_bytes=int(6.5 * GIB))),
        a_scene(hosts=a_host(memory_used_bytes=int(6.3 * GIB))),
        "1 worker of 1 used 81 % of 8.0 GiB",
        'worker_memory="12.0 GiB"',
    ),
    SignalKind.SPILLING: (
        a_scene(
            hosts=a_host(spilled_bytes=500 * MIB),
            times=(PrefixTime("k", "f", {"thread-cpu": 30.0, "disk-read": 10.0}),),
        ),
        a_scene(hosts=a_host(spilled_bytes=400 * MIB)),
        "1 worker of 1 has moved 500.0 MiB of results to disk. Reading and writing it took 25 %",
        "worker_memory=",
    ),
    SignalKind.KILLED_FOR_MEMORY: (
        a_scene(
            worker_events=(a_loss(60, Loss.MEMORY, tasks_lost=7, detail="it used 9 GiB"),),
            hosts=a_host(),
        ),
        a_scene(worker_events=(a_loss(3700, Loss.MEMORY), a_loss(60, Loss.CONNECTION))),
        "1 time in the last hour a worker was ended at its memory limit of 8.0 GiB, and 7 tasks",
        'worker_memory="12.0 GiB"',
    ),
    SignalKind.UNMANAGED_GROWTH: (
        a_scene(hosts=a_host(unmanaged_bytes=lambda t: int((2 + 2.2 * t) * GIB))),
        a_scene(hosts=a_host(unmanaged_bytes=lambda t: int((2 + 2.0 * t) * GIB))),
        "On 1 worker memory that Dask does not manage grew by 1.3 GiB",
        "MALLOC_TRIM_THRESHOLD_",
    ),
    SignalKind.TINY_TASKS: (
        a_scene(computations=(a_computation(tasks=1000, done=1000, compute_s=9.0),)),
        a_scene(computations=(a_computation(tasks=1000, done=1000, compute_s=10.0),)),
        "1,000 tasks took 9 ms each",
        "chunks=",
    ),
    SignalKind.HUGE_GRAPH: (
        a_scene(computations=(a_computation(tasks=9, graph_bytes=(10 << 20) + 1, graph_s=3.0),)),
        a_scene(computations=(a_computation(tasks=9, graph_bytes=10 << 20, graph_s=10.0),)),
        "9 tasks was 10.0 MiB large",
        "client.scatter",
    ),
    SignalKind.SKEW: (
        a_scene(
            computations=(a_computation(),),
            groups=(a_group(**LARGE, bytes=20 * 100 * MIB, largest_bytes=410 * MIB),),
            samples=series(**BUSY),
        ),
        a_scene(
            computations=(a_computation(),),
            groups=(a_group(**LARGE, bytes=20 * 100 * MIB, largest_bytes=400 * MIB),),
        ),
        "Of the 20 parts of sum the largest has 410.0 MiB, 4 times the mean",
        "repartition(",
    ),
    SignalKind.TRANSFER: (
        a_scene(
            computations=(a_computation(),),
            groups=(a_group(transfer_s=61.0, compute_s=60.0),),
        ),
        a_scene(
            computations=(a_computation(),),
            groups=(a_group(transfer_s=60.0, compute_s=60.0),),
        ),
        "spent 61 s fetching data from each other, and 60 s computing",
        "worker_cpu=",
    ),
    SignalKind.SCHEDULER_SATURATED: (
        a_scene(samples=series(150, event_loop_s=0.21, **BUSY)),
        a_scene(samples=series(150, event_loop_s=0.2, scheduler_cpu_percent=90.0, **BUSY)),
        "event loop came round every 210 ms instead of every 20 ms",
        "chunks=",
    ),
    SignalKind.ERRED_RETRIED: (
        a_scene(exceptions=(retried(3),)),
        a_scene(exceptions=(retried(2), retried(9, seconds=3700))),
        "3 times in the last hour a task failed and was tried again, mostly f with OSError",
        "retries=",
    ),
    SignalKind.SHUFFLE_RESTARTS: (
        a_scene(
            shuffles=(ShuffleEvent(ago(50), "s", 2, "restarted"),),
            worker_events=(a_loss(52, Loss.PREEMPTED), a_loss(900, Loss.CRASHED)),
        ),
        a_scene(shuffles=(ShuffleEvent(ago(50), "s", 1, "started"),)),
        "1 time in the last hour a P2P shuffle began anew after losing a worker (preempted)",
        "worker_memory=",
    ),
    SignalKind.OVERSIZED: (
        a_scene(samples=series(executing=6, processing=6, cpu_percent=600.0), instances=vms("a")),
        a_scene(samples=series(executing=7, processing=7, cpu_percent=700.0)),
        "At most 6 of 16 threads computed",
        "n_workers=2",
    ),
    SignalKind.CROSS_ZONE: (
        a_scene(instances=vms("a", "b"), samples=series(150, transfer_bps=1e6, **BUSY)),
        a_scene(instances=vms("a", "b"), samples=series(150, transfer_bps=1e6 - 1, **BUSY)),
        "in 2 zones (1 in a, 1 in b)",
        "allow_cross_zone=False",
    ),
    SignalKind.SLOW_START: (
        a_scene(starts=(a_start(181, 170), a_start(20, 5))),
        a_scene(starts=(a_start(181, 170), a_start(20, 5), a_start(180, 5))),
        "1 worker of 2 took 3 min until they were ready; 3 min of it preparing the environment",
        "package_sync_ignore=",
    ),
}


def of(scene: Scene, kind: SignalKind) -> Signal | None:
    return next((it for it in signals(scene) if it.kind is kind), None)


@pytest.mark.parametrize("kind", SignalKind)
def test_a_signal_shows_with_evidence_and_advice(kind: SignalKind) -> None:
    scene, _, evidence, advice = TABLE[kind]
    found = of(scene, kind)
    assert found is not None
    assert evidence in found.evidence
    assert advice in found.advice
    assert found.since <= found.until <= NOW
    assert any("threshold" in name for name in found.numbers) or kind is SignalKind.SKEW


@pytest.mark.parametrize("kind", SignalKind)
def test_a_signal_is_silent_just_below(kind: SignalKind) -> None:
    assert of(TABLE[kind][1], kind) is None


@pytest.mark.parametrize("kind", SignalKind)
def test_a_signal_names_an_argument_and_shows_alone_where_nothing_else_is_wrong(
    kind: SignalKind,
) -> None:
    shown = signals(TABLE[kind][0])
    assert [it.kind for it in shown] == [kind]
    assert shown[0].argument


@pytest.mark.parametrize("kind", SignalKind)
def test_a_signal_says_how_much_its_advice_would_save_or_why_that_cannot_be_told(
    kind: SignalKind,
) -> None:
    found = of(TABLE[kind][0], kind)
    assert found is not None
    assert re.search(r"\d|cannot be told", found.saves), found.saves


@pytest.mark.parametrize(("stalls", "shows"), [(3, True), (2, False)])
def test_a_scheduler_that_stands_still_three_times_is_saturated(stalls: int, shows: bool) -> None:
    calm = series(150, **BUSY)
    samples = tuple(
        msgspec.structs.replace(it, stall_s=3.1) if n < stalls else it
        for n, it in enumerate(reversed(calm))
    )[::-1]
    found = of(a_scene(samples=samples), SignalKind.SCHEDULER_SATURATED)
    assert (found is not None) == shows
    assert found is None or "It stood still for up to 3 s" in found.evidence


SATURATED = series(150, event_loop_s=0.21, workers=4, threads=16, processing=40, executing=4)


def test_threads_that_wait_for_the_scheduler_cost_what_they_cost() -> None:
    found = of(a_scene(samples=SATURATED, instances=vms("a", "a")), SignalKind.SCHEDULER_SATURATED)
    assert found is not None
    assert "Up to 75 % of the workers' threads" in found.saves
    assert found.saves_uusd_per_hour == 1_500_000


@pytest.mark.parametrize(("gil_share", "shows"), [(0.81, True), (0.79, False)])
def test_a_lock_that_is_held_saturates_the_scheduler_too(gil_share: float, shows: bool) -> None:
    found = of(
        a_scene(samples=series(150, gil_share=gil_share, **BUSY)), SignalKind.SCHEDULER_SATURATED
    )
    assert (found is not None) == shows
    if found is not None:
        assert "Python's lock was held 81 % of the time" in found.evidence
        assert "a plugin, a preload script" in found.advice


@pytest.mark.parametrize(
    ("cloud", "zones", "says", "uusd"),
    [
        (Cloud.AWS, ("us-east-1a", "us-east-1b"), "about $0.04 an hour", 36_000),
        (Cloud.GCP, ("us-east1-b", "us-east1-c"), "about $0.02 an hour", 18_000),
        (Cloud.AZURE, ("eastus-1", "eastus-2"), "which is not charged", None),
        (Cloud.SIM, ("a", "b"), "no price is known here", None),
    ],
)
def test_traffic_between_zones_costs_what_the_cloud_charges(
    cloud: Cloud, zones: tuple[str, ...], says: str, uusd: int | None
) -> None:
    spec = ClusterSpec("etl", cloud, Workers(4, 4, 4), EnvironmentId("env-1"))
    samples = series(150, transfer_bps=1e6, **BUSY)
    found = of(a_scene(spec=spec, instances=vms(*zones), samples=samples), SignalKind.CROSS_ZONE)
    assert found is not None
    assert says in found.saves
    assert found.saves_uusd_per_hour == uusd
    assert "regions" not in found.evidence


def test_zones_of_two_regions_are_said_to_be() -> None:
    samples = series(150, transfer_bps=1e6, **BUSY)
    instances = vms("us-east1-b", "europe-west1-b")
    found = of(a_scene(instances=instances, samples=samples), SignalKind.CROSS_ZONE)
    assert found is not None
    assert "the zones are of 2 regions" in found.evidence


def test_every_kind_has_one_rule() -> None:
    assert sorted(it.kind for it in RULES) == sorted(SignalKind)


def test_nothing_is_said_of_what_was_not_seen() -> None:
    assert signals(a_scene()) == ()
    assert signals(a_scene(samples=series(60))) == ()  # idle, but not for long enough
    assert signals(a_scene(samples=series(250, executing=1, processing=1)[:3])) == ()


def test_the_worst_comes_first() -> None:
    killed = TABLE[SignalKind.KILLED_FOR_MEMORY][0]
    both = msgspec.structs.replace(killed, samples=series(310), exceptions=(retried(5),))
    kinds = [it.kind for it in signals(both)]
    assert kinds == [SignalKind.KILLED_FOR_MEMORY, SignalKind.ERRED_RETRIED, SignalKind.ALL_IDLE]


def test_idle_workers_cost_what_they_cost() -> None:
    scene = a_scene(samples=series(310), instances=vms("a", "a", "a"))
    found = of(scene, SignalKind.ALL_IDLE)
    assert found is not None
    assert (found.saves, found.saves_uusd_per_hour) == ("$3.00 an hour.", 3_000_000)
    unknown = msgspec.structs.replace(scene, instances=vms("a", price=None))
    found = of(unknown, SignalKind.ALL_IDLE)
    assert found is not None
    assert found.saves_uusd_per_hour is None  # never guessed
    assert found.saves == "How much cannot be told: no price is known for these workers."


def test_few_long_tasks_are_uneven_work_too() -> None:
    group = a_group(tasks=4, states={"memory": 4}, compute_s=4 * 31.0)
    scene = a_scene(
        computations=(a_computation(),), groups=(group,), samples=series(threads=8, **BUSY)
    )
    found = of(scene, SignalKind.SKEW)
    assert found is not None
    assert "only 4 tasks of 31 s each, and there are 8 threads" in found.evidence


def test_a_straggler_is_uneven_work_too() -> None:
    group = a_group(**LARGE, longest_s=31.0)
    found = of(a_scene(computations=(a_computation(),), groups=(group,)), SignalKind.SKEW)
    assert found is not None
    assert "the longest took 31 s, 31 times the mean" in found.evidence


def test_spot_workers_are_the_advice_where_shuffles_begin_anew() -> None:
    scene = TABLE[SignalKind.SHUFFLE_RESTARTS][0]
    spec = msgspec.structs.replace(scene.spec, spot_policy=SpotPolicy.SPOT)
    found = of(msgspec.structs.replace(scene, spec=spec), SignalKind.SHUFFLE_RESTARTS)
    assert found is not None
    assert 'spot_policy="on-demand"' in found.advice


_whole = st.integers(0, 50)
_number: Callable[[], Any] = lambda: st.floats(0, 1e9, allow_nan=False)  # noqa: E731
_sample = st.builds(
    SchedulerSample, st.just(NOW), workers=_whole, threads=_whole, processing=_whole,
    executing=_whole, event_loop_s=_number(), stall_s=_number(), cpu_percent=_number(),
    transfer_bps=_number(), gil_share=_number(),
)  # fmt: skip
_host = st.builds(
    HostSample, st.just(NOW), st.just(InstanceId("w")), memory_used_bytes=_whole,
    memory_limit_bytes=_whole, spilled_bytes=_whole, unmanaged_bytes=_whole,
)  # fmt: skip
_group = st.builds(
    TaskGroupSample, st.just("k"), st.just("n"), st.just("p"), tasks=_whole,
    states=st.dictionaries(st.sampled_from(["memory", "erred"]), _whole), compute_s=_number(),
    transfer_s=_number(), bytes=_whole, longest_s=_number(), largest_bytes=st.integers(0, 2**40),
)  # fmt: skip


@given(
    samples=st.lists(_sample, max_size=24),
    host=st.lists(_host, max_size=14),
    group=_group,
    done=_whole,
    compute_s=_number(),
)
def test_whatever_was_measured_no_rule_fails(
    samples: list[SchedulerSample],
    host: list[HostSample],
    group: TaskGroupSample,
    done: int,
    compute_s: float,
) -> None:
    """Zeros above all: no worker, no thread, no limit, no time."""
    spread = [
        msgspec.structs.replace(it, at=ago(50 * (len(samples) - n))) for n, it in enumerate(samples)
    ]
    hosts = [msgspec.structs.replace(it, at=ago(50 * (len(host) - n))) for n, it in enumerate(host)]
    found = signals(
        a_scene(
            samples=tuple(spread),
            hosts={InstanceId("w"): tuple(hosts)},
            computations=(a_computation(done=done * 100, compute_s=compute_s),),
            groups=(group,),
            instances=vms("a", "b"),
        )
    )
    assert len({it.kind for it in found}) == len(found)
    assert all(it.evidence and it.advice and it.since <= it.until for it in found)
