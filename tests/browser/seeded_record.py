"""What the seeded clusters computed, and how their machines fared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from shoal.store import signals, telemetry
from shoal.store.database import Database
from shoal.wire.ids import ClusterId, InstanceId, WorkspaceName, instance_id
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

_CODE = """def monthly_means(grid):
    depth = grid.where(grid >= 0)
    means = depth.groupby("time.month").mean()
    return means.compute()
"""
_GIB = 1 << 30


def items(cluster: ClusterId, now: datetime, *, minutes: int = 40) -> Iterator[Item]:
    yield from _computations(cluster, now)
    yield from _comings(cluster, now)
    yield from _clients(now)
    for n in range(minutes * 12):
        at = now - timedelta(seconds=5 * (minutes * 12 - n))
        wave = 0.5 + 0.45 * math.sin(n / 23)
        yield SchedulerSample(
            at,
            workers=6,
            threads=24,
            clients=2,
            processing=int(60 * wave),
            executing=int(24 * wave),
            queued=int(400 * wave),
            idle_workers=1 if wave < 0.2 else 0,
            event_loop_s=0.02 + 0.004 * wave,
            stall_s=0.1 * wave,
            scheduler_cpu_percent=30 * wave,
            scheduler_memory_bytes=int(0.6 * _GIB),
            cpu_percent=2400 * wave,
            memory_bytes=int(60 * _GIB * (0.3 + wave / 2)),
            memory_limit_bytes=96 * _GIB,
            managed_bytes=int(40 * _GIB * wave),
            spilled_bytes=int(4 * _GIB * max(0.0, wave - 0.6)),
            transfer_bps=3e8 * wave,
            desired_workers=8,
        )
        if n % 2 == 0:
            for number in range(1, 8):
                yield _host(cluster, number, at, wave)


def of_watched(now: datetime) -> Iterator[Item]:
    """What a session that watches tells: no VM, workers by their own names."""
    for n in range(120):
        at = now - timedelta(seconds=5 * (120 - n))
        yield SchedulerSample(at, workers=4, threads=16, clients=1, executing=8, cpu_percent=700.0)
    for n in range(4):
        yield HostSample(
            now,
            InstanceId(f"node{n:02}"),
            cpus=4,
            cpu_user_percent=40.0 + 9 * n,
            memory_used_bytes=(2 + n) * _GIB,
            memory_limit_bytes=8 * _GIB,
            processing=9,
            executing=4,
        )
    killed = now - timedelta(minutes=3)
    yield WorkerEvent(
        killed, "node07", "tcp://10.0.0.7:1", False, Loss.MEMORY, "9 GiB of 8 GiB", tasks_lost=42
    )


def _comings(cluster: ClusterId, now: datetime) -> Iterator[Item]:
    """Workers that came, two that the cloud took, one that ran out of memory; what that broke."""
    began = now - timedelta(minutes=39)
    for number in range(2, 10):
        at = began + timedelta(seconds=number)
        yield WorkerEvent(at, instance_id(cluster, number), f"tls://10.142.0.{number}:4000", True)
    for number, after_min, reason, detail in (
        (8, 14, Loss.PREEMPTED, "the cloud took the spot VM in us-east1-d back"),
        (9, 24, Loss.PREEMPTED, "the cloud took the spot VM in us-east1-b back"),
        (5, 31, Loss.MEMORY, "its nanny ended it at 95 % of 16 GiB"),
    ):
        at = began + timedelta(minutes=after_min)
        address = f"tls://10.142.0.{number}:4000"
        yield WorkerEvent(
            at,
            instance_id(cluster, number),
            address,
            False,
            reason,
            detail,
            tasks_lost=120 * number,
            tasks_interrupted=4,
        )
    back = began + timedelta(minutes=31, seconds=4)
    yield WorkerEvent(back, instance_id(cluster, 5), "tls://10.142.0.5:4001", True)
    for what, run, after_min in (("started", 1, 23), ("restarted", 2, 24.1), ("ended", 2, 26)):
        at = began + timedelta(minutes=after_min)
        yield ShuffleEvent(at, "6f1e2a", run, what, workers=6, partitions=800)


def _clients(now: datetime) -> Iterator[Item]:
    """A notebook that lost its network and came back, and a script that came and went."""
    for client, user, name, came_min, went_min in (
        ("Client-a1", "ada", "", 39, 22.5),
        ("Client-a2", "ada", "", 22.4, None),
        ("Client-g1", "grace", "nightly report", 18, 9),
        ("Client-g2", "grace", "nightly report", 4, None),
    ):
        address = f"tls://198.51.100.{7 if user == 'ada' else 9}:51234"
        told = {"name": name, "user": user, "address": address}
        came = now - timedelta(minutes=came_min)
        yield ClientEvent(came, client, connected=True, **told)
        if went_min is not None:
            yield ClientEvent(now - timedelta(minutes=went_min), client, connected=False, **told)


def _host(cluster: ClusterId, number: int, at: datetime, wave: float) -> HostSample:
    return HostSample(
        at,
        instance_id(cluster, number),
        cpus=4,
        cpu_user_percent=90 * wave / (1 + number / 20),
        cpu_system_percent=6.0,
        memory_used_bytes=int((4 + number + 4 * wave) * _GIB),
        memory_limit_bytes=16 * _GIB,
        managed_bytes=int(6 * _GIB * wave),
        unmanaged_bytes=_GIB,
        disk_used_bytes=12 * _GIB,
        disk_total_bytes=30 * _GIB,
        net_in_bps=4e7 * wave,
        net_out_bps=3e7 * wave,
        processing=int(9 * wave),
        executing=4,
    )


def _computations(cluster: ClusterId, now: datetime) -> Iterator[Item]:
    frame = CodeFrame("/home/ada/climate/means.py", 13, _CODE, 10)
    for number in range(1, 9):
        id = f"comp-{number}"
        began = now - timedelta(minutes=5 * number)
        runs = number == 1
        erred = 3 if number == 4 else 0
        yield Computation(
            id,
            began,
            None if runs else began + timedelta(seconds=171.5),
            (CodeFrame("/home/ada/climate/run.py", 41, "monthly_means(open_grid())", 41), frame),
            tasks=4200,
            done=1804 if runs else 4200 - erred,
            erred=erred,
            processing=60 if runs else 0,
            groups=4,
            graph_bytes=1_900_000,
            graph_s=0.21,
            compute_s=3210.0,
            workers=6,
            spans=("monthly / means",) if number < 3 else (),
        )
        for name, compute_s, transfer_s, after_s in (
            ("read-zarr", 900.0, 0.0, 1),
            ("where", 420.0, 12.0, 6),
            ("groupby-mean", 1700.0, 380.0, 20),
            ("concat", 190.0, 95.0, 140),
        ):
            yield TaskGroupSample(
                id,
                f"{name}-{number}f3a",
                name,
                began + timedelta(seconds=after_s),
                None if runs else began + timedelta(seconds=min(after_s + 90, 171)),
                tasks=1050,
                states={"memory": 1050 - erred, "erred": erred},
                compute_s=compute_s,
                transfer_s=transfer_s,
                disk_write_s=transfer_s / 5,
                bytes=int(3e9),
                longest_s=4.2,
            )
        spent = {"thread-cpu": 1500.0, "thread-noncpu": 200.0}
        yield PrefixTime(id, "groupby-mean", spent, shared=number < 5)
        if erred:
            yield TaskException(
                f"x-{number}",
                id,
                began + timedelta(seconds=60),
                began + timedelta(seconds=90),
                erred,
                "ValueError",
                "negative depth at (12, 40)",
                'Traceback (most recent call last):\n  File "means.py", line 11, in where\n'
                "ValueError: negative depth at (12, 40)\n",
                "('where-4f3a', 12, 40)",
                "where",
                instance_id(cluster, 3),
            )


SPILLING = "Ask for more memory a worker: worker_memory='32 GiB'."


async def fill(
    database: Database,
    workspace: WorkspaceName,
    id: ClusterId,
    now: datetime,
    *,
    minutes: int = 40,
) -> None:
    found = items(id, now, minutes=minutes)
    chunks = [Chunk(n + 1, it) for n, it in enumerate(found)]
    await database.run_samples(telemetry.append, id, workspace, chunks)
    since = now - timedelta(minutes=12)
    signs = [
        Signal(
            SignalKind.SPILLING,
            Severity.WARNING,
            "Workers are spilling",
            "5 of 6 workers moved 3.1 GiB of results to disk in the last 12 minutes.",
            SPILLING,
            "worker_memory",
            since,
            now,
            workers=tuple(instance_id(id, n) for n in range(2, 7)),
        ),
        Signal(
            SignalKind.TINY_TASKS,
            Severity.ADVICE,
            "Tasks are tiny",
            "4,200 tasks took 8 ms each; Dask needs about 1 ms to run one.",
            "Make chunks larger: fewer and longer tasks cost less.",
            "chunks",
            since,
            now,
        ),
    ]
    await database.run_samples(signals.put, id, workspace, signs, now)
