"""The recording inside a Dask scheduler: its hooks, and a batch of what is new now and then.

It may never slow or stop a computation. So: nothing is done for a task that succeeds (the hook for
transitions asks one question); counters are read every few seconds, less often when reading them
takes long; what is not fetched is bounded, the oldest go, and their number is told. A hook that
fails is logged by Dask and harms nothing.

Runs in the user's environment: the standard library, dask and distributed only. It is also sent
to schedulers that Shoal did not start (shoal.client.watching), by value.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from . import samples
from .beside import unharmed
from .computations import Computations
from .connections import Connections
from .failures import Failed, Failures
from .graphs import Arriving
from .prefix_times import PrefixTimes
from .shuffles import Shuffles
from .values import Item, moment, text

NAME = "shoal-telemetry"
_MOST_ITEMS = 5_000  # that wait to be fetched
EVERY_S = 2.0
_AT_MOST_SHARE = 0.005  # of the scheduler's time that looking may take
_TICK_S = 0.1
_USES_EVERY_S = 5.0
_EXPLAINED_WITHIN_S = 2.0  # a nanny's word about a loss may come after it
_VAGUE = ("connection-lost", "closed")
_LOSSES = {
    "retire": "retired",
    "shoal-": "retired",
    "restart": "restarted",
    "nanny": "closed",
}


class Telemetry(SchedulerPlugin):  # type: ignore[misc]  # Any, where Dask has no types
    """`hosts`: sample workers too, for a cluster without agents. `ring`: called when something
    happened that should be shown at once."""

    name = NAME

    def __init__(
        self,
        *,
        hosts: bool = False,
        ring: Callable[[], None] = lambda: None,
        every_s: float = EVERY_S,
        at_most_share: float = _AT_MOST_SHARE,
    ) -> None:
        self._every_s, self._at_most_share = every_s, at_most_share
        self._hosts = hosts
        self._ring = ring
        self._items: deque[Item] = deque()
        self._uses: dict[str, Item] = {}
        self._dropped = 0
        self._names: dict[str, tuple[str, int, int]] = {}  # address -> name, threads, memory limit
        self._killed: dict[str, Item] = {}  # address -> what a nanny said when it ended it
        self._unexplained: dict[str, tuple[float, Item]] = {}  # address -> a loss, until then
        self._leaving: dict[str, Item] = {}  # address -> what Dask said of its removal

    async def start(self, scheduler: Any) -> None:
        self.attach(scheduler)
        self._looking = asyncio.ensure_future(unharmed(self.look))  # until `close`

    async def close(self) -> None:
        looking = getattr(self, "_looking", None)
        if looking is not None:
            looking.cancel()

    def attach(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._computations = Computations(scheduler)
        self._times = PrefixTimes(scheduler)
        self._failures = Failures()
        self._shuffles = Shuffles(scheduler)
        self._connections = Connections(scheduler, self._happened)
        for client in list(scheduler.clients):
            self._connections.came(client)
        self._ticks = samples.Ticks()
        self._sent_bytes, self._looked_at = 0.0, time.time()
        for ws in list(scheduler.workers.values()):
            self._remember(ws)
        self._listen_to_failures(scheduler.stream_handlers)
        self._graphs = Arriving(scheduler.stream_handlers, self._computations.graph)

    # -- what is new -------------------------------------------------------------------------

    def take(self) -> Item:
        """A batch: what has come up since the last one."""
        self._tell_unexplained(time.monotonic())
        taken = {"items": list(self._items), "uses": self._uses, "dropped": self._dropped}
        self._items.clear()
        self._uses, self._dropped = {}, 0
        return taken

    def lost(self, items: int) -> None:
        """A batch could not be handed on."""
        self._dropped += items

    async def look(self) -> None:
        """Until cancelled: sample, and find what changed."""
        uses_at = 0.0
        while True:
            begun = time.perf_counter()
            now = time.time()
            self.look_once(now)
            if now - uses_at >= self._uses_every_s():
                uses_at = now
                if self._hosts:
                    self._put(samples.of_hosts(self._scheduler, now))
                else:
                    self._uses = samples.uses(self._scheduler)
            spent_s = time.perf_counter() - begun
            await self._rest(max(self._every_s, spent_s / self._at_most_share))

    def look_once(self, now: float) -> None:
        self._put(self._times.changed(self._computations.live(now)))
        self._put([self._sample(now)])
        self._put(list(self._computations.changed(now)))
        self._put(self._failures.changed())
        self._put(self._shuffles.changed(now))
        self._dropped += self._computations.dropped
        self._computations.dropped = 0

    def _sample(self, now: float) -> Item:
        passed_s = max(now - self._looked_at, 0.001)
        sent = self._times.sent_bytes - self._sent_bytes
        self._sent_bytes, self._looked_at = self._times.sent_bytes, now
        return samples.of_scheduler(
            self._scheduler, now, self._ticks.take(), max(sent, 0.0) / passed_s
        )

    def _uses_every_s(self) -> float:
        """Less often where there are many: a thousand workers are 40 samples a second."""
        return max(_USES_EVERY_S, len(self._scheduler.workers) / 40)

    async def _rest(self, seconds: float) -> None:
        """In short naps: each that lasts too long is a stall of the event loop."""
        until = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < until:
            await asyncio.sleep(_TICK_S)
            self._ticks.late(time.perf_counter() - begun - _TICK_S)

    def _put(self, items: list[Item]) -> None:
        self._items.extend(items)
        while len(self._items) > _MOST_ITEMS:
            self._items.popleft()
            self._dropped += 1

    # -- what Dask tells ---------------------------------------------------------------------

    def transition(self, key: Any, start: str, finish: str, *arguments: Any, **named: Any) -> None:
        """Called for every task; a task that fails with a word of its own is told by its worker
        (`_told_of_failure`), one that was given up because its workers died only here."""
        if finish == "erred" and "exception" in named and not named.get("exception_text"):
            self._given_up(key, named.get("worker") or "")

    def update_graph(self, scheduler: Any, *, tasks: list[Any] | None = None, **named: Any) -> None:
        self._computations.asked(tasks or ())

    def log_event(self, topic: str, message: Any) -> None:
        if topic not in ("all", "worker-restart-memory") or not isinstance(message, dict):
            return
        worker = str(message.get("worker", ""))
        if topic == "worker-restart-memory":  # distributed/worker_memory.py, NannyMemoryManager
            self._ended_by_its_nanny(worker, message)
        elif message.get("action") == "remove-worker":
            self._leaving[worker] = message

    def add_worker(self, scheduler: Any, worker: str) -> None:
        ws = scheduler.workers.get(worker)
        if ws is None:
            return
        self._remember(ws)
        self._happened(
            {
                "item": "worker",
                "at": moment(time.time()),
                "worker": samples.worker_name(ws),
                "address": text(worker),
                "added": True,
                "threads": ws.nthreads,
                "memory_limit_bytes": int(ws.memory_limit or 0),
            }
        )

    def add_client(self, scheduler: Any, client: str) -> None:
        asyncio.get_running_loop().call_soon(self._connections.came, client)

    def remove_client(self, scheduler: Any, client: str) -> None:
        self._connections.went(client)
        self._graphs.forget(client)

    def remove_worker(self, scheduler: Any, worker: str, **named: Any) -> None:
        name, threads, limit = self._names.pop(worker, (text(worker), 0, 0))
        told = self._leaving.pop(worker, {})
        stimulus = str(named.get("stimulus_id", told.get("stimulus_id", "")))
        lost = len(told.get("lost-computed-tasks", ())) + len(told.get("lost-scattered-tasks", ()))
        reason = _reason(stimulus, expected=bool(told.get("expected")))
        self._computations.look_at_all()
        loss = {
            "item": "worker",
            "at": moment(time.time()),
            "worker": name,
            "address": text(worker),
            "added": False,
            "reason": reason,
            "threads": threads,
            "memory_limit_bytes": limit,
            "tasks_lost": lost,
            "tasks_interrupted": len(told.get("processing-tasks", ())),
        }
        if (killed := self._killed.pop(worker, None)) is not None:
            self._happened(_for_memory(loss, killed))
        elif self._hosts and reason in _VAGUE:  # no agent can say more, but a nanny may
            self._unexplained[worker] = (time.monotonic() + _EXPLAINED_WITHIN_S, loss)
        else:
            self._happened(loss)

    def _ended_by_its_nanny(self, worker: str, told: Item) -> None:
        """The word and the loss travel on two connections: either may be first."""
        _, loss = self._unexplained.pop(worker, (0.0, None))
        if loss is not None:
            self._happened(_for_memory(loss, told))
        elif worker in self._names:
            self._killed[worker] = told

    def _tell_unexplained(self, now_s: float) -> None:
        for worker, (until_s, loss) in list(self._unexplained.items()):
            if until_s <= now_s:
                del self._unexplained[worker]
                self._happened(loss)

    def _remember(self, ws: Any) -> None:
        known = (samples.worker_name(ws), ws.nthreads, int(ws.memory_limit or 0))
        self._names[ws.address] = known

    def _happened(self, item: Item) -> None:
        self._put([item])
        self._ring()

    # -- failures ----------------------------------------------------------------------------

    def _listen_to_failures(self, handlers: dict[str, Any]) -> None:
        """A worker's word that a task failed: Dask forgets it where the task is tried again. Dask's
        own handler is called first, and in any case."""
        original = handlers.get("task-erred")
        if original is None:
            return

        def handle(**named: Any) -> Any:
            task = self._scheduler.tasks.get(named.get("key"))
            if task is not None and task.state == "processing":
                later = asyncio.get_running_loop().call_soon
                later(self._told_of_failure, task, named, task.retries > 0)
            return original(**named)

        handlers["task-erred"] = handle

    def _told_of_failure(self, task: Any, told: Item, retried: bool) -> None:
        self._failed(
            task,
            told.get("worker", ""),
            told.get("exception_text") or "Exception()",
            told.get("traceback_text") or "",
            retried=retried,
        )

    def _given_up(self, key: Any, worker: str) -> None:
        task = self._scheduler.tasks.get(key)
        if task is not None:
            words = f"{task.suspicious} workers died while they ran it"
            self._failed(task, worker, f"KilledWorker({words})", "", retried=False)

    def _failed(
        self, task: Any, worker: str, exception: str, traceback: str, *, retried: bool
    ) -> None:
        name, *_ = self._names.get(worker, (worker,))
        computations = self._computations
        self._failures.note(
            Failed(
                computation=computations.newest() if retried else computations.erred(),
                key=task.key,
                prefix=task.prefix.name,
                worker=name,
                exception=exception,
                traceback=traceback,
                retried=retried,
            ),
            time.time(),
        )
        if self._failures.worth_telling():
            self._put(self._failures.changed())
            self._ring()


def _for_memory(loss: Item, told: Item) -> Item:
    used, limit = int(told.get("rss", 0)), loss["memory_limit_bytes"]
    of = f" of {limit / 2**20:.0f} MiB" if limit else ""
    words = f"its nanny ended it: it used {used / 2**20:.0f} MiB{of}"
    return {**loss, "reason": "killed-for-memory", "detail": words}


def _reason(stimulus: str, *, expected: bool) -> str:
    """Why, as far as the scheduler knows; the agent on that VM may know better."""
    for begin, reason in _LOSSES.items():
        if begin in stimulus:
            return reason
    return "closed" if expected else "connection-lost"
