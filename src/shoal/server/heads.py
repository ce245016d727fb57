"""The server's conversation with each cluster's head: it dials, tells orders, takes reports.

One attendant per running cluster: `_tell` sends the whole asked state whenever it differs from what
was sent last; `_listen` long-polls for what changed. Everything that matters is in the store: an
attendant can be killed at any point and another one, here or on another replica, goes on. A head
that does not answer is dialled again; whether it is dead is decided by the plan, never here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import httpx2
import msgspec

from shoal.core.records import EndKind
from shoal.errors import ShoalError
from shoal.server import news
from shoal.server.desk import Desk
from shoal.server.names import NAMES_VMS_ITSELF, Names, seen_from_outside
from shoal.store import attendance, clusters, observations, samples
from shoal.store.attendance import Attended
from shoal.trust import authority
from shoal.trust.contexts import dialer
from shoal.trust.names import Role, host_name
from shoal.wire.bundle import Bare, Bundle
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import HeadReport, Orders, OrdersTaken
from shoal.wire.specs import Cloud

_log = logging.getLogger(__name__)

LONG_POLL_S = 20.0
_FIRST_DELAY_S, _MOST_DELAY_S = 0.03, 2.0
_BUNDLE_S = 120.0  # for a head to download its agent, or to take a file of it


async def attend_all(desk: Desk) -> None:
    """Keep one attendant for each cluster whose head has an address, until told to stop."""
    running: dict[ClusterId, tuple[str, asyncio.Task[None]]] = {}
    seen = -1
    async with asyncio.TaskGroup() as group:
        while not desk.stopping.is_set():
            wanted = {it.cluster.id: it for it in await _attended(desk)}
            for cluster, (address, task) in list(running.items()):
                if task.done() or cluster not in wanted or wanted[cluster].address != address:
                    task.cancel()
                    del running[cluster]
            for cluster, it in wanted.items():
                if cluster not in running:
                    attendant = _Attendant(desk, it)
                    running[cluster] = (it.address, group.create_task(_attend(attendant)))
            seen = await desk.wanted.after(seen, timeout_s=2.0)
        for _, task in running.values():
            task.cancel()


async def _attend(attendant: _Attendant) -> None:
    """What fails in one conversation ends it alone: another attendant begins anew."""
    try:
        await attendant.attend()
    except Exception:
        _log.exception("%r: attending it failed; it is attended anew", attendant)
        await asyncio.sleep(_MOST_DELAY_S)


async def _attended(desk: Desk) -> list[Attended]:
    try:
        return await desk.database.run(attendance.heads)
    except ShoalError as error:
        _log.warning("cannot read which heads to attend: %s", error)
        return []


class _Early(msgspec.Struct, frozen=True):
    """What a VM said before the record knew it by its name."""

    report: HeadReport  # of it alone
    heard_at: datetime


class _Attendant:
    def __init__(self, desk: Desk, attended: Attended) -> None:
        self._desk = desk
        self._cluster = attended.cluster.id
        self._workspace = attended.cluster.workspace
        self._attended = attended
        self._address = attended.address
        self._names = Names({})
        self._unbound: dict[InstanceId, _Early] = {}
        self._cloud = attended.cluster.spec.cloud
        self._bare = attended.cluster.spec.cloud not in (Cloud.LOCAL, Cloud.SIM)
        self._context = _context(desk, attended)
        self._met = asyncio.Event()  # the head has answered once
        self._sent: Orders | None = None
        self._missing: tuple[str, ...] = ()
        self._needs_wheels = asyncio.Event()

    def __repr__(self) -> str:
        return self._cluster

    async def attend(self) -> None:
        client = httpx2.AsyncClient(
            base_url=f"https://{self._address}",
            verify=self._context,
            timeout=httpx2.Timeout(10.0, read=LONG_POLL_S + 10.0),
            trust_env=False,
        )
        async with client, asyncio.TaskGroup() as group:
            if self._bare:
                await self._bring_agent(client)
            group.create_task(self._tell(client))
            group.create_task(self._listen(client))
            group.create_task(self._supply(client))

    async def _bring_agent(self, client: httpx2.AsyncClient) -> None:
        """Until an agent answers: a VM of a cloud begins with the bootstrap alone."""
        bundles, bundle = self._desk.bundles, Bundle(())
        delay = _FIRST_DELAY_S
        while True:
            try:
                answer = await self._call(client, "GET", "/v1/bundle")
                if answer.status_code == 204:
                    return
                bare = msgspec.json.decode(answer.content, type=Bare)
                bundle = await asyncio.to_thread(bundles.of, bare.python, bare.machine)
                if not bare.told:
                    content = msgspec.json.encode(bundle)
                    answer = await self._call(
                        client, "PUT", "/v1/bundle", content=content, timeout=_BUNDLE_S
                    )
                    bare = msgspec.json.decode(answer.content, type=Bare)
                for sha256 in bare.lacks:
                    path = await asyncio.to_thread(bundles.file, bundle, sha256)
                    content = await asyncio.to_thread(path.read_bytes)
                    await self._call(
                        client, "PUT", f"/v1/bundle/{sha256}", content=content, timeout=_BUNDLE_S
                    )
                delay = _FIRST_DELAY_S
            except (httpx2.HTTPError, msgspec.MsgspecError) as error:
                _log.debug("%s: no agent yet: %s", self._cluster, error)
            except ShoalError as error:
                _log.error("%s: its agent cannot be brought: %s", self._cluster, error)
                delay = _MOST_DELAY_S
            await asyncio.sleep(delay)
            delay = min(delay * 1.3, _MOST_DELAY_S)

    async def _call(
        self, client: httpx2.AsyncClient, method: str, path: str, **how: object
    ) -> httpx2.Response:
        name = host_name(Role.HEAD, self._cluster)
        answer = await client.request(
            method,
            path,
            extensions={"sni_hostname": name},
            **how,  # type: ignore[arg-type]
        )
        answer.raise_for_status()
        return answer

    async def _tell(self, client: httpx2.AsyncClient) -> None:
        seen = -1
        delay = _FIRST_DELAY_S
        while True:
            orders = await self._orders()
            if orders is None:
                return
            await self._record_unbound()
            if self._sent is None or not _same(orders, self._sent):
                try:
                    answer = await self._call(
                        client, "PUT", "/v1/orders", content=msgspec.json.encode(orders)
                    )
                except httpx2.HTTPError as error:
                    _log.debug("%s: orders not delivered: %s", self._cluster, error)
                    await asyncio.sleep(delay)
                    delay = min(delay * 1.3, _MOST_DELAY_S)
                    continue
                self._sent, delay = orders, _FIRST_DELAY_S
                self._met.set()
                taken = msgspec.json.decode(answer.content, type=OrdersTaken)
                self._lacks(taken.missing_wheels)
            seen = await self._desk.wanted.after(seen, timeout_s=2.0)

    async def _orders(self) -> Orders | None:
        try:
            orders = await self._desk.database.run(attendance.orders, self._cluster)
            await self._know(orders.retire)
            mirror = self._desk.settings.python_mirror
            return msgspec.structs.replace(self._names.ordered(orders), python_mirror=mirror)
        except ShoalError as error:
            _log.warning("%s: %s", self._cluster, error)
            return None

    async def _listen(self, client: httpx2.AsyncClient) -> None:
        cursor = 0
        head_started_at = None
        delay = _FIRST_DELAY_S
        await self._met.wait()
        while True:
            query = {"cursor": cursor, "wait_s": LONG_POLL_S if head_started_at else 0}
            try:
                answer = await self._call(client, "GET", "/v1/report", params=query)
                report = msgspec.json.decode(answer.content, type=HeadReport)
            except (httpx2.HTTPError, msgspec.MsgspecError) as error:
                _log.debug("%s: no report: %s", self._cluster, error)
                await asyncio.sleep(delay)
                delay = min(delay * 1.3, _MOST_DELAY_S)
                continue
            delay = _FIRST_DELAY_S
            head_started_at, cursor = report.head_started_at, report.cursor
            await self._take(report)

    async def _know(self, names: Collection[str]) -> None:
        """The names of VMs, read again where these are not known yet."""
        if self._cloud in NAMES_VMS_ITSELF and not self._names.know(names):
            self._names = Names(await self._desk.database.run(attendance.bound, self._cluster))

    async def _record_unbound(self) -> None:
        """What VMs said before the record knew them, once it does."""
        if not self._unbound:
            return
        try:
            await self._know(self._unbound)
            for name, early in list(self._unbound.items()):
                if self._names.know([name]):
                    report = self._names.told(early.report)
                    await self._desk.database.run(observations.record, report, early.heard_at)
                    del self._unbound[name]
        except ShoalError as error:
            _log.warning("%s: what a VM said early was not recorded: %s", self._cluster, error)

    async def _take(self, report: HeadReport) -> None:
        desk = self._desk
        now = desk.clock()
        try:
            await self._know([it.instance for it in report.vms])
            for name, vm in self._names.unknown(report.vms).items():
                alone = HeadReport(
                    self._cluster, report.head_started_at, 0, (vm,), sent_at=report.sent_at
                )
                self._unbound[name] = _Early(alone, now)
            report = seen_from_outside(self._names.told(report), self._attended)
            told = await desk.database.run(observations.record, report, now)
            if report.logs or report.telemetry or report.logs_dropped or report.telemetry_dropped:
                await desk.database.run_samples(
                    samples.take, self._cluster, self._workspace, report, now
                )
            if report.stop:
                told += await desk.database.run(
                    clusters.end,
                    self._cluster,
                    EndKind.RULE,
                    report.stop.why,
                    now,
                    Event(
                        now,
                        EventKind.CLUSTER_ENDING,
                        "head",
                        report.stop.why,
                        cluster=self._cluster,
                        after=report.stop.rule,
                    ),
                )
        except ShoalError as error:
            _log.warning("%s: a report was not recorded: %s", self._cluster, error)
            return
        self._lacks(report.missing_wheels)
        if self._sent and report.orders_version < self._sent.version:
            self._sent = None  # the head began anew, and has not heard
        lost = report.telemetry_dropped + report.logs_dropped > 0
        about = news.subjects(self._cluster, report.telemetry, logs=bool(report.logs), lost=lost)
        if told or about:
            await desk.told.ring(*about)
        if told:
            await desk.wanted.ring()

    def _lacks(self, missing: tuple[str, ...]) -> None:
        if missing:
            self._missing = missing
            self._needs_wheels.set()

    async def _supply(self, client: httpx2.AsyncClient) -> None:
        """Send the head the wheels that it says it lacks; it says so again if one was lost."""
        while True:
            await self._needs_wheels.wait()
            self._needs_wheels.clear()
            for sha256 in self._missing:
                wheel = self._desk.settings.state.wheels_of(self._workspace) / sha256
                try:
                    content = await asyncio.to_thread(Path.read_bytes, wheel)
                    await self._call(client, "PUT", f"/v1/wheels/{sha256}", content=content)
                except (OSError, httpx2.HTTPError) as error:
                    _log.warning("%s: wheel %s not delivered: %s", self._cluster, sha256, error)


def _same(orders: Orders, sent: Orders) -> bool:
    """The version rises with every event; only what is asked counts."""
    return msgspec.structs.replace(orders, version=sent.version) == sent


def _context(desk: Desk, attended: Attended) -> ssl.SSLContext:
    cluster = attended.cluster
    return dialer(authority.server_identity(desk.key, cluster.id, cluster.created_at))
