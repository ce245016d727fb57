"""One pass: read the world, plan, perform. The only code that creates or ends a VM.

Order is everything: the cloud is listed before the rows are read, and an intent is committed before
a cloud is called. Whatever is killed in between is found by the next pass, here or elsewhere, which
is this same code. What a cloud answers is written down; an answer that never came changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from shoal.clouds.provider import LaunchError, Naming, Provider, Throttled, Unknown
from shoal.core.actions import (
    Action,
    Alarm,
    Avoid,
    Bind,
    Call,
    End,
    GiveUp,
    Gone,
    Hold,
    Intend,
    Launch,
    Release,
    Retire,
    Scale,
    Settle,
    Sweep,
    Terminate,
    Warn,
    Write,
)
from shoal.core.provision import plan
from shoal.core.records import Batch, Listing, Offer, World
from shoal.server.passes import answers, telling
from shoal.server.passes.answers import Told
from shoal.server.passes.asking import Asking
from shoal.store import clusters, events, installation, instances, limits, pools
from shoal.store import world as world_rows
from shoal.store.database import Database
from shoal.wire.events import Event
from shoal.wire.ids import ClusterId, InstallationId
from shoal.wire.views import Explanation

INTENDING = 2  # first rounds of a pass in which an intent comes before all calls
MAX_ROUNDS = 6  # plans in one pass, while each finds something to write
CALL_TIMEOUT_S = 120.0
_OFFERS_AGE = timedelta(hours=1)
_OFFERS_RETRY = timedelta(seconds=10)


class Reconciler:
    """Of one cloud. Holds nothing that matters: prices, and what was told already."""

    def __init__(
        self,
        *,
        database: Database,
        provider: Provider,
        boot_text: Callable[[Batch], str],
        clock: Callable[[], datetime],
        grace_s: float = 900.0,
    ) -> None:
        self.provider = provider
        self._database = database
        self._boot_text = boot_text
        self._clock = clock
        self._grace_s = grace_s
        self._installation: InstallationId | None = None
        self._offers: dict[str | None, tuple[datetime, tuple[Offer, ...]]] = {}
        self._alarms: dict[str, str] = {}  # and sweeps: what was told last, told once
        self._trusted_since: datetime | None = None
        self._asking = Asking(provider, clock)

    async def observe(self) -> Listing:
        """What the cloud says it has, as of before the question."""
        begun_at = self._clock()
        async with asyncio.timeout(CALL_TIMEOUT_S):
            return Listing(begun_at, tuple(await self.provider.list()))

    async def run_pass(
        self, listing: Listing | None, clock_trusted_since: datetime | None = None
    ) -> bool:
        """Plan and perform until a plan finds nothing to write; whether anything was written."""
        asked_to_end: set[str] = set()
        changed = False
        for number in range(MAX_ROUNDS):
            actions = await self.decide(listing, clock_trusted_since)
            if number < INTENDING and any(isinstance(it, Intend) for it in actions):
                # Its batch is launched beside what is intended next, and not one after the other.
                actions = [it for it in actions if not isinstance(it, Call)]
            wrote = await self.perform(actions, asked_to_end)
            changed |= wrote
            if not wrote:
                break
        return changed

    async def decide(
        self, listing: Listing | None, clock_trusted_since: datetime | None = None
    ) -> list[Action]:
        self._trusted_since = clock_trusted_since
        return plan(await self.look(listing, clock_trusted_since))

    async def look(
        self, listing: Listing | None, clock_trusted_since: datetime | None = None
    ) -> World:
        """The listing was begun before the rows are read here."""
        now = self._clock()
        rows = await self._database.run(world_rows.read, self.provider.cloud, now)
        offers = await self._all_offered(rows)
        return World(
            now=now,
            installation=await self._own(),
            cloud=self.provider.cloud,
            timing=self.provider.timing,
            clusters=rows.clusters,
            batches=rows.batches,
            instances=rows.instances,
            observations=rows.observations,
            heads=rows.heads,
            tallies=rows.tallies,
            marks=rows.marks,
            offers=offers,
            listing=listing,
            past=await self._past(listing, rows),
            clock_trusted_since=clock_trusted_since,
            inside_names=self.provider.inside_names if isinstance(self.provider, Naming) else "",
            likely=await self._asking.about(rows, offers),
            held=rows.held,
            holds=rows.holds,
            grace_s=self._grace_s,
        )

    async def explain(self, cluster: ClusterId) -> Explanation:
        """The plan for one cluster from a fresh listing; nothing is performed."""
        world = await self.look(await self.observe(), self._trusted_since)
        mine = {it.id for it in world.instances if it.cluster == cluster}
        found = tuple(
            telling.planned(it) for it in plan(world) if telling.is_about(it, cluster, mine)
        )
        sentence = "This is done next." if found else "Nothing is to be done: all is as asked."
        return Explanation(cluster, sentence, found)

    async def perform(self, actions: Sequence[Action], asked_to_end: set[str]) -> bool:
        """Rows first, then all calls to the cloud at once; whether anything was written."""
        wrote = False
        calls: list[Call] = []
        for action in actions:
            if isinstance(action, Call):
                calls.append(action)
            else:
                wrote |= await self._write(action)
        if not calls:
            return wrote
        ending = [it for it in calls if not isinstance(it, Launch)]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._end_vms(ending, asked_to_end))
                launching = [
                    group.create_task(self._launch(it)) for it in calls if isinstance(it, Launch)
                ]
        except ExceptionGroup as several:
            raise several.exceptions[0] from several  # the driver knows what to do with one
        return wrote or any(task.result() for task in launching)

    async def _write(self, action: Write) -> bool:
        now, run = self._clock(), self._database.run
        match action:
            case Intend(batch=batch, generation=generation):
                event = telling.intended(action, now)
                return await run(instances.intend, batch, generation, event, self._grace_s)
            case Bind():
                return await run(answers.bound, action, None, self._now())
            case Retire(instances=ids, why=why):
                return bool(await run(instances.retire, ids, now, why))
            case Release(instances=ids, failed=failed, why=why):
                return bool(await run(instances.release, ids, now, failed=failed, why=why))
            case Gone(instances=ids, why=why):
                return bool(await run(instances.gone, ids, now, why))
            case Scale():
                return await self._scale(action, now)
            case GiveUp(cluster=cluster, generation=generation, why=why):
                event = telling.given_up(action, now)
                return await run(clusters.give_up, cluster, generation, why, event)
            case End(cluster=cluster, kind=kind, why=why):
                return await run(clusters.end, cluster, kind, why, now, telling.ended(action, now))
            case Settle(cluster=cluster):
                return await run(clusters.settle, cluster, now, telling.ended(action, now))
            case Hold(cluster=cluster, limit=limit):
                return await run(limits.hold, cluster, limit, now, telling.held(action, now))
            case Warn():
                return await self._warn(action, now)
            case Avoid(mark=mark):
                await run(pools.mark, mark, telling.avoided(action, now))
                return False
            case Alarm():
                await self._tell_once(action.key, telling.alarmed(action, now))
                return False
            case _:
                assert_never(action)

    async def _scale(self, action: Scale, now: datetime) -> bool:
        found = await self._database.run(clusters.get, action.cluster)
        before = found.spec.workers
        workers = msgspec.structs.replace(before, wanted=action.wanted)
        event = telling.scaled(action, before.wanted, now)
        changed = await self._database.run(
            clusters.change_workers, action.cluster, action.generation, workers, event
        )
        return changed is not None

    async def _warn(self, action: Warn, now: datetime) -> bool:
        scope = action.workspace, action.user, action.mark, now
        if not action.over:
            return await self._database.run(limits.unmark, *scope)
        return await self._database.run(limits.mark, *scope, telling.warned(action, now))

    async def _launch(self, action: Launch) -> bool:
        batch = action.batch
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                answer = await self.provider.launch(batch, self._boot_text(batch))
        except (Unknown, TimeoutError):
            return False  # changes nothing; the same call is made again
        except LaunchError as error:
            run = self._database.run
            return await run(answers.refused, batch, action.waiting, error, self._now())
        return await self._database.run(answers.accepted, action, answer, self._now())

    async def _end_vms(self, actions: Iterable[Terminate | Sweep], asked: set[str]) -> None:
        """One call, each VM once in a pass; in later ones again, until a listing lacks it."""
        for action in actions:
            if isinstance(action, Sweep):
                for vm in action.vms:
                    await self._tell_once(vm.id, telling.swept(vm, action.why, self._clock()))
        vms = {it.id: it for action in actions for it in action.vms if it.id not in asked}
        if not vms:
            return
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self.provider.terminate(list(vms.values()))
        except (Unknown, Throttled, TimeoutError):
            return  # they stay released, and are asked again
        asked.update(vms)

    async def _tell_once(self, key: str, told: Event) -> None:
        if self._alarms.get(key) != told.why:
            await self._database.run(events.append, told)
            self._alarms[key] = told.why

    def _now(self) -> Told:
        return Told(self._clock(), self.provider.timing)

    async def _own(self) -> InstallationId:
        if self._installation is None:
            self._installation = await self._database.run(installation.read)
        return self._installation

    async def _past(self, listing: Listing | None, rows: world_rows.Rows) -> frozenset[str]:
        """Of what is listed and not in these rows: what is on record, and gone. Asked after the
        rows, so that another replica may have bound a VM meanwhile: that one is not past."""
        living = {it.id for it in rows.instances}
        bound = {it.vm for it in rows.instances if it.vm}
        strange = [
            it
            for it in (listing.vms if listing else ())
            if it.id not in bound and (not it.name or it.name not in living)
        ]
        if not strange:
            return frozenset()
        batches = {it.batch for it in rows.instances}
        unnamed = {it.batch for it in strange if not it.name} - batches
        names = {it.name for it in strange if it.name}
        ids = {it.id for it in strange}
        return await self._database.run(instances.past, names, ids, unnamed)

    async def _all_offered(self, rows: world_rows.Rows) -> tuple[Offer, ...]:
        regions = dict.fromkeys(it.spec.region for it in rows.clusters if it.ended_at is None)
        found = [it for region in regions for it in await self._offered(region)]
        return tuple(found) if len(regions) < 2 else tuple(dict.fromkeys(found))

    async def _offered(self, region: str | None) -> tuple[Offer, ...]:
        """Not known is none: then nothing is asked for there, and nothing is given up."""
        now = self._clock()
        known = self._offers.get(region)
        if known is not None and timedelta(0) <= now - known[0] < _OFFERS_AGE:
            return known[1]
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                offers = tuple(await self.provider.offers(region))
        except (LaunchError, TimeoutError):
            offers = known[1] if known else ()
            now += _OFFERS_RETRY - _OFFERS_AGE
        self._offers[region] = now, offers
        return offers
