"""A reconciler that dies in the middle of a vendor's calls, and begins again.

Its provider is the real one, with the vendor's own client, against the double of that cloud. It can
die before and after each HTTP call and after each thing that was written down; what it had still
under way reaches nobody. The clock begins now and is moved in steps, for the doubles have a real
one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from shoal.clouds.sim_clock import VirtualClock
from shoal.core.records import Batch, Cluster, EndKind, Instance
from shoal.errors import ShoalError
from shoal.server.passes.reconcile import Reconciler
from shoal.store import clusters, instances, observations
from shoal.store.database import Database
from shoal.wire.boot import SCHEDULER_PORT
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    InstallationId,
    UserName,
    WorkspaceName,
)
from shoal.wire.reports import HeadReport, SchedulerReport, VmReport
from shoal.wire.specs import ClusterSpec, Role, Workers
from shoal.wire.views import InstanceState, Stage
from tests.kill.grounds import Ground
from tests.kill.points import FrailDatabase, FrailProvider, Killed, Points
from tests.kill.rig import boot_text
from tests.kill.rows import rows_of, template

STEP_S = 10.0
MOST_STEPS = 60


class Life(Points):
    """Ends where the ground's gate closes."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._gate = ground.gate

    async def reach(self, what: str, *, changed: bool = False) -> None:
        gate = self._gate
        if gate.closed or (changed and gate.stops(what)):
            self.dead = True
            raise Killed(what)


class Deed(msgspec.Struct, frozen=True):
    step: int
    do: Callable[[Run], Awaitable[None]]


class Story(msgspec.Struct, frozen=True):
    """Ends with the cluster's end. `most_vms`: a death is no reason for another one."""

    name: str
    deeds: tuple[Deed, ...]
    most_vms: int


class Run:
    """One cluster of an installation of its own, from its creation until nothing is left."""

    def __init__(self, ground: Ground, database: Database, story: Story, number: int) -> None:
        self.ground, self.database, self.story = ground, database, story
        self.installation = InstallationId(f"i-{number:010d}")
        self.cluster = ClusterId(f"c-{number:010d}")
        self.clock = VirtualClock(datetime.now(UTC))
        self.made: set[str] = set()
        self.complaints: list[str] = []
        self.connection = rows_of(database)
        self.connection.deserialize(template(1))
        self.connection.execute("UPDATE installation SET id = ?", (self.installation,))
        self.connection.commit()
        ground.gate.passed = lambda: self.made.update(ground.running())
        ground.fill(False)

    async def play(self, dies_at: int = 0) -> list[str]:
        """What is wrong at the end, and what never should have been."""
        self.ground.gate.open(dies_at)
        self._begin()
        last = self.story.deeds[-1].step
        unmet = ["nothing was done"]
        for step in range(MOST_STEPS):
            for deed in self.story.deeds:
                if deed.step == step:
                    await deed.do(self)
            await self._hear()
            await self._pass()
            self.clock.advance(STEP_S)
            if step > last and not (unmet := self._unmet()):
                break
        if dies_at and not self.ground.gate.closed_by and not self._died_at:
            self.complaints.append(f"nobody died at {dies_at}")
        return [*unmet, *self.complaints, *self._too_many()]

    @property
    def points(self) -> int:
        return self.ground.gate.count

    def _begin(self) -> None:
        """A new process: it knows nothing, and trusts no absence from before."""
        life = Life(self.ground)
        self._trusted_since = self.clock()
        provider = self.ground.provider(self.installation, self.clock)
        self._reconciler = Reconciler(
            database=FrailDatabase(self.database, life, lambda: self.connection.total_changes),
            provider=FrailProvider(provider, life, self._on_record),
            boot_text=boot_text,
            clock=self.clock,
        )

    def _on_record(self, batch: Batch) -> None:
        if not self.connection.execute("SELECT 1 FROM batch WHERE id = ?", (batch.id,)).fetchall():
            self.complaints.append(f"{batch.id} was asked for before it was on record")

    _died_at = ""

    async def _pass(self) -> None:
        gate = self.ground.gate
        try:
            listing = await self._reconciler.observe()
            await self._reconciler.run_pass(listing, self._trusted_since)
        except ShoalError:
            pass  # as in the loop's driver
        except BaseException:
            if not gate.closed:
                raise
        if gate.closed:
            self._died_at = gate.closed_by
            gate.open()
            self._begin()

    async def _hear(self) -> None:
        """What the agents say reaches the store."""
        known = await self.database.run(instances.all_of_cluster, self.cluster)
        report = told(self.cluster, known, self.ground.running(), self.clock())
        if report is not None:
            await self.database.run(observations.record, report, self.clock())

    def _unmet(self) -> list[str]:
        """In the end all is gone, and on record as that."""
        rows = self.connection.execute("SELECT id, state FROM instance").fetchall()
        found = [f"{id} is {state}" for id, state in rows if state != "gone"]
        settled = self.connection.execute("SELECT settled_at FROM cluster").fetchall()
        if settled == [] or settled[0][0] is None:
            found.append("the cluster has not ended")
        return [*found, *(f"{it} is left" for it in self.ground.left())]

    def _too_many(self) -> list[str]:
        most = self.story.most_vms
        if len(self.made) <= most:
            return []
        return [f"{len(self.made)} VMs were made, {most} were enough"]

    # what is done

    async def create(self, wanted: int) -> None:
        spec = ClusterSpec(
            "etl", self.ground.offers[0].cloud, Workers(wanted, wanted, wanted), EnvironmentId("e")
        )
        made = Cluster(self.cluster, WorkspaceName("team"), UserName("ada"), spec, 1, self.clock())
        told = Event(self.clock(), EventKind.CLUSTER_CREATED, "ada", "asked", cluster=made.id)
        await self.database.run(clusters.create, made, told)

    async def scale(self, wanted: int) -> None:
        told = Event(self.clock(), EventKind.CLUSTER_SCALED, "ada", "asked", cluster=self.cluster)
        workers = Workers(wanted, wanted, wanted)
        await self.database.run(clusters.change_workers, self.cluster, None, workers, told)

    async def has(self, wanted: int) -> None:
        """By now there are so many workers, on record and in the cloud."""
        query = "SELECT vm, role FROM instance WHERE state = 'launched' AND retiring_since IS NULL"
        rows = self.connection.execute(query).fetchall()
        have = sum(role == "worker" for _, role in rows)
        if have != wanted:
            self.complaints.append(f"{have} workers, not {wanted}")
        recorded = {vm for vm, _ in rows}
        if (running := self.ground.running()) != recorded:
            self.complaints.append(f"{running} run, {recorded} are on record")

    async def fill(self, full: bool) -> None:
        self.ground.fill(full)

    async def delete(self) -> None:
        now = self.clock()
        told = Event(now, EventKind.CLUSTER_ENDING, "ada", "asked", cluster=self.cluster)
        await self.database.run(
            clusters.end, self.cluster, EndKind.USER, "closed by ada", now, told
        )


def told(
    cluster: ClusterId, known: list[Instance], running: set[str], now: datetime
) -> HeadReport | None:
    """All that run are ready; those that are to leave have nothing left to do."""
    vms = tuple(
        _said(it, now)
        for it in known
        if it.state is InstanceState.LAUNCHED and it.vm.lower() in {id.lower() for id in running}
    )
    heads = [it for it in vms if it.role is Role.SCHEDULER]
    if not heads:
        return None
    ready = [it for it in vms if it.role is Role.WORKER and it.stage is Stage.READY]
    address = f"tls://10.0.0.1:{SCHEDULER_PORT}"
    return HeadReport(
        cluster=cluster,
        head_started_at=heads[0].since,
        cursor=1,
        vms=vms,
        scheduler=SchedulerReport(
            address=address,
            clients=1,
            workers=len(ready),
            closable=tuple(it.instance for it in ready),
        ),
    )


def _said(it: Instance, now: datetime) -> VmReport:
    return VmReport(
        instance=it.id,
        role=it.role,
        stage=Stage.READY if it.retiring_since is None else Stage.DRAINED,
        since=it.launched_at or now,
        heard_at=now,
        dask_address="tls://10.0.0.2:40000",
    )


def _deed(step: int, name: str, *arguments: Any) -> Deed:
    return Deed(step, lambda run: getattr(run, name)(*arguments))


STORIES = (
    Story(
        "up and down",
        (
            _deed(0, "create", 2),
            _deed(5, "scale", 3),
            _deed(9, "has", 3),
            _deed(9, "scale", 1),
            _deed(14, "has", 1),
            _deed(14, "delete"),
        ),
        most_vms=4,
    ),
    Story(
        "no capacity, which returns",
        (
            _deed(0, "create", 2),
            _deed(5, "fill", True),
            _deed(5, "scale", 3),
            _deed(8, "fill", False),
            _deed(15, "has", 3),
            _deed(15, "delete"),
        ),
        most_vms=4,
    ),
    Story("stopped while it is launched", (_deed(0, "create", 2), _deed(1, "delete")), most_vms=3),
)
