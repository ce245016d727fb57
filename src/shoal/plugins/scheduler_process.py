"""The Dask scheduler as the agent's child: it serves, reports, and lets workers go.

Reports are states, sent when something changed (at most five a second) and once a second. Whatever
follows from them – adaptivity, stop rules – is decided elsewhere. Dask's own idle timeout is off:
the agent keeps that rule, so that it also holds when this process hangs.

Exit status: 0 stopped; 2 what was asked cannot be; anything else is a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import traceback
from collections.abc import Callable
from typing import Any

from .beside import unharmed
from .pipe import Message, Pipe

STOPPED, CANNOT_BE = 0, 2
_LEAST_S, _MOST_S = 0.2, 1.0
_CLOSE_WITHIN_S = 0.3
_NOT_PEOPLE = ("fire-and-forget", "Client-worker-")  # client ids that Dask makes for itself


def main() -> None:
    pipe = Pipe()
    import distributed  # noqa: F401  half a second, while the agent prepares the rest

    gc.enable()
    pipe.end(asyncio.run(_run(pipe)))


async def _run(pipe: Pipe) -> int:
    pipe.attach()
    while (asked := await pipe.next())["op"] not in ("scheduler", "stop"):
        pass
    if asked["op"] == "stop":  # told to stop before it began
        return STOPPED
    try:
        scheduler = _scheduler(asked)
    except (TypeError, ValueError, ImportError, AttributeError) as error:
        traceback.print_exc()
        pipe.tell("failed", text=f"The Dask scheduler cannot be made as asked: {error}")
        return CANNOT_BE
    async with scheduler:
        await _serve(pipe, scheduler, asked)
    return STOPPED


def _scheduler(asked: Message) -> Any:
    import dask
    from distributed import Scheduler

    from .guarded_pages import guarded
    from .security import security_from

    dask.config.set({"distributed.scheduler.idle-timeout": None})
    options = {
        "host": f"tls://{asked['host']}",
        "port": asked["port"],
        "dashboard_address": f"{asked['host']}:{asked['dashboard_port']}",
        "security": security_from(asked["security"]),
        **asked["options"],
    }
    return guarded(Scheduler, "scheduler")(**options)


async def _serve(pipe: Pipe, scheduler: Any, asked: Message) -> None:
    from .credentials.desk import Desk
    from .retirement import Retirement
    from .telemetry import Telemetry

    retirement = Retirement(scheduler)
    reports = _Reports(pipe, scheduler, asked["minimum"])
    record = _Record(pipe, scheduler, Telemetry)
    desk = Desk(scheduler)
    desk.attach()
    jobs = (
        retirement.carry_out,
        reports.send,
        record.telemetry.look,
        record.hand_on,
        desk.keep,
    )
    beside = [asyncio.create_task(unharmed(it)) for it in jobs]
    told_to_stop = asyncio.create_task(_obey(pipe, retirement, reports))
    finished = asyncio.create_task(scheduler.finished())
    await asyncio.wait([told_to_stop, finished], return_when=asyncio.FIRST_COMPLETED)
    for task in (*beside, told_to_stop):
        task.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(scheduler.close(reason="shoal-stop"), _CLOSE_WITHIN_S)
    pipe.end(STOPPED)


async def _obey(pipe: Pipe, retirement: Any, reports: _Reports) -> None:
    """Return when told to stop."""
    while (message := await pipe.next())["op"] != "stop":
        if message["op"] == "retire":
            retirement.ask(message["names"], message["renew"])
            reports.minimum = message["minimum"]


class _Reports:
    def __init__(self, pipe: Pipe, scheduler: Any, minimum: int) -> None:
        self.minimum = minimum
        self._pipe = pipe
        self._scheduler = scheduler
        self._changed = asyncio.Event()
        scheduler.add_plugin(_plugin(self._changed), name="shoal")

    async def send(self) -> None:
        while True:
            self._changed.clear()
            self._pipe.tell("serving", **_state(self._scheduler, self.minimum))
            await asyncio.sleep(_LEAST_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _MOST_S - _LEAST_S)


class _Record:
    """Telemetry on its way to the agent: news at once, the rest with the next batch. What the pipe
    has no room for is dropped, and counted."""

    def __init__(self, pipe: Pipe, scheduler: Any, telemetry: Callable[..., Any]) -> None:
        self._pipe = pipe
        self._news = asyncio.Event()
        self.telemetry = telemetry(ring=self._news.set)
        self.telemetry.attach(scheduler)
        scheduler.add_plugin(self.telemetry, name=self.telemetry.name)

    async def hand_on(self) -> None:
        while True:
            self._news.clear()
            batch = self.telemetry.take()
            if any(batch.values()) and not self._pipe.hand_on("telemetry", **batch):
                self.telemetry.lost(len(batch["items"]) + batch["dropped"])
            await asyncio.sleep(_LEAST_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _MOST_S - _LEAST_S)


def _plugin(changed: asyncio.Event) -> Any:
    """Not `transition`: it is called for every task."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    from .retirement import shuffling

    def ring(*arguments: Any, **named: Any) -> None:
        changed.set()

    def spared(self: Any, scheduler: Any, workers: list[Any]) -> list[Any]:
        busy = shuffling(scheduler)
        return [ws for ws in workers if ws.address not in busy]

    hooks = ("add_worker", "remove_worker", "add_client", "remove_client", "update_graph")
    members = dict.fromkeys(hooks, ring) | {"valid_workers_downscaling": spared}
    return type("ShoalReports", (SchedulerPlugin,), members)()


def _state(scheduler: Any, minimum: int) -> Message:
    dashboard = scheduler.services.get("dashboard")
    host = getattr(dashboard, "address", "")
    return {
        "address": scheduler.address,
        "dashboard_address": f"{host}:{dashboard.port}" if dashboard else "",
        "clients": max(_people(scheduler), _watchers(scheduler)),
        "workers": len(scheduler.workers),
        "tasks": _unfinished(scheduler),
        "idle": scheduler.check_idle() is not None,
        "adaptive_target": scheduler.adaptive_target(),
        "closable": _closable(scheduler, minimum),
    }


def _people(scheduler: Any) -> int:
    return sum(not name.startswith(_NOT_PEOPLE) for name in scheduler.clients)


def _watchers(scheduler: Any) -> int:
    """A session with a Cluster object but no Client (yet) is somebody too: it subscribes to the
    workers' status (distributed.deploy.Cluster)."""
    observer = scheduler.plugins.get("worker-status")
    return int(observer is not None and not observer.bcomm.closed())


def _unfinished(scheduler: Any) -> int:
    waiting = ("released", "waiting", "no-worker", "queued", "processing")
    groups = scheduler.task_groups.values()
    return sum(group.states.get(state, 0) for group in groups for state in waiting)


def _closable(scheduler: Any, minimum: int) -> list[str]:
    """Cheapest to close first."""
    spare = len(scheduler.workers) - minimum
    if spare <= 0:
        return []
    return [str(name) for name in scheduler.workers_to_close(n=spare, attribute="name")]
