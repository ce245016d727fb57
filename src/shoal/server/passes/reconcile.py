"""One pass: read the world, plan, perform. The only code that creates or ends a VM.

Order is everything: the cloud is listed before the rows are read, and an intent is committed before
a cloud is called. Whatever is killed in between is found by the next pass, here or elsewhere, which
is this same code. What a cloud answers is written down; why it said no marks the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from shoal.clouds.provider import (
    Launched,
    LaunchError,
    NoCapacity,
    Provider,
    Refused,
    Scope,
    Throttled,
    Unknown,
)
from shoal.core.actions import (
    Action,
    Alarm,
    Avoid,
    Bind,
    End,
    Gone,
    Intend,
    Launch,
    Release,
    Retire,
    Scale,
    Settle,
    Sweep,
    Terminate,
)
from shoal.core.provision import plan
from shoal.core.records import Batch, Listing, Offer, PoolMark, Vm, World
from shoal.store import clusters, events, installation, instances, pools
from shoal.store import world as world_rows
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.specs import Cloud
from shoal.wire.views import Explanation, PlannedAction

MAX_ROUNDS = 6  # plans in one pass, while each finds something to write
CALL_TIMEOUT_S = 120.0
_OFFERS_AGE = timedelta(hours=1)


class Reconciler:
    """Of one cloud. Holds nothing that matters: prices, and which alarms were raised."""

    def __init__(
        self,
        *,
        database: Database,
        provider: Provider,
        boot_text: Callable[[Batch], str],
        clock: Callable[[], datetime],
    ) -> None:
        self.provider = provider
        self._database = database
        self._boot_text = boot_text
        self._clock = clock
        self._offers: dict[str | None, tuple[datetime, tuple[Offer, ...]]] = {}
        self._alarms: dict[str, str] = {}

    async def observe(self) -> Listing:
        """What the cloud says it has, as of before the question."""
        begun_at = self._clock()
        async with asyncio.timeout(CALL_TIMEOUT_S):
            return Listing(begun_at, tuple(await self.provider.list()))

    async def run_pass(
        self, listing: Listing | None, clock_trusted_since: datetime | None = None
    ) -> bool:
        """Plan and perform until a plan finds nothing to write; whether anything was written."""
        ended: set[str] = set()  # asked to end in this pass
        changed = False
        for _ in range(MAX_ROUNDS):
            world = await self.look(listing, clock_trusted_since)
            wrote = await self.perform(plan(world), ended)
            changed |= wrote
            if not wrote:
                break
        return changed

    async def look(
        self, listing: Listing | None, clock_trusted_since: datetime | None = None
    ) -> World:
        """The listing was begun before the rows are read here."""
        rows = await self._database.run(world_rows.read, self.provider.cloud, self._clock())
        regions = {it.spec.region for it in rows.clusters if it.ended_at is None}
        offers = [it for region in regions for it in await self._offered(region)]
        return World(
            now=self._clock(),
            installation=await self._database.run(installation.read),
            cloud=self.provider.cloud,
            timing=self.provider.timing,
            clusters=rows.clusters,
            batches=rows.batches,
            instances=rows.instances,
            observations=rows.observations,
            heads=rows.heads,
            tallies=rows.tallies,
            marks=rows.marks,
            offers=tuple(dict.fromkeys(offers)),
            listing=listing,
            past=await self._past(listing, rows),
            clock_trusted_since=clock_trusted_since,
        )

    async def _past(self, listing: Listing | None, rows: world_rows.Rows) -> frozenset[str]:
        """Of what is listed and not in these rows: which is on record all the same."""
        vms = listing.vms if listing else ()
        living = {it.id for it in rows.instances}
        batches = {it.batch for it in rows.instances}
        names = {it.name for it in vms if it.name and it.name not in living}
        unnamed = {it.batch for it in vms if not it.name and it.batch not in batches}
        if not names and not unnamed:
            return frozenset()
        return await self._database.run(instances.known, names, unnamed)

    async def _offered(self, region: str | None) -> tuple[Offer, ...]:
        now = self._clock()
        known = self._offers.get(region)
        if known is None or not timedelta(0) <= now - known[0] < _OFFERS_AGE:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                known = now, tuple(await self.provider.offers(region))
            self._offers[region] = known
        return known[1]

    async def explain(self, cluster: ClusterId) -> Explanation:
        """The plan for one cluster from a fresh listing; nothing is performed."""
        world = await self.look(await self.observe())
        mine = {it.id for it in world.instances if it.cluster == cluster}
        found = [it for it in plan(world) if _is_about(it, cluster, mine)]
        actions = tuple(
            PlannedAction(type(it).__name__.lower(), _subject(it), it.why) for it in found
        )
        sentence = (
            "These are the next steps." if actions else "Nothing is to be done: all is as asked."
        )
        return Explanation(cluster, sentence, actions)

    async def perform(self, actions: Sequence[Action], ended: set[str]) -> bool:
        """Rows first, then calls to the cloud, all at once; whether anything was written."""
        wrote = False
        launches: list[Launch] = []
        for action in actions:
            if isinstance(action, Launch):
                launches.append(action)
            elif not isinstance(action, Terminate | Sweep):
                wrote |= await self._write(action)
        for action in actions:
            if isinstance(action, Terminate | Sweep):
                await self._end_vms(action, ended)
        if launches:
            async with asyncio.TaskGroup() as group:
                launching = [group.create_task(self._launch(it.batch)) for it in launches]
            wrote |= any(task.result() for task in launching)
        return wrote

    async def _write(self, action: Action) -> bool:
        now, run = self._clock(), self._database.run
        match action:
            case Intend():
                return await run(
                    instances.intend, action.batch, action.generation, _intended(action, now)
                )
            case Bind():
                return await self._bound(action, now)
            case Retire():
                return bool(await run(instances.retire, action.instances, now, action.why))
            case Release():
                return bool(
                    await run(
                        instances.release,
                        action.instances,
                        now,
                        failed=action.failed,
                        why=action.why,
                    )
                )
            case Gone():
                return bool(await run(instances.gone, action.instances, now, action.why))
            case Scale():
                return await self._scaled(action, now)
            case End():
                event = _event(now, EventKind.CLUSTER_ENDING, action.why, action.cluster)
                return await run(clusters.end, action.cluster, action.kind, action.why, now, event)
            case Settle():
                event = _event(now, EventKind.CLUSTER_ENDED, action.why, action.cluster)
                return await run(clusters.settle, action.cluster, now, event)
            case Avoid():
                return await self._avoid(action.mark)
            case Alarm():
                return await self._alarm(action, now)
            case Launch() | Terminate() | Sweep():
                raise TypeError(f"{type(action).__name__} is a call, not a write")
            case _:
                assert_never(action)

    async def _bound(self, action: Bind, now: datetime) -> bool:
        event = Event(
            now,
            EventKind.INSTANCE_LAUNCHED,
            "reconciler",
            action.why,
            cluster=ClusterId(action.vm.cluster),
            instance=action.instance,
            before="intended",
            after="launched",
        )
        return await self._database.run(instances.launched, action.instance, action.vm, now, event)

    async def _scaled(self, action: Scale, now: datetime) -> bool:
        found = await self._database.run(clusters.get, action.cluster)
        before = found.spec.workers
        workers = msgspec.structs.replace(before, wanted=action.wanted)
        event = Event(
            now,
            EventKind.CLUSTER_SCALED,
            "reconciler",
            action.why,
            cluster=action.cluster,
            before=str(before.wanted),
            after=str(action.wanted),
        )
        changed = await self._database.run(
            clusters.change_workers, action.cluster, action.generation, workers, event
        )
        return changed is not None

    async def _alarm(self, action: Alarm, now: datetime) -> bool:
        """Raised once, not each pass."""
        if self._alarms.get(action.key) == action.why:
            return False
        self._alarms[action.key] = action.why
        event = Event(now, EventKind.ALARM, "reconciler", action.why)
        await self._database.run(events.append, event)
        return False

    async def _avoid(self, mark: PoolMark) -> bool:
        event = Event(self._clock(), EventKind.BATCH_REFUSED, "cloud", mark.why, after=mark.zone)
        await self._database.run(pools.mark, mark, event)
        return True

    async def _end_vms(self, action: Terminate | Sweep, ended: set[str]) -> None:
        """Once a pass; asked again by later ones until a listing lacks them."""
        vms = [it for it in action.vms if it.id not in ended]
        if not vms:
            return
        if isinstance(action, Sweep):
            await self._tell_swept(action)
        ended.update(it.id for it in vms)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self.provider.terminate(vms)
        except (LaunchError, TimeoutError):
            ended.difference_update(it.id for it in vms)  # unknown: it stays released

    async def _tell_swept(self, action: Sweep) -> None:
        now = self._clock()
        told = [
            Event(
                now,
                EventKind.VM_SWEPT,
                "reconciler",
                action.why,
                before=it.id,
                after="asked to end",
            )
            for it in action.vms
        ]
        await self._database.run(events.append_all, told)

    async def _launch(self, batch: Batch) -> bool:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                launched = await self.provider.launch(batch, self._boot_text(batch))
        except (Unknown, TimeoutError):
            return False  # changes nothing; the same call is made again
        except LaunchError as error:
            return await self._refused(batch, batch.instances, error)
        return await self._accepted(batch, launched)

    async def _accepted(self, batch: Batch, launched: Launched) -> bool:
        wrote = False
        free = list(batch.instances)
        for vm in launched.vms:
            if vm.name in free:
                free.remove(InstanceId(vm.name))
        for vm in launched.vms:
            wrote |= await self._accept(batch, vm.name or None, free, vm)
        for shortfall in launched.shortfalls:
            missing = [free.pop() for _ in range(min(shortfall.count, len(free)))]
            if isinstance(shortfall.error, Unknown):
                continue
            wrote |= await self._refused(batch, missing, shortfall.error)
        return wrote

    async def _accept(self, batch: Batch, name: str | None, free: list[InstanceId], vm: Vm) -> bool:
        """A named VM is its instance; an unnamed one is bound to a free one of the batch, once."""
        candidates = [InstanceId(name)] if name else list(free)
        for id in candidates:
            bind = Bind(id, vm, f"{vm.machine_type} in {vm.zone} was accepted as {vm.id}")
            if await self._bound(bind, self._clock()):
                if not name:
                    free.remove(id)
                return True
        return False

    async def _refused(self, batch: Batch, ids: Sequence[InstanceId], error: LaunchError) -> bool:
        """Its rows are released, and the next pass intends another offer."""
        now = self._clock()
        mark = self._mark(batch, error, now)
        if mark is not None:
            event = Event(
                now,
                EventKind.BATCH_REFUSED,
                "cloud",
                error.message,
                cluster=batch.cluster,
                before=batch.id,
                after=error.code,
                count=max(1, len(ids)),
            )
            await self._database.run(pools.mark, mark, event)
        if isinstance(error, Throttled):
            return False
        released = await self._database.run(
            instances.release, ids, now, failed=False, why=error.message
        )
        return bool(released)

    def _mark(self, batch: Batch, error: LaunchError, now: datetime) -> PoolMark | None:
        timing, cloud = self.provider.timing, self.provider.cloud
        match error:
            case Throttled():
                return PoolMark(cloud, "*", "*", "*", None, error.until, error.message)
            case NoCapacity():
                until = now + timedelta(seconds=timing.capacity_mark_s)
                return _scoped(cloud, error.scope, until, error)
            case Refused():
                until = now + timedelta(seconds=timing.capacity_mark_s)
                return _scoped(cloud, error.scope, until, error)
            case _:
                return None


def _scoped(cloud: Cloud, scope: Scope, until: datetime, error: LaunchError) -> PoolMark:
    return PoolMark(
        cloud,
        scope.region,
        scope.zone,
        scope.machine_type,
        scope.spot,
        until,
        error.message,
        error.hint,
    )


def _intended(action: Intend, now: datetime) -> Event:
    return Event(
        now,
        EventKind.BATCH_INTENDED,
        "reconciler",
        action.why,
        cluster=action.batch.cluster,
        after=action.batch.id,
        count=action.batch.count,
    )


def _event(now: datetime, kind: EventKind, why: str, cluster: ClusterId) -> Event:
    return Event(now, kind, "reconciler", why, cluster=cluster)


def _is_about(action: Action, cluster: ClusterId, mine: set[InstanceId]) -> bool:
    match action:
        case Intend() | Launch():
            return action.batch.cluster == cluster
        case Bind():
            return action.instance in mine
        case Retire() | Release() | Gone() | Scale() | End() | Settle():
            return action.cluster == cluster
        case Terminate() | Sweep():
            return any(it.cluster == cluster for it in action.vms)
        case Avoid() | Alarm():
            return False
        case _:
            assert_never(action)


def _subject(action: Action) -> str:
    match action:
        case Intend() | Launch():
            return (
                f"{action.batch.id}: {action.batch.count} × {action.batch.offers[0].machine_type}"
            )
        case Bind():
            return action.instance
        case Retire() | Release() | Gone():
            more = f" and {len(action.instances) - 3} more" if len(action.instances) > 3 else ""
            return ", ".join(action.instances[:3]) + more
        case Scale():
            return f"{action.cluster} to {action.wanted}"
        case End() | Settle():
            return action.cluster
        case Terminate() | Sweep():
            return ", ".join(it.id for it in action.vms[:3])
        case Avoid():
            return f"{action.mark.machine_type} in {action.mark.zone}"
        case Alarm():
            return action.key
        case _:
            assert_never(action)
