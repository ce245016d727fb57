"""A worker's agent, put together: it joins, does what the head says, and tells how that goes.

It listens nowhere. When the head is silent it goes on with what runs, and tries again; when that
has lasted as long as the boot document allows, it ends its VM.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from shoal.agent import asked, dead_man, host, kernel_log, notices, preparation
from shoal.agent.bell import Bell
from shoal.agent.clock import Clock
from shoal.agent.ending import End, Ending, until
from shoal.agent.head_line import HeadLine
from shoal.agent.host import HostSampler
from shoal.agent.log_lines import AgentHandler, LogLines, Outbox
from shoal.agent.messages import Serving, Telemetry
from shoal.agent.parting import Parting
from shoal.agent.sample_box import SampleBox
from shoal.agent.standing import Standing
from shoal.agent.tender import Tender
from shoal.agent.vm import Vm
from shoal.errors import ShoalError
from shoal.trust import dask_tls, identities, joining
from shoal.trust.contexts import dialer, joining_dialer
from shoal.trust.dask_tls import SecurityArguments
from shoal.trust.identities import WorkerIdentity
from shoal.wire.boot import BootDocument
from shoal.wire.environments import Manifest
from shoal.wire.reports import JoinRequest, WorkerBeat, WorkerOrders
from shoal.wire.specs import Role
from shoal.wire.telemetry import Loss, WorkerEvent

_log = logging.getLogger(__name__)

_FIRST_DELAY_S, _MOST_DELAY_S, _SLOWER = 0.05, 1.0, 1.3
_BEAT_EVERY_S = 5.0
_LOOK_S = 0.25  # for lines to send; at most so many beats a second
_LINES_A_BEAT = 500
_POLL_S = 20.0
_LAST_BEAT_S = 0.1


async def run(boot: BootDocument, vm: Vm, *, age_s: float) -> End:
    return await Worker(boot, vm, Clock(), age_s).run()


class Worker:
    def __init__(self, boot: BootDocument, vm: Vm, clock: Clock, age_s: float) -> None:
        self._boot = boot
        self._vm = vm
        self._clock = clock
        self._born_s = clock.monotonic_s() - age_s
        self._heard_s = clock.monotonic_s()
        self._outbox = Outbox()
        self._telemetry = SampleBox()
        self._lines = LogLines(vm.name, vm.logs, self._outbox.put, clock)
        logging.getLogger().addHandler(AgentHandler(self._lines))
        self._standing = Standing(vm.name, Role.WORKER, clock)
        self._tender = Tender(
            vm,
            Role.WORKER,
            self._standing,
            self._lines,
            supply=self._wheels,
            events=self,
            clock=clock,
        )
        self._ending = Ending()
        self._orders: WorkerOrders | None = None
        self._line: HeadLine | None = None
        self._joined = Bell()

    async def run(self) -> End:
        self._ending.on_signals()
        end = await until(
            self._ending,
            self._farewell,
            self._tender.run(),
            self._speak(),
            self._keep_rules(),
            self._sample_host(),
            self._heed_notices(),
            kernel_log.listen(self._vm, lambda text: self._lines.add("kernel", text)),
        )
        _log.info("ended: %s", end.why)
        return end

    # -- what the tender tells ---------------------------------------------------------------

    def serving(self, told: Serving) -> None:
        raise AssertionError("a worker's child is no scheduler")

    def recorded(self, told: Telemetry) -> None:
        raise AssertionError("a worker's child is no scheduler")

    def ended(self, parting: Parting, *, clean: bool) -> None:
        """The tender starts another one, and reports it."""
        self._lost(parting.loss, parting.why)

    def restarting(self, why: str) -> None:
        self._lost(Loss.RESTARTED, why)

    def _lost(self, reason: Loss, why: str) -> None:
        now, address = self._clock.now(), self._standing.report.dask_address
        event = WorkerEvent(now, self._vm.name, address, added=False, reason=reason, detail=why)
        self._telemetry.put(event)

    # -- the jobs ----------------------------------------------------------------------------

    async def _speak(self) -> None:
        identity = await self._join()
        security = dask_tls.from_files(identities.write(identity, self._vm.identity))
        async with HeadLine(self._boot, dialer(identity)) as line, asyncio.TaskGroup() as group:
            self._line = line
            self._joined.ring()
            group.create_task(self._beat(line))
            await self._obey(line, security)

    async def _join(self) -> WorkerIdentity:
        made = joining.new_request(self._vm.name, self._boot.cluster)
        request = JoinRequest(self._vm.name, self._boot.join_secret, made.csr_pem)
        delay_s = _FIRST_DELAY_S
        async with HeadLine(self._boot, joining_dialer(self._boot.ca_pem)) as line:
            while True:
                try:
                    answer = await line.join(request)
                    break
                except ShoalError as error:
                    _log.debug("not joined: %s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * _SLOWER, _MOST_DELAY_S)
        self._heard()
        self._orders = answer.orders
        return WorkerIdentity(self._boot.ca_pem, answer.certificate_pem, made.key_pem)

    async def _obey(self, line: HeadLine, security: SecurityArguments) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            if self._orders is not None:
                self._follow(self._orders, security)
            version = self._orders.version if self._orders else 0
            try:
                orders = await line.orders(version, _POLL_S)
            except ShoalError as error:
                _log.debug("no orders: %s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * _SLOWER, _MOST_DELAY_S)
                continue
            self._heard()
            delay_s = _FIRST_DELAY_S
            self._orders = orders or self._orders

    def _follow(self, orders: WorkerOrders, security: SecurityArguments) -> None:
        if orders.stop:
            self._ending.decide(End(orders.stop))
            return
        if orders.retire:
            self._standing.draining()
        self._tender.ask(asked.of_worker(orders, self._vm, security))

    async def _beat(self, line: HeadLine) -> None:
        """On news at once, lines after a moment, and else every few seconds."""
        told, last_s = -1, 0.0
        while True:
            count = self._standing.changed.count
            due = self._clock.monotonic_s() - last_s >= _BEAT_EVERY_S
            if count != told or due or len(self._outbox) or self._telemetry.urgent:
                if await self._send_beat(line):
                    told, last_s = count, self._clock.monotonic_s()
                else:
                    await asyncio.sleep(_LOOK_S)
            await self._standing.changed.after(count, _LOOK_S)

    async def _send_beat(self, line: HeadLine) -> bool:
        lines, dropped = self._outbox.take(_LINES_A_BEAT)
        items, unrecorded = self._telemetry.take()
        beat = WorkerBeat(self._standing.report, lines, dropped, items, unrecorded)
        try:
            await line.beat(beat)
        except ShoalError as error:
            _log.debug("no beat: %s", error)
            self._outbox.give_back(lines, dropped)
            self._telemetry.give_back(items, unrecorded)
            return False
        self._heard()
        return True

    async def _sample_host(self) -> None:
        sampler = HostSampler(self._vm, self._clock)
        while True:
            await asyncio.sleep(host.EVERY_S)
            self._telemetry.put(await asyncio.to_thread(sampler.sample))

    async def _wheels(self, manifest: Manifest) -> None:
        """From the head, which may still be waiting for them itself."""
        await self._joined.after(0)
        assert self._line is not None
        for sha256 in preparation.missing_wheels(manifest, self._vm):
            delay_s = _FIRST_DELAY_S
            while not (self._vm.wheels / sha256).exists():
                try:
                    await self._line.wheel(sha256, self._vm.wheels)
                except ShoalError as error:
                    _log.debug("%s", error)
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * _SLOWER, _MOST_DELAY_S)

    async def _heed_notices(self) -> None:
        """The head lets the Dask worker go at once, its data first."""
        if self._vm.cloud:
            told = await notices.notice(
                self._vm.cloud, self._vm.name, self._vm.metadata, self._warned
            )
            _log.warning("%s", told)
            self._standing.noticed(told)

    def _warned(self, warning: str) -> None:
        """The server starts no other VM in such a place."""
        _log.warning("this VM %s", warning)
        self._standing.warned(warning)

    async def _keep_rules(self) -> None:
        while True:
            now_s = self._clock.monotonic_s()
            why = dead_man.verdict(
                self._boot, age_s=now_s - self._born_s, silent_s=now_s - self._heard_s
            )
            if why:
                self._ending.decide(End(why, rule="dead_man"))
                return
            await asyncio.sleep(1.0)

    def _heard(self) -> None:
        self._heard_s = self._clock.monotonic_s()

    # -- the end -----------------------------------------------------------------------------

    async def _farewell(self, end: End) -> None:
        """What there is to say is said first: the head does not wait for long."""
        await self._say_last()
        await self._tender.stop()
        await self._say_last()

    async def _say_last(self) -> None:
        if self._line is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BEAT_S):
                    await self._send_beat(self._line)
