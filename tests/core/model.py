"""The record and the hands in a few lines of memory: enough to run plans against a sim account.

A second, much simpler implementation of what the store and the reconciler do, so that properties of
`plan` can be looked for by the thousand. `stop_after` cuts the hands off in the middle of a plan.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from shoal.clouds.provider import Launched, LaunchError, NoCapacity, Refused, Scope, Unknown
from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_agents import Demand, head_report
from shoal.clouds.sim_clock import VirtualClock
from shoal.core import actions as do
from shoal.core.provision import plan
from shoal.core.records import (
    Batch,
    Cluster,
    HeadObservation,
    Instance,
    Listing,
    Observation,
    Offer,
    PoolMark,
    Tally,
    Vm,
    World,
)
from shoal.core.scale import peak
from shoal.wire.ids import BatchId, InstallationId, InstanceId
from shoal.wire.reports import HeadReport
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import InstanceState, Stage

ME = InstallationId("i-1")
_INTENDED, _LAUNCHED = InstanceState.INTENDED, InstanceState.LAUNCHED
_RELEASED, _GONE = InstanceState.RELEASED, InstanceState.GONE
replace = msgspec.structs.replace


class Model:
    def __init__(self, account: SimAccount, clock: VirtualClock, cluster: Cluster) -> None:
        self.account, self.clock, self.cluster = account, clock, cluster
        self.rows: dict[InstanceId, Instance] = {}
        self.batches: dict[BatchId, Batch] = {}
        self.observations: dict[InstanceId, Observation] = {}
        self.head: HeadObservation | None = None
        self.marks: list[PoolMark] = []
        self.trusted_since = clock()
        self.demand: tuple[Demand, ...] = ()

    def hear(self) -> None:
        report = head_report(
            self.account, self.cluster.id, self.rows.values(), self.clock(), self.demand
        )
        if report is not None:
            self._record(report)

    def world(self, listing: Listing) -> World:
        """Listing first, rows after it."""
        now = self.clock()
        living = tuple(it for it in self.rows.values() if it.state is not _GONE)
        names = {it.name or it.batch for it in listing.vms} | {it.id for it in listing.vms}
        gone = {it.id for it in self.rows.values() if it.state is _GONE}
        past = gone | {it.vm for it in self.rows.values() if it.state is _GONE and it.vm}
        past |= set(self.batches) - {it.batch for it in living}
        return World(
            now=now,
            installation=ME,
            cloud=Cloud.SIM,
            timing=self.account.knobs.timing,
            clusters=() if self.cluster.settled_at else (self.cluster,),
            batches=tuple(self.batches[id] for id in dict.fromkeys(it.batch for it in living)),
            instances=living,
            observations={id: it for id, it in self.observations.items() if id not in gone},
            heads={self.cluster.id: self.head} if self.head else {},
            tallies={self.cluster.id: self._tally()},
            marks=tuple(it for it in self.marks if it.until > now),
            offers=self._offers(),
            listing=listing,
            past=frozenset(past & names),
            clock_trusted_since=self.trusted_since,
        )

    def observe(self) -> Listing:
        return Listing(self.clock(), tuple(self.account.listed(ME, self.clock())))

    def run_pass(self, stop_after: int | None = None) -> list[do.Action]:
        """Plan and do, until a plan writes nothing; the plan's actions, all that were done."""
        listing, done = self.observe(), []
        for _ in range(6):
            before = (dict(self.rows), self.cluster, list(self.marks))
            for action in plan(self.world(listing)):
                if stop_after is not None and len(done) >= stop_after:
                    return done
                done.append(action)
                self.perform(action)
            if before == (self.rows, self.cluster, self.marks):
                break
        return done

    def perform(self, action: do.Action) -> None:
        now = self.clock()
        match action:
            case do.Intend(batch=batch, generation=generation):
                self._intend(batch, generation)
            case do.Launch():
                self._launch(action)
            case do.Bind(instance=id, vm=vm):
                self._bind(id, vm)
            case do.Retire(instances=ids):
                for id in ids:
                    self._move(id, (_INTENDED, _LAUNCHED), retiring_since=now)
            case do.Release(instances=ids, failed=failed, why=why):
                for id in ids:
                    changes = {"released_at": now, "failed": failed, "why": why}
                    self._move(id, (_INTENDED, _LAUNCHED), state=_RELEASED, **changes)
            case do.Gone(instances=ids):
                for id in ids:
                    self._move(id, (_RELEASED,), state=_GONE, gone_at=now)
            case do.Terminate(vms=vms) | do.Sweep(vms=vms):
                for vm in vms:
                    self.account.end(vm.id, now, "terminate")
            case do.Scale(wanted=wanted):
                workers = replace(self.cluster.spec.workers, wanted=wanted)
                self._ask(spec=replace(self.cluster.spec, workers=workers))
            case do.End(kind=kind, why=why):
                self._ask(ended_at=now, end_kind=kind, end_reason=why)
            case do.Settle():
                self.cluster = replace(self.cluster, settled_at=now)
            case do.Avoid(mark=mark):
                self.marks.append(mark)
            case do.Alarm():
                pass

    def _ask(self, **changes: object) -> None:
        if self.cluster.ended_at is None:
            generation = self.cluster.generation + 1
            self.cluster = replace(self.cluster, generation=generation, **changes)

    def _intend(self, batch: Batch, generation: int) -> None:
        asked = self.cluster
        if asked.ended_at or asked.generation != generation or batch.id in self.batches:
            return
        self.batches[batch.id] = batch
        for id in batch.instances:
            assert id not in self.rows
            self.rows[id] = Instance(
                id, batch.id, batch.cluster, batch.role, _INTENDED, self.clock(), "", self.clock()
            )

    def _launch(self, action: do.Launch) -> None:
        assert action.batch.id in self.batches, "asked for before it was on record"
        fate = self.account.next_fate("launch")
        try:
            if fate == "lost request":
                raise Unknown("lost")
            answer = self.account.create(ME, action.batch, "boot", self.clock())
            if fate == "lost answer":
                raise Unknown("lost")
        except Unknown:
            return
        except LaunchError as error:
            self._refused(action.waiting, error)
            return
        self._accepted(action, answer)

    def _accepted(self, action: do.Launch, answer: Launched) -> None:
        left = list(action.waiting)
        for vm in answer.vms:
            if vm.id in action.bound:
                continue
            id = InstanceId(vm.name) if vm.name else next(iter(left), None)
            if id in left:
                left.remove(id)
                self._bind(id, vm)
        for shortfall in answer.shortfalls:
            self._refused(
                [left.pop() for _ in range(min(shortfall.count, len(left)))], shortfall.error
            )

    def _refused(self, ids: object, error: LaunchError) -> None:
        scopes: tuple[Scope, ...] = ()
        match error:
            case NoCapacity():
                scopes = (error.scope, *error.also)
            case Refused():
                scopes = (error.scope,)
        until = self.clock() + timedelta(seconds=self.account.knobs.timing.capacity_mark_s)
        for it in scopes:
            self.marks.append(
                PoolMark(
                    Cloud.SIM, it.region, it.zone, it.machine_type, it.spot, until, error.message
                )
            )
        self.perform(do.Release(self.cluster.id, tuple(ids), False, error.message))  # type: ignore[arg-type]

    def _bind(self, id: InstanceId, vm: Vm) -> None:
        if any(it.vm == vm.id and it.id != id for it in self.rows.values()):
            return
        if self.rows[id].vm == vm.id:
            self._move(id, (_LAUNCHED,), address=vm.address)
        place = {"zone": vm.zone, "machine_type": vm.machine_type, "spot": vm.spot}
        known = {"vm": vm.id, "address": vm.address, "launched_at": self.clock()}
        self._move(id, (_INTENDED,), state=_LAUNCHED, **place, **known)

    def _move(self, id: InstanceId, states: tuple[InstanceState, ...], **changes: object) -> None:
        if self.rows[id].state in states:
            self.rows[id] = replace(self.rows[id], **changes)

    def _record(self, report: HeadReport) -> None:
        for vm in report.vms:
            self.observations[vm.instance] = Observation(
                vm.instance, vm.stage, vm.since, self.clock(), failure=vm.failure
            )
        told, known = report.scheduler, self.head
        if told is None:
            return
        held, since = peak(known, told.adaptive_target, self.clock())
        self.head = HeadObservation(
            self.cluster.id,
            self.clock(),
            told.address,
            adaptive_target=told.adaptive_target,
            adaptive_peak=held,
            adaptive_since=since,
            closable=told.closable,
            ready_at=(known.ready_at if known else None) or self.clock(),
        )

    def _tally(self) -> Tally:
        rows = self.rows.values()
        ready = [it.since for it in self.observations.values() if it.stage is not Stage.PREPARING]
        last_ready = max(ready, default=None)
        failed = [
            it
            for it in rows
            if it.failed and it.released_at and (last_ready is None or it.released_at > last_ready)
        ]
        workers = [it for it in rows if it.role is Role.WORKER]
        return Tally(
            self.cluster.id,
            len(self.batches),
            len(self.rows),
            sum(it.launched_at is not None for it in workers),
            len(failed),
            max((it.released_at for it in failed if it.released_at), default=None),
            failed[-1].why if failed else "",
            sum(it.id in self.observations for it in workers),
        )

    def _offers(self) -> tuple[Offer, ...]:
        return tuple(
            Offer(
                Cloud.SIM,
                it.region,
                it.zone,
                it.machine_type,
                it.spot,
                it.arch,
                it.vcpu,
                it.memory_bytes,
                it.price_uusd_per_hour,
            )
            for it in self.account.pools.values()
        )
