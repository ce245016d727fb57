"""Samples: the scheduler, the cluster as a whole, and each worker as its heartbeats tell.

Everything is read from what Dask has counted already; with a thousand workers that is some
thousand dictionary look-ups every few seconds.
"""

from __future__ import annotations

import re
from typing import Any

from .connections import is_person
from .values import Item, moment

_WAITING = ("waiting", "queued", "no-worker", "memory", "erred")
_PATH_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


def worker_name(ws: Any) -> str:
    """What a worker is called on record: its name, where that can be part of a URL."""
    name = str(ws.name)
    if _PATH_SAFE.fullmatch(name):
        return name
    return re.sub(r"[^A-Za-z0-9._:-]", "-", ws.address.rpartition("://")[2])[:100]


class Ticks:
    """How late the event loop is: `late` is told by who slept in it."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def late(self, seconds: float) -> None:
        self.longest_s = max(self.longest_s, seconds)

    def take(self) -> float:
        longest_s, self.longest_s = self.longest_s, 0.0
        return longest_s


def of_scheduler(scheduler: Any, now: float, stall_s: float, transfer_bps: float) -> Item:
    states = dict.fromkeys(_WAITING, 0)
    for prefix in list(scheduler.task_prefixes.values()):
        for state in _WAITING:
            states[state] += prefix.states.get(state, 0)
    monitor = scheduler.monitor.recent()
    return {
        "item": "scheduler",
        "at": moment(now),
        "clients": sum(it.startswith("Client-") for it in scheduler.clients if is_person(it)),
        "connections": len(getattr(scheduler, "_comms", ())),
        "queued": states["queued"],
        "waiting": states["waiting"],
        "in_memory": states["memory"],
        "erred": states["erred"],
        "no_worker": states["no-worker"],
        "idle_workers": len(scheduler.idle),
        "event_loop_s": round(getattr(scheduler, "_tick_interval_observed", 0.0), 4),
        "stall_s": round(stall_s, 3),
        "scheduler_cpu_percent": round(monitor.get("cpu", 0.0), 1),
        "scheduler_memory_bytes": int(monitor.get("memory", 0)),
        "gil_share": round(monitor.get("gil_contention", 0.0), 3),
        "transfer_bps": round(transfer_bps, 0),
        "desired_workers": scheduler.adaptive_target(),
        **_together(scheduler),
    }


def _together(scheduler: Any) -> Item:
    """All workers, summed."""
    found = dict.fromkeys(
        ("threads", "processing", "executing", "memory_bytes", "memory_limit_bytes",
         "managed_bytes", "unmanaged_bytes", "spilled_bytes"), 0
    )  # fmt: skip
    cpu_percent = 0.0
    for ws in list(scheduler.workers.values()):
        memory = ws.memory
        found["threads"] += ws.nthreads
        found["processing"] += len(ws.processing)
        found["executing"] += executing(ws)
        found["memory_bytes"] += memory.process
        found["memory_limit_bytes"] += int(ws.memory_limit or 0)
        found["managed_bytes"] += memory.managed
        found["unmanaged_bytes"] += memory.unmanaged
        found["spilled_bytes"] += memory.spilled
        cpu_percent += ws.metrics.get("cpu", 0.0)
    return {"workers": len(scheduler.workers), "cpu_percent": round(cpu_percent, 1), **found}


def executing(ws: Any) -> int:
    """Tasks that run, as of the last heartbeat; before the first, as many as there is room for."""
    counts = ws.metrics.get("task_counts")
    if isinstance(counts, dict) and counts:
        return int(counts.get("executing", 0))
    return int(min(len(ws.processing), ws.nthreads))


def uses(scheduler: Any) -> dict[str, Item]:
    """By worker, what its own agent cannot know."""
    return {worker_name(ws): _use(ws) for ws in list(scheduler.workers.values())}


def _use(ws: Any) -> Item:
    memory = ws.memory
    return {
        "managed_bytes": memory.managed,
        "unmanaged_bytes": memory.unmanaged,
        "spilled_bytes": memory.spilled,
        "processing": len(ws.processing),
        "executing": executing(ws),
    }


def of_hosts(scheduler: Any, now: float) -> list[Item]:
    """For a cluster without agents. Rates are those of the worker's machine, which other workers
    may share; CPU and memory are the worker's own."""
    return [_host(ws, now) for ws in list(scheduler.workers.values())]


def _host(ws: Any, now: float) -> Item:
    metrics = ws.metrics
    network, disk = metrics.get("host_net_io", {}), metrics.get("host_disk_io", {})
    return {
        "item": "host",
        "at": moment(now),
        "instance": worker_name(ws),
        "cpus": ws.nthreads,
        "cpu_user_percent": round(metrics.get("cpu", 0.0) / (ws.nthreads or 1), 1),
        "memory_used_bytes": ws.memory.process,
        "memory_limit_bytes": int(ws.memory_limit or 0),
        "disk_read_bps": round(disk.get("read_bps", 0.0), 0),
        "disk_write_bps": round(disk.get("write_bps", 0.0), 0),
        "net_in_bps": round(network.get("read_bps", 0.0), 0),
        "net_out_bps": round(network.get("write_bps", 0.0), 0),
        **_use(ws),
    }
