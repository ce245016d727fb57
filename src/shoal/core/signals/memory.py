"""Signals about memory: close to the limit, spilling, killed, growing where Dask cannot see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from shoal.core.signals.scene import (
    HISTORY,
    Finding,
    Rule,
    Scene,
    count,
    dollars,
    have,
    named,
    share,
    size,
    span,
    workers_price,
)
from shoal.wire.ids import InstanceId
from shoal.wire.telemetry import HostSample, Loss, Severity, SignalKind

PRESSURE_SHARE, PRESSURE_S = 0.8, 120.0  # Dask pauses a worker at 80 %
SPILLED_SHARE = 0.05
GROWTH_SHARE, GROWTH_LEVEL, GROWTH_S = 0.15, 0.3, 300.0
_HEADROOM = 1.5


def pressure(scene: Scene) -> Finding | None:
    shares = {
        name: _mean(_used(it) for it in samples)
        for name, samples in scene.hosts_of_last(PRESSURE_S).items()
        if len(samples) >= 3
    }
    high = {name: it for name, it in shares.items() if it > PRESSURE_SHARE}
    if not high:
        return None
    worst, limit = max(high.values()), _limit(scene, high)
    return Finding(
        evidence=f"{count(len(high), 'worker')} of {len(shares)} used "
        f"{share(_mean(high.values()))} of {size(limit)} on average over two minutes, "
        f"the fullest {share(worst)}; at 80 % Dask stops giving a worker new tasks.",
        since=scene.now - timedelta(seconds=PRESSURE_S),
        until=scene.now,
        advice=f'Give each worker more: worker_memory="{size(limit * _HEADROOM)}"; or make each '
        "task's data smaller (chunks=, blocksize=, more partitions).",
        workers=named(high),
        numbers={"share": worst, "threshold": PRESSURE_SHARE, "workers": len(high)},
        saves=_paused(scene, len(high), len(shares)),
    )


def _paused(scene: Scene, high: int, of: int) -> str:
    price = workers_price(scene)
    if not price:
        return "How much cannot be told: no price is known for these workers."
    return (
        f"Up to {dollars(price * high / of)}, which these cost whether they compute or pause; how "
        "long they pause is not measured."
    )


def spilling(scene: Scene) -> Finding | None:
    newest = {name: samples[-1] for name, samples in scene.hosts_of_last(PRESSURE_S).items()}
    spilled = {
        name: it
        for name, it in newest.items()
        if it.memory_limit_bytes and it.spilled_bytes > SPILLED_SHARE * it.memory_limit_bytes
    }
    if not spilled:
        return None
    total = sum(it.spilled_bytes for it in spilled.values())
    disk_s, all_s = _disk_time(scene)
    took = f" Reading and writing it took {share(disk_s / all_s)} of the time." if disk_s else ""
    limit = _limit(scene, spilled)
    most = max(it.spilled_bytes for it in spilled.values())
    return Finding(
        evidence=f"{count(len(spilled), 'worker')} of {len(newest)} {have(len(spilled))} moved "
        f"{size(total)} of results to disk.{took}",
        since=min(scene.hosts[name][0].at for name in spilled),
        until=scene.now,
        advice=f'Give each worker room for it: worker_memory="{size(limit + most)}"; or more '
        "workers (n_workers=); or keep less (persist() only what is used again).",
        workers=named(spilled),
        numbers={
            "spilled_bytes": total,
            "threshold_share": SPILLED_SHARE,
            "disk_s": disk_s,
        },
        saves=f"Up to {share(disk_s / all_s)} of the workers' time."
        if disk_s
        else "How much cannot be told: no worker has said how long reading and writing took.",
    )


def killed(scene: Scene) -> Finding | None:
    begun = scene.now - HISTORY
    losses = [it for it in scene.worker_events if it.reason is Loss.MEMORY and it.at >= begun]
    if not losses:
        return None
    workers = {it.worker for it in losses}
    limit = _limit(scene, workers)
    again = sum(it.tasks_lost + it.tasks_interrupted for it in losses)
    words = f", and {count(again, 'task')} had to be computed again" if again else ""
    last = max(losses, key=lambda it: it.at)
    told = f" The last: {last.detail}." if last.detail else ""
    wanted = f'worker_memory="{size(limit * _HEADROOM)}"' if limit else "worker_memory="
    return Finding(
        evidence=f"{count(len(losses), 'time')} in the last hour a worker was ended at its memory "
        f"limit{f' of {size(limit)}' if limit else ''}{words}.{told}",
        since=min(it.at for it in losses),
        until=last.at,
        advice=f"Give each worker more: {wanted}; or fewer tasks at once on it "
        "(worker_options={'nthreads': …}); or smaller chunks.",
        workers=named(workers),
        numbers={"losses": len(losses), "threshold": 1, "tasks_again": again},
        saves=f"{count(again, 'task')} an hour are computed twice."
        if again
        else "No task was lost with them; a new worker takes some seconds each time.",
    )


def unmanaged_growth(scene: Scene) -> Finding | None:
    grown: dict[InstanceId, float] = {}
    for name, samples in scene.hosts_of_last(2 * GROWTH_S).items():
        limit = samples[-1].memory_limit_bytes
        long_enough = (samples[-1].at - samples[0].at).total_seconds() >= GROWTH_S
        if not limit or not long_enough or len(samples) < 9:
            continue
        third = len(samples) // 3
        before = min(it.unmanaged_bytes for it in samples[:third])
        between = min(it.unmanaged_bytes for it in samples[third:-third])
        now = min(it.unmanaged_bytes for it in samples[-third:])
        rose = before <= between <= now and now - before > GROWTH_SHARE * limit
        if rose and now > GROWTH_LEVEL * limit:
            grown[name] = now - before
    if not grown:
        return None
    return Finding(
        evidence=f"On {count(len(grown), 'worker')} memory that Dask does not manage grew by "
        f"{size(_mean(grown.values()))} on average, without falling in between.",
        since=scene.now - timedelta(seconds=2 * GROWTH_S),
        until=scene.now,
        advice="Look for what tasks leave behind (caches, global lists, open files). If it is the "
        'allocator that keeps memory: environ={"MALLOC_TRIM_THRESHOLD_": "0"}. As a stopgap '
        'restart workers now and then: worker_options={"lifetime": "2 hours", '
        '"lifetime_restart": True}.',
        workers=named(grown),
        numbers={
            "grown_bytes": max(grown.values()),
            "threshold_share": GROWTH_SHARE,
            "workers": len(grown),
        },
        saves=_until_full(scene, grown),
    )


def _until_full(scene: Scene, grown: Mapping[InstanceId, float]) -> str:
    """At the rate of these ten minutes, when the first is at its limit: its tasks begin anew."""
    left = []
    for name, grew in grown.items():
        newest = scene.hosts[name][-1]
        room = max(newest.memory_limit_bytes - newest.memory_used_bytes, 0)
        left.append(room / (grew / GROWTH_S))  # it grew so much in about so long
    return (
        f"A worker in about {span(min(left))}: at this rate the fullest is at its limit then, and "
        "what it holds and runs is computed again."
    )


def _used(it: HostSample) -> float:
    return it.memory_used_bytes / it.memory_limit_bytes if it.memory_limit_bytes else 0.0


def _limit(scene: Scene, names: Iterable[str]) -> float:
    """Of the largest of these workers."""
    wanted = set(names)
    limits = [s[-1].memory_limit_bytes for name, s in scene.hosts.items() if name in wanted and s]
    return max(limits, default=0)


def _disk_time(scene: Scene) -> tuple[float, float]:
    """Seconds at the disk, and all seconds that tasks took."""
    disk = all_ = 0.0
    for it in scene.times:
        for activity, seconds in it.seconds.items():
            all_ += seconds
            disk += seconds if activity.rpartition(": ")[2] in ("disk-read", "disk-write") else 0.0
    return disk, all_


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


RULES = (
    Rule(
        SignalKind.MEMORY_PRESSURE,
        Severity.WARNING,
        "Workers are close to their memory limit",
        "a worker used more than 80 % of its memory on average over two minutes",
        "worker_memory",
        pressure,
    ),
    Rule(
        SignalKind.SPILLING,
        Severity.WARNING,
        "Workers are spilling to disk",
        "a worker has results on disk of more than 5 % of its memory",
        "worker_memory",
        spilling,
    ),
    Rule(
        SignalKind.KILLED_FOR_MEMORY,
        Severity.PROBLEM,
        "Workers were killed for memory",
        "a worker was ended at its memory limit within the last hour",
        "worker_memory",
        killed,
    ),
    Rule(
        SignalKind.UNMANAGED_GROWTH,
        Severity.WARNING,
        "Memory grows that Dask does not manage",
        "a worker's unmanaged memory rose by more than 15 % of its limit within ten minutes, "
        "never falling, to more than 30 %",
        "environ",
        unmanaged_growth,
    ),
)
