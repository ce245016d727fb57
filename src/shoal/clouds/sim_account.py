"""The inside of the sim cloud: one account's VMs, pools, tokens, and a ledger that forgets nothing.

It is what a real cloud keeps to itself. Providers (sim.py), one an installation, ask it; tests read
the ledger. Time is told to it: `advance` lets everything happen that was due by then.
"""

from __future__ import annotations

import copy
import hashlib
from bisect import bisect_right
from collections import Counter
from datetime import datetime, timedelta
from typing import Self

import msgspec

from shoal.clouds.provider import (
    Launched,
    LaunchError,
    NoCapacity,
    Refused,
    Scope,
    Shortfall,
    Unknown,
)
from shoal.clouds.sim_knobs import Fate, Knobs, Pool, Step, VmFate
from shoal.core.records import Batch, Vm
from shoal.wire.boot import AGENT_PORT
from shoal.wire.ids import BatchId, InstallationId, InstanceId

PoolKey = tuple[str, str, bool]  # zone, machine type, spot


class SimVm(msgspec.Struct, frozen=True):
    """A ledger entry: everything that ever was billed."""

    id: str
    name: str
    installation: InstallationId
    batch: BatchId
    cluster: str
    pool: Pool
    address: str
    created_at: datetime
    fate: VmFate
    ending_at: datetime | None = None  # since then it is listed as ending
    ended_at: datetime | None = None  # since then nothing of it is left
    ended_by: str = ""

    def ended(self, now: datetime) -> bool:
        return self.ended_at is not None and self.ended_at <= now

    def ending(self, now: datetime) -> bool:
        return self.ending_at is not None and self.ending_at <= now


class Token(msgspec.Struct, frozen=True):
    """A request that was accepted, and its answer."""

    at: datetime
    digest: str  # of the request's bytes
    vms: tuple[str, ...]
    shortfalls: tuple[Shortfall, ...]


class Request(msgspec.Struct, frozen=True):
    """On its way."""

    at: datetime
    installation: InstallationId
    batch: Batch
    boot_text: str


class SimAccount:
    def __init__(
        self, pools: tuple[Pool, ...], began: datetime, knobs: Knobs | None = None
    ) -> None:
        self.knobs = knobs or Knobs()
        self.pools = {(it.zone, it.machine_type, it.spot): it for it in pools}
        self.vms: dict[str, SimVm] = {}  # by the cloud's id; never forgets
        self.calls: Counter[str] = Counter()
        self.incidents: list[str] = []  # what no correct client does
        self._began = began
        self._now = began
        self._living: dict[str, None] = {}  # ids of those that have not ended
        self._tokens: dict[tuple[InstallationId, BatchId], Token] = {}
        self._under_way: tuple[Request, ...] = ()
        self._fates: Counter[str] = Counter()

    def copy(self) -> Self:
        """Another account, with the same past."""
        made = copy.copy(self)
        made.vms, made._living = dict(self.vms), dict(self._living)
        made.pools, made._tokens = dict(self.pools), dict(self._tokens)
        made.calls, made._fates = Counter(self.calls), Counter(self._fates)
        made.incidents = list(self.incidents)
        return made

    def next_fate(self, call: str) -> Fate:
        """Of this call; counts it."""
        knobs = self.knobs
        fates = {"launch": knobs.launches, "terminate": knobs.terminates, "list": knobs.lists}[call]
        place = self.calls[call]
        self.calls[call] += 1
        return fates[place % len(fates)]

    def alive(self, now: datetime) -> list[SimVm]:
        self.advance(now)
        return [self.vms[id] for id in self._living]

    def advance(self, now: datetime) -> None:
        """Let happen what was due: late requests, deaths, preemptions."""
        if now <= self._now:
            return
        self._now = now
        due = tuple(it for it in self._under_way if it.at <= now)
        self._under_way = tuple(it for it in self._under_way if it.at > now)
        for it in due:
            self._deliver(it)
        for id in list(self._living):
            self._age(self.vms[id], now)
        self._preempt_for_capacity(now)

    def create(
        self, installation: InstallationId, batch: Batch, boot_text: str, now: datetime
    ) -> Launched:
        """Idempotent by the batch's id: the same answer, or an incident if the bytes differ."""
        self.advance(now)
        digest = hashlib.sha256(boot_text.encode() + msgspec.json.encode(batch)).hexdigest()
        token = self._tokens.get((installation, batch.id))
        if token is not None and now - token.at < timedelta(seconds=self.knobs.token_memory_s):
            if token.digest != digest:
                self.incidents.append(f"{batch.id}: its token came again with other bytes")
                raise Unknown(f"The token {batch.id} was used for another request.")
            shown = tuple(self.shown(self.vms[id], now) for id in token.vms)
            return Launched(shown, token.shortfalls)
        made, shortfalls = self._start(installation, batch, now)
        if not made and len(shortfalls) > 1:
            return Launched((), shortfalls)
        if not made:
            raise shortfalls[0].error
        ids = tuple(it.id for it in made)
        self._tokens[installation, batch.id] = Token(now, digest, ids, shortfalls)
        return Launched(tuple(self.shown(it, now) for it in made), shortfalls)

    @property
    def expecting(self) -> bool:
        """A request is still on its way."""
        return bool(self._under_way)

    def send_late(self, request: Request) -> None:
        self._under_way += (request,)

    def end(self, id: str, now: datetime, by: str) -> None:
        """Absent, or ending already, is success."""
        vm = self.vms.get(id)
        if vm is None or vm.ending(now):
            return
        ended_at = now + timedelta(seconds=self.knobs.ending_s)
        self._change(vm, ending_at=now, ended_at=ended_at, ended_by=by)

    def preempt(self, vm: SimVm, now: datetime) -> None:
        """The cloud takes it, after its notice."""
        at = now + timedelta(seconds=self.knobs.notice_s)
        self._change(vm, ending_at=at, ended_at=at, ended_by="preempted")

    def set_capacity(self, key: PoolKey, capacity: int, now: datetime) -> None:
        """From now on; what runs as spot above it is preempted."""
        self.advance(now)
        pool = self.pools[key]
        steps = (*pool.capacity, Step(self._since_began(now), capacity))
        self.pools[key] = msgspec.structs.replace(pool, capacity=steps)
        self._preempt_for_capacity(now)

    def shown(self, vm: SimVm, then: datetime) -> Vm:
        """As it was then."""
        has_address = then >= vm.created_at + timedelta(seconds=self.knobs.address_after_s)
        return Vm(
            id=vm.id,
            name=vm.name,
            batch=vm.batch,
            cluster=vm.cluster,
            created_at=vm.created_at,
            running=not vm.ending(then),
            address=vm.address if has_address else "",
            region=vm.pool.region,
            zone=vm.pool.zone,
            machine_type=vm.pool.machine_type,
            spot=vm.pool.spot,
            price_uusd_per_hour=vm.pool.price_uusd_per_hour,
        )

    def listed(self, installation: InstallationId, now: datetime) -> list[Vm]:
        """As a listing shows it: late in both directions."""
        self.advance(now)
        appeared = now - timedelta(seconds=self.knobs.appear_lag_s)
        known = now - timedelta(seconds=self.knobs.vanish_lag_s)
        return [
            self.shown(vm, known)
            for vm in self.vms.values()
            if vm.installation == installation and vm.created_at <= appeared and not vm.ended(known)
        ]

    def _start(
        self, installation: InstallationId, batch: Batch, now: datetime
    ) -> tuple[list[SimVm], tuple[Shortfall, ...]]:
        names = self._free_names(batch) if self.knobs.named else [""] * batch.count
        by_quota = self._room_in_quota()
        wanted = min(len(names), by_quota)
        made: list[SimVm] = []
        empty: list[Pool] = []
        for offer in batch.offers:
            pool = self.pools[offer.zone, offer.machine_type, offer.spot]
            room = min(self._room(pool, now), wanted - len(made))
            for _ in range(room):
                made.append(self._make(installation, batch, pool, names[len(made)], now))
            if len(made) == wanted:
                break
            empty.append(pool)
        return made, self._shortfalls(batch, wanted - len(made), batch.count - wanted, empty)

    def _free_names(self, batch: Batch) -> list[InstanceId]:
        taken = {self.vms[id].name for id in self._living}
        return [it for it in batch.instances if it not in taken]

    def _make(
        self,
        installation: InstallationId,
        batch: Batch,
        pool: Pool,
        name: str,
        now: datetime,
    ) -> SimVm:
        number = len(self.vms) + 1
        fates = self.knobs.vms
        vm = SimVm(
            id=f"vm-{number}",
            name=name,
            installation=installation,
            batch=batch.id,
            cluster=batch.cluster,
            pool=pool,
            address=_address(number),
            created_at=now,
            fate=fates[(number - 1) % len(fates)],
        )
        self.vms[vm.id] = vm
        self._living[vm.id] = None
        return vm

    def _shortfalls(
        self, batch: Batch, lacking: int, over_quota: int, empty: list[Pool]
    ) -> tuple[Shortfall, ...]:
        found: list[Shortfall] = []
        if lacking:
            first, *others = empty
            error: LaunchError = NoCapacity(
                f"no capacity for {first.words}",
                scope=_scope(first),
                also=tuple(map(_scope, others)),
            )
            found.append(Shortfall(lacking, error))
        if over_quota:
            region = batch.offers[0].region
            error = Refused(
                f"the quota of {self.knobs.quota} VMs in {region} is used up",
                scope=Scope(region=region),
                hint=f"Raise the quota of {region}, or end other clusters.",
            )
            found.append(Shortfall(over_quota, error))
        return tuple(found)

    def _room_in_quota(self) -> int:
        if self.knobs.quota is None:
            return 1_000_000_000
        return max(0, self.knobs.quota - len(self._living))

    def _room(self, pool: Pool, now: datetime) -> int:
        return max(0, self._capacity(pool, now) - len(self._in_pool(pool)))

    def _capacity(self, pool: Pool, now: datetime) -> int:
        place = bisect_right(pool.capacity, self._since_began(now), key=lambda it: it.after_s)
        return pool.capacity[place - 1].count if place else 0

    def _in_pool(self, pool: Pool) -> list[SimVm]:
        key = _key(pool)
        return [vm for id in self._living if _key((vm := self.vms[id]).pool) == key]

    def _since_began(self, now: datetime) -> float:
        return (now - self._began).total_seconds()

    def _deliver(self, request: Request) -> None:
        try:
            self.create(request.installation, request.batch, request.boot_text, self._now)
        except LaunchError:
            return  # nobody is there to hear it

    def _age(self, vm: SimVm, now: datetime) -> None:
        fate = vm.fate
        if fate.dies_after_s is not None and vm.ending_at is None:
            at = vm.created_at + timedelta(seconds=fate.dies_after_s)
            if at <= now:
                vm = self._change(vm, ending_at=at, ended_at=at, ended_by="itself")
        if fate.preempted_after_s is not None and vm.ending_at is None:
            at = vm.created_at + timedelta(seconds=fate.preempted_after_s + self.knobs.notice_s)
            if at - timedelta(seconds=self.knobs.notice_s) <= now:
                vm = self._change(vm, ending_at=at, ended_at=at, ended_by="preempted")
        if vm.ended(now):
            self._living.pop(vm.id, None)

    def _preempt_for_capacity(self, now: datetime) -> None:
        for pool in self.pools.values():
            if not pool.spot or len(pool.capacity) == 1:
                continue
            held = [vm for vm in self._in_pool(pool) if vm.ending_at is None]
            over = len(held) - self._capacity(pool, now)
            for vm in held[len(held) - over :] if over > 0 else ():
                self.preempt(vm, now)
                self._age(self.vms[vm.id], now)

    def _change(self, vm: SimVm, **changes: object) -> SimVm:
        changed = msgspec.structs.replace(vm, **changes)
        self.vms[vm.id] = changed
        if changed.ended(self._now):
            self._living.pop(vm.id, None)
        return changed


def _key(pool: Pool) -> PoolKey:
    return (pool.zone, pool.machine_type, pool.spot)


def _scope(pool: Pool) -> Scope:
    return Scope(pool.region, pool.zone, pool.machine_type, pool.spot)


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:{AGENT_PORT}"
