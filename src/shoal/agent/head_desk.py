"""At the head: what the server ordered, what each worker is told, what there is to report.

The one place where the three meet: orders come in from the server and are kept for an agent that is
restarted; each worker's part of them is derived, and its long poll answered when that part changes;
beats and the scheduler's state become reports. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from shoal.agent.bell import Bell
from shoal.agent.clock import Clock
from shoal.agent.losses import Losses
from shoal.agent.messages import Serving, Telemetry
from shoal.agent.report_book import ReportBook
from shoal.agent.standing import Standing
from shoal.agent.vm import Vm
from shoal.errors import NotAllowed
from shoal.trust.identities import HeadIdentity
from shoal.trust.joining import check_join_secret, sign
from shoal.trust.secret import Secret
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import (
    BeatAnswer,
    HeadReport,
    JoinAnswer,
    JoinRequest,
    Orders,
    SchedulerReport,
    StopNotice,
    WorkerBeat,
    WorkerOrders,
)
from shoal.wire.telemetry import HostSample, Item, Loss, TaskException, WorkerEvent, WorkerUse

_log = logging.getLogger(__name__)

SAMPLES_EVERY_S = 5.0  # a reader that waits for changes is told mere samples this often
_ANSWERS_APART_S = 0.04
_SILENT_S = 60.0  # whoever was to begin anew and says nothing for so long is not waited for
_FORGET_S = 300.0  # a host that was not sampled for so long is not counted
_SAMPLES_A_SECOND = 40  # of hosts; what comes more often is not recorded

_EC2 = re.compile(r"i-[0-9a-f]{8,17}")  # AWS names VMs, not we


class Post:
    """One worker's orders; `version` differs whenever they do."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.content: WorkerOrders | None = None
        self.changed = Bell()
        self.told = -1  # the version it has been given


class HeadDesk:
    def __init__(
        self, cluster: ClusterId, identity: HeadIdentity, secret: Secret, vm: Vm, clock: Clock
    ) -> None:
        self.orders: Orders | None = None
        self.ordered = Bell()
        self._news = Bell()  # something a waiting server should hear now
        self._news_at = 0  # the book's cursor when it rang last
        self._answered_s = 0.0
        self.wheels = Bell()
        self.missing: tuple[str, ...] = ()
        self.serving: Serving | None = None
        self.book = ReportBook(cluster, clock.now())
        self.server_heard_s = clock.monotonic_s()
        self.acknowledged = 0  # what the server has asked for more after
        self.asked = Bell()  # the server has asked for a report
        self.stop_told = Bell()  # a report with the stop notice has been taken
        self.told = Bell()  # a worker has been given its orders
        self._cluster = cluster
        self._identity = identity
        self._secret = secret
        self._vm = vm
        self._clock = clock
        self._first_version = int(clock.now().timestamp() * 1000)
        self.moving: tuple[InstanceId, ...] = ()  # workers that wait to begin anew
        self.taken_back: dict[str, str] = {}  # by the cloud, soon: names of VMs, and what it says
        self._posts: dict[InstanceId, Post] = {}
        self._stop = ""
        self._idle_since: datetime | None = None
        self._uses: dict[str, WorkerUse] = {}
        self._losses = Losses()
        self._sampled: dict[InstanceId, float] = {}

    # -- the server --------------------------------------------------------------------------

    def take(self, orders: Orders) -> None:
        if self.orders is not None and orders.version < self.orders.version:
            return  # an older one that was under way for long
        if orders != self.orders:
            self.orders = orders
            _keep(self._vm.orders_file, orders)
            self._look_who_moves()
            self.ordered.ring()
            self._refresh()

    def recall(self) -> None:
        """Go on with what an earlier start of this agent was told."""
        try:
            text = self._vm.orders_file.read_bytes()
            orders = msgspec.json.decode(text, type=Orders)
        except (OSError, msgspec.MsgspecError):
            return
        if orders.cluster == self._cluster and not orders.stop:
            _log.info("going on with orders %d", orders.version)
            self.take(orders)

    def heard_server(self) -> None:
        self.server_heard_s = self._clock.monotonic_s()

    def report(self, cursor: int) -> HeadReport:
        version = self.orders.version if self.orders else 0
        self.acknowledged = max(self.acknowledged, cursor)
        self.asked.ring()
        report = self.book.since(cursor, version, self.missing)
        return msgspec.structs.replace(report, sent_at=self._clock.now())

    async def worth_telling(self, cursor: int, wait_s: float) -> None:
        """Until there is news for a reader at `cursor`, or samples that are old enough to be sent,
        or the time is up. Not more often than a reader can make use of."""
        news = self._news.count
        if cursor >= self._news_at and wait_s > 0:
            await self._news.after(news, min(wait_s, SAMPLES_EVERY_S))
            if self.book.cursor == cursor:
                await self._news.after(news, max(wait_s - SAMPLES_EVERY_S, 0.0))
        early_s = self._answered_s + _ANSWERS_APART_S - self._clock.monotonic_s()
        if wait_s > 0 and early_s > 0:
            await asyncio.sleep(early_s)
        self._answered_s = self._clock.monotonic_s()

    def lacks(self, missing: tuple[str, ...]) -> None:
        """The wheels that this VM still waits for."""
        if missing != self.missing:
            self.missing = missing
            self._ring_news()
        self.wheels.ring()

    def _ring_news(self) -> None:
        self._news_at = self.book.cursor
        self._news.ring()

    # -- workers -----------------------------------------------------------------------------

    def check(self, secret: Secret) -> None:
        check_join_secret(self._secret, secret)

    def join(self, request: JoinRequest) -> JoinAnswer:
        self.check(Secret(request.secret))
        named = request.instance.startswith(f"shoal-{self._cluster}-")
        if not named and not _EC2.fullmatch(request.instance):
            raise NotAllowed(f"{request.instance} is not an instance of this cluster.")
        certificate = sign(self._identity, request.request_pem, request.instance)
        post = self.post(request.instance)
        return JoinAnswer(certificate, self.given(post))

    def given(self, post: Post) -> WorkerOrders | None:
        """The orders, on their way to the worker."""
        post.told = post.version
        self.told.ring()
        return post.content

    def post(self, instance: InstanceId) -> Post:
        if instance not in self._posts:
            self._posts[instance] = Post(self._first_version)
            self._renew(instance, self._posts[instance])
        return self._posts[instance]

    def beat(self, beat: WorkerBeat) -> BeatAnswer:
        if beat.vm.notice and beat.vm.instance not in self.taken_back:
            self.taken_back[beat.vm.instance] = beat.vm.notice
            self.ordered.ring()
            self._refresh()
        news = self.book.vm(msgspec.structs.replace(beat.vm, heard_at=self._clock.now()))
        for line in beat.logs:
            self.book.log(line)
        if beat.logs_dropped:
            self.book.lost(beat.logs_dropped)
        if beat.telemetry_dropped:
            self.book.unrecorded(beat.telemetry_dropped)
        self.record(beat.telemetry)
        if news:
            self._look_who_moves()
        if news or beat.logs:
            self._ring_news()
        return BeatAnswer(self.post(beat.vm.instance).version)

    def _look_who_moves(self) -> None:
        wanted = self.orders.manifest.id if self.orders else ""
        silent_since = self._clock.now() - timedelta(seconds=_SILENT_S)
        moving = tuple(
            sorted(
                name
                for name, it in self.book.vms().items()
                if it.moves_to and it.moves_to == wanted
                if it.heard_at is None or it.heard_at > silent_since
            )
        )
        if moving != self.moving:
            self.moving = moving
            self.ordered.ring()

    # -- telemetry ---------------------------------------------------------------------------

    def recorded(self, told: Telemetry) -> None:
        """By the scheduler."""
        if told.uses:
            self._uses = told.uses
        if told.dropped:
            self.book.unrecorded(told.dropped)
        self.record(told.items)

    def record(self, items: Iterable[Item]) -> None:
        now_s = self._clock.monotonic_s()
        news = False
        for item in items:
            for known in self._completed(item, now_s):
                self.book.record(known)
                news |= isinstance(known, WorkerEvent | TaskException)
        if news:
            self._ring_news()

    def settle_losses(self) -> None:
        """Now and then: losses of which nobody else will tell."""
        now_s = self._clock.monotonic_s()
        self._sampled = {it: at for it, at in self._sampled.items() if now_s - at < _FORGET_S}
        for event in self._losses.overdue(now_s):
            self.book.record(event)
            self._ring_news()

    def _completed(self, item: Item, now_s: float) -> list[Item]:
        """What is told of it, with what somebody else knows of it."""
        match item:
            case HostSample(instance=name) if self._too_often(name, now_s):
                return []
            case HostSample(instance=name) if name in self._uses:
                use = self._uses[name]
                return [msgspec.structs.replace(item, **msgspec.structs.asdict(use))]
            case WorkerEvent(added=True, worker=name):
                return [*self._losses.came(name), item]
            case WorkerEvent(worker=name) if name in self.taken_back:
                because = self.taken_back[name]
                known = msgspec.structs.replace(item, reason=Loss.PREEMPTED, detail=because)
                return [*self._losses.hear(known, now_s)]
            case WorkerEvent():
                return [*self._losses.hear(item, now_s)]
            case _:
                return [item]

    def _too_often(self, name: InstanceId, now_s: float) -> bool:
        """A cluster of a thousand is sampled less often than one of ten: so many a second."""
        apart_s = len(self._sampled) / _SAMPLES_A_SECOND
        if now_s - self._sampled.get(name, float("-inf")) < apart_s:
            return True
        self._sampled[name] = now_s
        return False

    def stop_workers(self, why: str) -> None:
        self._stop = why
        self._refresh()

    def untold(self) -> int:
        """How many workers have not yet been given their newest orders."""
        return sum(post.told != post.version for post in self._posts.values())

    def _refresh(self) -> None:
        for instance, post in self._posts.items():
            self._renew(instance, post)

    def _renew(self, instance: InstanceId, post: Post) -> None:
        if self._part_of(instance, post.version) != post.content:
            post.version += 1
            post.content = self._part_of(instance, post.version)
            post.changed.ring()

    def _part_of(self, instance: InstanceId, version: int) -> WorkerOrders | None:
        orders = self.orders
        if orders is None:
            return None
        return WorkerOrders(
            version=version,
            manifest=orders.manifest,
            dask=orders.dask,
            scheduler_address=self.serving.address if self.serving else "",
            retire=instance in orders.retire or instance in self.taken_back,
            stop=self._stop or orders.stop,
            python_hint=orders.python_hint,
            python_mirror=orders.python_mirror,
        )

    # -- this VM -----------------------------------------------------------------------------

    def own(self, standing: Standing) -> None:
        report = msgspec.structs.replace(standing.report, heard_at=self._clock.now())
        if self.book.vm(report):
            self._ring_news()

    def stop(self, notice: StopNotice) -> None:
        self.book.stop(notice)
        self._ring_news()

    def scheduler(self, told: Serving | None) -> None:
        moved = (told and told.address) != (self.serving and self.serving.address)
        self._idle_since = _idle_since(self._idle_since, told, self._clock)
        self.serving = told
        if self.book.scheduler(_as_report(told, self._idle_since)):
            self._ring_news()
        if moved:
            self._refresh()


def _idle_since(before: datetime | None, told: Serving | None, clock: Clock) -> datetime | None:
    if told is None or not told.idle:
        return None
    return before or clock.now()


def _as_report(told: Serving | None, idle_since: datetime | None) -> SchedulerReport:
    if told is None:
        return SchedulerReport(address="")
    return SchedulerReport(
        address=told.address,
        dashboard_address=told.dashboard_address,
        clients=told.clients,
        workers=told.workers,
        tasks=told.tasks,
        idle_since=idle_since,
        adaptive_target=told.adaptive_target,
        closable=told.closable,
    )


def _keep(file: Path, orders: Orders) -> None:
    """0600 by the agent's umask; whole or not at all."""
    draft = file.with_suffix(".new")
    try:
        draft.write_bytes(msgspec.json.encode(orders))
        draft.replace(file)
    except OSError as error:
        _log.warning("orders could not be kept for a restart of this agent: %s", error)
