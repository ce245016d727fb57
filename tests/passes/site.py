"""A control plane on a sim account, with a database of either engine, driven pass by pass."""

from __future__ import annotations

from collections import Counter

import msgspec

from shoal.clouds.provider import Provider
from shoal.clouds.sim import SimCloud, ordinary_pools
from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_agents import head_report
from shoal.clouds.sim_clock import VirtualClock
from shoal.clouds.sim_knobs import Knobs, Pool
from shoal.core.records import Batch, Cluster, EndKind, Instance, Timing
from shoal.server.passes.reconcile import Reconciler
from shoal.store import clusters, events, instances, observations
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    EventSeq,
    InstallationId,
    UserName,
    WorkspaceName,
)
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, SpotPolicy, Workers
from shoal.wire.views import InstanceState

C1 = ClusterId("c-1111111111")
STEP_S = 15.0


def boot_text(batch: Batch) -> str:
    return f"#!/bin/sh\n# {batch.id}\n"


class Site:
    def __init__(
        self, database: Database, knobs: Knobs | None = None, pools: tuple[Pool, ...] = ()
    ) -> None:
        self.clock = VirtualClock()
        self.database = database
        lag = Timing(listing_lag_s=10.0)
        self.knobs = knobs or Knobs(timing=lag)
        self.account = SimAccount(pools or ordinary_pools(), self.clock(), self.knobs)
        self.sim = SimCloud(self.account, InstallationId("i-1"), self.clock)
        self.began = self.clock()
        self.reconciler = self.another()

    def another(self, provider: Provider | None = None) -> Reconciler:
        """A replica, or the same server after a restart."""
        return Reconciler(
            database=self.database,
            provider=provider or self.sim,
            boot_text=boot_text,
            clock=self.clock,
        )

    def turn(self, **changes: object) -> None:
        """Other knobs from now on."""
        self.account.knobs = msgspec.structs.replace(self.account.knobs, **changes)

    async def ask(
        self, wanted: int, id: ClusterId = C1, spot: SpotPolicy = SpotPolicy.ON_DEMAND
    ) -> None:
        spec = ClusterSpec(
            f"etl-{id[-1]}",
            Cloud.SIM,
            Workers(wanted, wanted, wanted),
            EnvironmentId("env-1"),
            worker=Hardware(vm_types=("s4",)),
            scheduler=Hardware(vm_types=("s2",)),
            spot_policy=spot,
        )
        made = Cluster(id, WorkspaceName("team"), UserName("ada"), spec, 1, self.clock())
        told = Event(self.clock(), EventKind.CLUSTER_CREATED, "ada", "asked", cluster=id)
        await self.database.run(clusters.create, made, told)

    async def stop(self, id: ClusterId = C1) -> None:
        now = self.clock()
        told = Event(now, EventKind.CLUSTER_ENDING, "ada", "closed", cluster=id)
        await self.database.run(clusters.end, id, EndKind.USER, "closed by ada", now, told)

    async def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(STEP_S)
            await self.hear()
            await self.run_pass()

    async def run_pass(self, reconciler: Reconciler | None = None) -> None:
        who = reconciler or self.reconciler
        await who.run_pass(await who.observe(), self.began)

    async def hear(self, id: ClusterId = C1) -> None:
        known = await self.rows(id)
        report = head_report(self.account, id, known, self.clock())
        if report is not None:
            await self.database.run(observations.record, report, self.clock())

    async def rows(self, id: ClusterId = C1) -> list[Instance]:
        return await self.database.run(instances.all_of_cluster, id)

    async def states(self, id: ClusterId = C1) -> Counter[InstanceState]:
        return Counter(it.state for it in await self.rows(id))

    async def cluster(self, id: ClusterId = C1) -> Cluster:
        return await self.database.run(clusters.get, id)

    async def told(self, *kinds: EventKind) -> list[Event]:
        every = await self.database.run(events.after, EventSeq(0))
        return [it for it in every if it.kind in kinds]
