"""A control plane on a simulated cloud, step by step, that can be killed and begun again anywhere.

A scene is everything there is: the account, one or two installations with their databases, replicas
and clusters, and the time. It can be saved at the beginning of a step and continued from there, so
that a run that is killed late needs not repeat what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from shoal.clouds.sim import SimCloud
from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_agents import Demand, head_report
from shoal.clouds.sim_clock import BEGAN, VirtualClock
from shoal.clouds.sim_knobs import Knobs, Pool, Step
from shoal.core.records import Batch, Cluster, EndKind, Offer
from shoal.errors import ShoalError
from shoal.server.passes.reconcile import Reconciler
from shoal.store import clusters, instances, limits, observations
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EnvironmentId, InstallationId, UserName, WorkspaceName
from shoal.wire.limits import ChangeLimits, Limits
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, Range, SpotPolicy, Workers
from tests.kill.points import FrailDatabase, FrailProvider, Points
from tests.kill.rows import rows

STEP_S = 10.0
HEARTBEAT_S = 30.0
GRACE_S = 40.0  # that what is left of a budget must last
_GIB = 1 << 30
SMALL = Hardware(cpu=Range(2, 4), memory_bytes=Range(1, 64 * _GIB))


def pools(count: int = 1000, *, spot: int = 1000) -> tuple[Pool, ...]:
    """Two zones with two machine types."""
    return tuple(
        Pool(
            region="sim-1",
            zone=zone,
            machine_type=name,
            spot=is_spot,
            vcpu=vcpu,
            memory_bytes=4 * vcpu * _GIB,
            price_uusd_per_hour=vcpu * 10_000 // (3 if is_spot else 1),
            capacity=(Step(0.0, spot if is_spot else count),),
        )
        for zone in ("sim-1a", "sim-1b")
        for name, vcpu in (("s2", 2), ("s4", 4))
        for is_spot in (False, True)
    )


def boot_text(batch: Batch) -> str:
    return f"#!/bin/sh\n# {batch.cluster} {batch.role} {batch.head_address}\n"


class Replica:
    """One server process."""

    def __init__(self, scene: Scene, site: Site) -> None:
        self._scene, self._site = scene, site
        self.begin()

    def begin(self) -> None:
        """A new process: it knows nothing, and trusts no absence from before."""
        scene = self._scene
        self.trusted_since = scene.clock()
        self.reconciler = scene.variant(
            database=FrailDatabase(self._site.database, scene.points, self._site.rows.changes),
            provider=scene.provider(self._site),
            boot_text=scene.boot_text,
            clock=scene.clock,
            grace_s=GRACE_S,
        )

    async def run_pass(self) -> None:
        try:
            listing = await self.reconciler.observe()
            await self.reconciler.run_pass(listing, self.trusted_since)
        except ShoalError:
            pass  # as in the loop's driver: the next pass begins from the record
        except BaseException:
            if not self._scene.points.dead:
                raise
            self._scene.points.dead = False
            self._site.rows.cut()
            self.begin()

    def saved(self) -> Saved:
        kept = self.reconciler
        return Saved(self.trusted_since, kept._installation, dict(kept._offers), dict(kept._alarms))

    def restore(self, saved: Saved) -> None:
        self.begin()
        self.trusted_since = saved.trusted_since
        self.reconciler._installation = saved.installation
        self.reconciler._offers.update(saved.offers)
        self.reconciler._alarms.update(saved.alarms)


class Saved(msgspec.Struct, frozen=True):
    """What a replica holds in memory."""

    trusted_since: datetime
    installation: InstallationId | None
    offers: dict[str | None, tuple[datetime, tuple[Offer, ...]]]
    alarms: dict[str, str]


class Site:
    """An installation: a database, its replicas, and the users of it."""

    def __init__(self, scene: Scene, number: int, database: Database, replicas: int) -> None:
        self.installation = InstallationId(f"i-{number:010d}")
        self.number = number
        self.database = database
        self.rows = rows(database)
        self.scene = scene
        self.cluster = ClusterId(f"c-{number:010d}")  # the story's, once it is created
        self.sim = SimCloud(scene.account, self.installation, scene.clock)
        self.told: object = None  # what the head said last
        self.told_at = scene.clock()
        self.replicas = [Replica(scene, self) for _ in range(replicas)]

    async def hear(self) -> None:
        """What the agents say reaches the store: what is new at once, the rest now and then."""
        scene, now = self.scene, self.scene.clock()
        if not scene.account.alive(now):
            return
        known = await self.database.run(instances.all_of_cluster, self.cluster)
        report = head_report(scene.account, self.cluster, known, now, scene.demand)
        if report is None:
            return
        news = [(it.instance, it.stage) for it in report.vms], report.scheduler
        if news != self.told or now - self.told_at >= timedelta(seconds=HEARTBEAT_S):
            self.told, self.told_at = news, now
            await self.database.run(observations.record, report, now)


class Snapshot(msgspec.Struct, frozen=True):
    step: int
    points: int
    now: datetime
    account: SimAccount
    rows: tuple[bytes, ...]
    replicas: tuple[Saved, ...]
    complaints: tuple[str, ...]


class Scene:
    def __init__(
        self,
        databases: list[Database],
        *,
        knobs: Knobs,
        had: tuple[Pool, ...] = (),
        demand: tuple[Demand, ...] = (),
        replicas: int = 1,
        variant: type[Reconciler] = Reconciler,
        provider: Callable[[Site], SimCloud] | None = None,
        text: Callable[[Batch], str] = boot_text,
    ) -> None:
        self.clock = VirtualClock()
        self.account = SimAccount(had or pools(), self.clock(), knobs)
        self.points = Points()
        self.demand = demand
        self.variant = variant
        self.boot_text = text
        self.complaints: list[str] = []
        self._provider = provider or (lambda site: site.sim)
        self.sites: list[Site] = []
        for number, database in enumerate(databases, start=1):
            self.sites.append(Site(self, number, database, replicas))
            self.sites[-1].rows.begin(number)

    @property
    def elapsed_s(self) -> float:
        return (self.clock() - BEGAN).total_seconds()

    def provider(self, site: Site) -> FrailProvider:
        def on_record(batch: Batch) -> None:
            if (batch.id,) not in site.rows.execute("SELECT id FROM batch").fetchall():
                self.complaints.append(f"{batch.id} was asked for before it was on record")

        return FrailProvider(self._provider(site), self.points, on_record)

    async def step(self) -> None:
        for site in self.sites:
            await site.hear()
            for replica in site.replicas:
                await replica.run_pass()

    def advance(self) -> None:
        self.clock.advance(STEP_S)
        self.account.advance(self.clock())

    def save(self, step: int) -> Snapshot:
        return Snapshot(
            step=step,
            points=self.points.count,
            now=self.clock(),
            account=self.account.copy(),
            rows=tuple(site.rows.save() for site in self.sites),
            replicas=tuple(it.saved() for site in self.sites for it in site.replicas),
            complaints=tuple(self.complaints),
        )

    def restore(self, saved: Snapshot) -> None:
        self.clock.set(saved.now)
        self.account = saved.account.copy()
        self.points.count, self.points.dead = saved.points, False
        self.points.died_at = []
        self.complaints = list(saved.complaints)
        kept = iter(saved.replicas)
        for site, held in zip(self.sites, saved.rows, strict=True):
            site.sim.account = self.account
            site.told = None
            site.rows.restore(held)
            for replica in site.replicas:
                replica.restore(next(kept))

    # What users do.

    async def create(self, workers: Workers, *, spot: bool = False, site: int = 0) -> None:
        here = self.sites[site]
        spec = ClusterSpec(
            "etl",
            Cloud.SIM,
            workers,
            EnvironmentId("env-1"),
            worker=SMALL,
            scheduler=SMALL,
            spot_policy=SpotPolicy.SPOT_WITH_FALLBACK if spot else SpotPolicy.ON_DEMAND,
        )
        made = Cluster(here.cluster, WorkspaceName("team"), UserName("ada"), spec, 1, self.clock())
        told = Event(self.clock(), EventKind.CLUSTER_CREATED, "ada", "asked", cluster=made.id)
        await here.database.run(clusters.create, made, told)

    async def scale(self, wanted: int, *, site: int = 0) -> None:
        here = self.sites[site]
        told = Event(self.clock(), EventKind.CLUSTER_SCALED, "ada", "asked", cluster=here.cluster)
        workers = Workers(wanted, wanted, wanted)
        await here.database.run(clusters.change_workers, here.cluster, None, workers, told)

    async def limit(self, values: Limits, *, site: int = 0) -> None:
        asked, now = ChangeLimits(values), self.clock()
        team = WorkspaceName("team")
        await self.sites[site].database.run(limits.change, team, asked, "root", now)

    async def delete(self, *, site: int = 0) -> None:
        here = self.sites[site]
        now = self.clock()
        told = Event(now, EventKind.CLUSTER_ENDING, "ada", "asked", cluster=here.cluster)
        await here.database.run(
            clusters.end, here.cluster, EndKind.USER, "closed by ada", now, told
        )


@contextmanager
def databases(count: int = 2) -> Iterator[list[Database]]:
    opened = [Database.open("sqlite://", inline=True) for _ in range(count)]
    try:
        yield opened
    finally:
        for it in opened:
            it.close()
