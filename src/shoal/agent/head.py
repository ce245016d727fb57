"""The head, put together: the agent on the scheduler's VM.

It answers the server and the workers, tends the Dask scheduler, keeps the stop rules and the dead
man's rule, and ends the cluster from inside. Nothing here depends on the server being there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from shoal.agent import asked, dead_man, host, kernel_log, losses, notices, preparation, stop_rules
from shoal.agent.clock import Clock
from shoal.agent.ending import End, Ending, until
from shoal.agent.head_desk import SAMPLES_EVERY_S, HeadDesk
from shoal.agent.head_routes import application
from shoal.agent.host import HostSampler
from shoal.agent.log_lines import AgentHandler, LogLines
from shoal.agent.messages import Retire, Serving, Telemetry
from shoal.agent.parting import Parting
from shoal.agent.standing import Standing
from shoal.agent.tender import Tender
from shoal.agent.vm import Vm
from shoal.trust import asgi_peer, dask_tls, identities
from shoal.trust.contexts import listener
from shoal.trust.identities import HeadIdentity
from shoal.trust.secret import Secret
from shoal.wire.boot import AGENT_PORT, BootDocument
from shoal.wire.environments import Manifest
from shoal.wire.ids import InstanceId
from shoal.wire.reports import Orders, StopNotice
from shoal.wire.specs import Role

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_NOTICE_WITHIN_S = 3.0  # for the server to fetch why the cluster ends
_SERVER_IS_THERE_S = 60.0  # it has spoken this recently
_WORKERS_WITHIN_S = 0.1  # for waiting workers to be told
_WORKERS_SPEAK_S = 0.1  # for what they still have to say
_SERVER_ASKS_S = 0.4  # for the server to fetch it


async def run(boot: BootDocument, vm: Vm, door: socket.socket, *, age_s: float) -> End:
    head = Head(boot, vm, Clock(), age_s)
    return await head.run(door)


class Head:
    def __init__(self, boot: BootDocument, vm: Vm, clock: Clock, age_s: float) -> None:
        self._boot = boot
        self._vm = vm
        self._clock = clock
        self._born_s = clock.monotonic_s() - age_s
        self._identity = HeadIdentity(boot.ca_pem, boot.certificate_pem, Secret(boot.key_pem))
        self._security = dask_tls.from_files(identities.write(self._identity, vm.identity))
        self._desk = HeadDesk(boot.cluster, self._identity, Secret(boot.join_secret), vm, clock)
        self._lines = LogLines(vm.name, vm.logs, self._desk.book.log, clock)
        logging.getLogger().addHandler(AgentHandler(self._lines))
        self._standing = Standing(vm.name, Role.SCHEDULER, clock)
        self._tender = Tender(
            vm,
            Role.SCHEDULER,
            self._standing,
            self._lines,
            supply=self._wheels,
            events=self,
            clock=clock,
        )
        self._ending = Ending()
        self._since = stop_rules.Since()
        self._serving_s = 0.0  # when the scheduler spoke last
        self._cluster_born_s: float | None = None

    async def run(self, door: socket.socket) -> End:
        self._ending.on_signals()
        self._desk.recall()
        end = await until(
            self._ending,
            self._farewell,
            self._serve(door),
            self._tender.run(),
            self._obey(),
            self._tell_own(),
            self._keep_rules(),
            self._sample_host(),
            self._heed_notices(),
            kernel_log.listen(self._vm, lambda text: self._lines.add("kernel", text)),
            self._settle_losses(),
        )
        _log.info("ended: %s", end.why)
        return end

    # -- what the tender tells ---------------------------------------------------------------

    def serving(self, told: Serving) -> None:
        first = self._desk.serving is None
        self._serving_s = self._clock.monotonic_s()
        self._desk.scheduler(told)
        if first:
            self._tell_retirements()

    def recorded(self, told: Telemetry) -> None:
        self._desk.recorded(told)

    def ended(self, parting: Parting, *, clean: bool) -> None:
        self._desk.scheduler(None)
        if clean:  # by a client's `shutdown()`, or by an option of the user's
            self._tender.halt()
            self._ending.decide(End("its Dask scheduler was shut down", rule="shutdown"))

    def restarting(self, why: str) -> None:
        """The scheduler's own end is told by its silence."""

    # -- the jobs ----------------------------------------------------------------------------

    async def _serve(self, door: socket.socket) -> None:
        config = asgi_peer.config(
            application(self._desk, self._vm),
            listener(self._identity, certificate_required=False),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=75,
        )
        await _Server(config).serve(sockets=[door])

    async def _obey(self) -> None:
        count = -1
        while True:
            count = await self._desk.ordered.after(count)
            orders = self._desk.orders
            if orders is None:
                continue
            if orders.stop:
                self._ending.decide(End(orders.stop))
                return
            self._note_age(orders)
            own_host = self._vm.port == AGENT_PORT
            self._tender.ask(
                asked.of_scheduler(orders, self._vm, self._security, own_host=own_host)
            )
            self._tell_retirements()

    def _note_age(self, orders: Orders) -> None:
        """Once: from then on the wall clock may jump."""
        if self._cluster_born_s is None:
            age_s = (self._clock.now() - orders.created_at).total_seconds()
            self._cluster_born_s = self._clock.monotonic_s() - max(age_s, 0.0)

    def _tell_retirements(self) -> None:
        if self._desk.orders is not None and self._desk.serving is not None:
            orders, taken_back = self._desk.orders, self._desk.taken_back
            names = dict.fromkeys((*orders.retire, *map(InstanceId, taken_back)))
            self._tender.tell_child(Retire(tuple(names), orders.minimum, self._desk.moving))

    async def _tell_own(self) -> None:
        count = -1
        while True:
            self._desk.own(self._standing)
            count = await self._standing.changed.after(count, SAMPLES_EVERY_S)

    async def _sample_host(self) -> None:
        sampler = HostSampler(self._vm, self._clock)
        while True:
            await asyncio.sleep(host.EVERY_S)
            self._desk.record([await asyncio.to_thread(sampler.sample)])

    async def _heed_notices(self) -> None:
        """A scheduler is no spot VM: nothing follows from a notice but that it is on record."""
        if self._vm.cloud:
            told = await notices.notice(self._vm.cloud, self._vm.name, self._vm.metadata)
            _log.warning("%s", told)

    async def _settle_losses(self) -> None:
        while True:
            await asyncio.sleep(losses.WAIT_S / 4)
            self._desk.settle_losses()

    async def _wheels(self, manifest: Manifest) -> None:
        """Until the server has sent those that this VM lacks."""
        while missing := preparation.missing_wheels(manifest, self._vm):
            self._desk.lacks(missing)
            await self._desk.wheels.after(self._desk.wheels.count)
        self._desk.lacks(())

    async def _keep_rules(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            end = self._rule_that_ends()
            if end is not None:
                self._ending.decide(end)
                return

    def _rule_that_ends(self) -> End | None:
        now_s, orders, told = self._clock.monotonic_s(), self._desk.orders, self._desk.serving
        silent_s = now_s - self._desk.server_heard_s
        # Once it has orders, a head needs nobody: the stop rules decide.
        unled_s = silent_s if orders is None else 0.0
        why = dead_man.verdict(self._boot, age_s=now_s - self._born_s, silent_s=unled_s)
        if why:
            return End(why, rule="dead_man")
        if orders is None or self._cluster_born_s is None:
            return None
        fresh = stop_rules.fresh(told, now_s - self._serving_s)
        self._since = stop_rules.since(self._since, fresh, now_s)
        found = stop_rules.verdict(
            orders.stop_rules,
            stop_rules.Situation(
                age_s=now_s - self._cluster_born_s,
                idle_s=_ago(self._since.idle_s, now_s),
                no_clients_s=_ago(self._since.no_clients_s, now_s),
                no_workers_s=_ago(self._since.no_workers_s, now_s),
                server_silent_s=silent_s,
                tasks=told.tasks if told else 0,
            ),
        )
        return End(found.why, rule=found.rule) if found else None

    # -- the end -----------------------------------------------------------------------------

    async def _farewell(self, end: End) -> None:
        desk = self._desk
        if end.rule:
            await self._notify_server(end)
        if end.ends_cluster:
            desk.stop_workers(end.why)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tender.stop())
            group.create_task(self._workers_told())
        if end.ends_cluster:
            await self._last_words()

    async def _notify_server(self, end: End) -> None:
        desk = self._desk
        told = desk.stop_told.count
        desk.stop(StopNotice(end.rule, end.why, self._clock.now()))
        if self._clock.monotonic_s() - desk.server_heard_s < _SERVER_IS_THERE_S:
            await desk.stop_told.after(told, _NOTICE_WITHIN_S)

    async def _workers_told(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WORKERS_WITHIN_S):
                while self._desk.untold():
                    await self._desk.told.after(self._desk.told.count)

    async def _last_words(self) -> None:
        """What the workers still had to say reaches the server, if it listens."""
        desk = self._desk
        if self._clock.monotonic_s() - desk.server_heard_s > _SERVER_IS_THERE_S:
            return
        await asyncio.sleep(_WORKERS_SPEAK_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SERVER_ASKS_S):
                while desk.acknowledged < desk.book.cursor:
                    await desk.asked.after(desk.asked.count)


class _Server(uvicorn.Server):
    """Signals are the agent's own affair."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _ago(since_s: float | None, now_s: float) -> float | None:
    return None if since_s is None else now_s - since_s
