"""Signals about how much of a cluster is used, and what it costs not to use it."""

from __future__ import annotations

import math
import statistics
from datetime import datetime
from typing import Any

from shoal.core.signals.scene import (
    Finding,
    Rule,
    Scene,
    count,
    dollars,
    have,
    share,
    span,
    workers_price,
)
from shoal.wire.telemetry import SchedulerSample, Severity, SignalKind

IDLE_S = 300.0
LOW_CPU_S, LOW_CPU_SHARE, LOW_CPU_BUSY = 180.0, 0.3, 0.8
OVERSIZED_S, OVERSIZED_SHARE, OVERSIZED_THREADS = 900.0, 0.4, 8
NO_PRICE = "How much cannot be told: no price is known for these workers."
GIL_SHARE = 0.8
SATURATED_S, TICK_S, SATURATED_PERCENT, STALL_S, STALLS = 120.0, 0.2, 90.0, 3.0, 3


def all_idle(scene: Scene) -> Finding | None:
    samples = scene.last(IDLE_S)
    if not samples or any(not it.workers or _work(it) for it in samples):
        return None
    workers = samples[-1].workers
    timeout_s = scene.spec.stop.idle_timeout_s
    ends = f"It ends after {span(timeout_s)} of that." if timeout_s else "Nothing ends it."
    idle_s = (scene.now - _idle_since(scene)).total_seconds()
    price = workers_price(scene)
    return Finding(
        evidence=f"{count(workers, 'worker')} {have(workers)} had nothing to do for "
        f"{span(idle_s)}. {ends}",
        since=_idle_since(scene),
        until=scene.now,
        advice="Let workers go when there is nothing to do: n_workers=[0, "
        f'{scene.spec.workers.maximum}]; or end it sooner: idle_timeout="5 minutes"; or close it '
        "now.",
        numbers={"idle_s": idle_s, "threshold_s": IDLE_S, "workers": workers},
        saves=f"{dollars(price)}." if price else NO_PRICE,
        saves_uusd_per_hour=price,
    )


def low_cpu(scene: Scene) -> Finding | None:
    samples = scene.last(LOW_CPU_S)
    busy = [it for it in samples if it.executing]
    if not samples or len(busy) < LOW_CPU_BUSY * len(samples):
        return None
    used = statistics.fmean(it.cpu_percent / (100 * it.executing) for it in busy)
    if used >= LOW_CPU_SHARE:
        return None
    executing = statistics.fmean(it.executing for it in busy)
    io = [it.cpu_iowait_percent for h in scene.hosts_of_last(LOW_CPU_S).values() for it in h]
    price = workers_price(scene)
    spared = None if price is None else round(price * (1 - max(used, 0.05)))
    waits = f" The disk is waited for {statistics.fmean(io):.0f} % of the time." if io else ""
    return Finding(
        evidence=f"About {count(round(executing), 'task')} ran at a time, and each used "
        f"{share(used)} of a CPU.{waits}",
        since=samples[0].at,
        until=scene.now,
        advice="If tasks wait for the network or the disk, run more at once on each worker: "
        f'worker_options={{"nthreads": {_threads_wanted(samples[-1], used)}}}. If they hold '
        "Python's lock (GIL), fewer threads in more workers: nthreads 1 or 2.",
        numbers={"share": used, "threshold": LOW_CPU_SHARE, "executing": executing},
        saves=f"The same work needs about {share(max(used, 0.05))} of the CPUs"
        + (f": up to {dollars(spared)}." if spared else "."),
        saves_uusd_per_hour=spared,
    )


def _threads_wanted(sample: SchedulerSample, used: float) -> int:
    each = max(sample.threads // (sample.workers or 1), 1)
    return min(math.ceil(each / max(used, 0.1)), each * 8)


def oversized(scene: Scene) -> Finding | None:
    samples = scene.last(OVERSIZED_S)
    working = [it for it in samples if it.executing]
    if len(working) * 2 < len(samples) or not working:
        return None
    threads = min(it.threads for it in samples)
    peak = max(it.executing for it in samples)
    if threads < OVERSIZED_THREADS or peak >= OVERSIZED_SHARE * threads:
        return None
    workers = min(it.workers for it in samples)
    enough = max(math.ceil(peak * 1.25 / (threads / workers)), 1)
    price = workers_price(scene)
    saved = None if price is None else round(price * (1 - enough / workers))
    return Finding(
        evidence=f"At most {peak} of {threads} threads computed at any time in the last "
        f"{span(OVERSIZED_S)}.",
        since=samples[0].at,
        until=scene.now,
        advice=f"n_workers={enough} would have been enough, or let the load decide: "
        f"n_workers=[{min(enough, scene.spec.workers.minimum or 1)}, {workers}].",
        numbers={
            "peak": peak,
            "threads": threads,
            "threshold_share": OVERSIZED_SHARE,
            "enough_workers": enough,
        },
        saves=f"{dollars(saved)}." if saved else f"{share(1 - enough / workers)} of the workers.",
        saves_uusd_per_hour=saved,
    )


def scheduler_saturated(scene: Scene) -> Finding | None:
    samples = [it for it in scene.last(SATURATED_S) if _work(it)]
    if len(samples) < 3:
        return None
    tick = statistics.median(it.event_loop_s for it in samples)
    cpu = statistics.fmean(it.scheduler_cpu_percent for it in samples)
    stalls = [it.stall_s for it in samples if it.stall_s > STALL_S]
    gil = statistics.fmean(it.gil_share for it in samples)
    calm = tick <= TICK_S and cpu <= SATURATED_PERCENT and gil <= GIL_SHARE
    if calm and len(stalls) < STALLS:
        return None
    stood = f" It stood still for up to {span(max(stalls))}." if stalls else ""
    locked = f" Python's lock was held {share(gil)} of the time." if gil else ""
    held = gil > GIL_SHARE and cpu <= SATURATED_PERCENT
    code = (
        " Something else than Dask holds the lock in its process: a plugin, a preload script."
        if held
        else ""
    )
    return Finding(
        evidence=f"The scheduler used {cpu:.0f} % of its one CPU, and its event loop came round "
        f"every {span(tick)} instead of every 20 ms.{stood}{locked}",
        since=samples[0].at,
        until=scene.now,
        advice="Fewer, larger tasks are what helps: larger chunks= or blocksize=. More CPUs do "
        "not (it uses one); faster ones do: scheduler_vm_types=. Large results are better "
        f"written by workers than gathered.{code}",
        numbers={
            "event_loop_s": tick,
            "threshold_s": TICK_S,
            "cpu_percent": cpu,
            "threshold_percent": SATURATED_PERCENT,
            "stall_s": max(stalls, default=0.0),
            "gil_share": gil,
            "threshold_gil_share": GIL_SHARE,
        },
        **_waiting(scene, samples),
    )


def _waiting(scene: Scene, samples: list[SchedulerSample]) -> dict[str, Any]:
    """What of the workers waited although there was work for all of them."""
    full = [it for it in samples if it.threads and it.processing + it.queued >= it.threads]
    if not full:
        return {
            "saves": "How much cannot be told: there was never work for all workers at once, so "
            "they may wait for other reasons than the scheduler."
        }
    idle = statistics.fmean(max(1 - it.executing / it.threads, 0.0) for it in full)
    price = workers_price(scene)
    lost = None if price is None else round(price * idle)
    of = f": {dollars(lost)}" if lost else ""
    return {
        "saves": f"Up to {share(idle)} of the workers' threads, which waited though there was "
        f"work{of}.",
        "saves_uusd_per_hour": lost,
    }


def _work(it: SchedulerSample) -> int:
    return it.processing + it.queued + it.no_worker + it.executing


def _idle_since(scene: Scene) -> datetime:
    """The first sample after the last that had work."""
    since = scene.samples[-1].at
    for it in reversed(scene.samples):
        if _work(it):
            break
        since = it.at
    return since


RULES = (
    Rule(
        SignalKind.ALL_IDLE,
        Severity.ADVICE,
        "All workers are idle",
        "there are workers and no task for 5 minutes",
        "idle_timeout",
        all_idle,
    ),
    Rule(
        SignalKind.LOW_CPU,
        Severity.ADVICE,
        "Tasks run, and the CPUs wait",
        "over 3 minutes with tasks running in 80 % of the samples, a running task used less than "
        "30 % of a CPU",
        "worker_options",
        low_cpu,
    ),
    Rule(
        SignalKind.OVERSIZED,
        Severity.ADVICE,
        "The cluster is larger than what is used",
        "over 15 minutes of work, with 8 threads or more, never 40 % of them computed",
        "n_workers",
        oversized,
    ),
    Rule(
        SignalKind.SCHEDULER_SATURATED,
        Severity.WARNING,
        "The scheduler is the bottleneck",
        "over 2 minutes of work its event loop took more than 200 ms a turn, or it used more than "
        "90 % of a CPU, or it stood still for 3 s three times, or Python's lock (GIL) was held in "
        "its process more than 80 % of the time (measured where `gilknocker` is installed)",
        "chunks",
        scheduler_saturated,
    ),
)
