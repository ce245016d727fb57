"""The sim cloud: a provider in memory, on whatever clock it is given.

It ships with the product, for trying things out and for every test of what Shoal does when a cloud
is slow, short or deaf. What it does wrong is said by its knobs; what it has is in its account.
Several installations may share an account: each sees only what it tagged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from shoal.clouds.provider import Launched, Throttled, Unknown
from shoal.clouds.sim_account import Request, SimAccount
from shoal.clouds.sim_knobs import Fate, Pool, Step
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud

_UNHEARD = (Fate.LOST_REQUEST, Fate.LATE_REQUEST)


class SimCloud:
    """A Provider."""

    cloud = Cloud.SIM

    def __init__(
        self, account: SimAccount, installation: InstallationId, clock: Callable[[], datetime]
    ) -> None:
        self.account = account
        self.timing: Timing = account.knobs.timing
        self._installation = installation
        self._clock = clock

    async def offers(self, region: str | None) -> Sequence[Offer]:
        self.account.calls["offers"] += 1
        pools = self.account.pools.values()
        here = region or min(it.region for it in pools)
        return [_offer(it, self._clock()) for it in pools if it.region == here]

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        now, account = self._clock(), self.account
        fate = self._begin("launch", now)
        if fate in (Fate.LATE_REQUEST, Fate.DUPLICATED):
            at = now + timedelta(seconds=account.knobs.late_s)
            account.send_late(Request(at, self._installation, batch, boot_text))
        self._lose(fate, "launch", before=True)
        launched = account.create(self._installation, batch, boot_text, now)
        self._lose(fate, "launch", before=False)
        return launched

    async def list(self) -> Sequence[Vm]:
        now = self._clock()
        fate = self._begin("list", now)
        self._lose(fate, "list", before=True)
        self._lose(fate, "list", before=False)
        return self.account.listed(self._installation, now)

    async def terminate(self, vms: Collection[Vm]) -> None:
        now, account = self._clock(), self.account
        fate = self._begin("terminate", now)
        self._lose(fate, "terminate", before=True)
        for vm in vms:
            held = account.vms.get(vm.id)
            if held is not None and held.installation != self._installation:
                account.incidents.append(f"{vm.id} is another installation's, and was to be ended")
            else:
                account.end(vm.id, now, "terminate")
        self._lose(fate, "terminate", before=False)

    def _begin(self, call: str, now: datetime) -> Fate:
        self.account.advance(now)
        fate = self.account.next_fate(call)
        if fate is Fate.THROTTLED:
            until = now + timedelta(seconds=self.account.knobs.throttled_s)
            raise Throttled(f"too many calls; {call} is not answered now", until=until)
        return fate

    def _lose(self, fate: Fate, call: str, *, before: bool) -> None:
        if fate in _UNHEARD if before else fate is Fate.LOST_ANSWER:
            raise Unknown(f"{call}: no answer")


def ordinary_pools(region: str = "sim-1", zones: str = "abc") -> tuple[Pool, ...]:
    """Three zones with four machine types each, on demand and as spot at a third of the price."""
    gib = 1 << 30
    sizes = (("s2", 2, 8), ("s4", 4, 16), ("s8", 8, 32), ("s16", 16, 64))
    return tuple(
        Pool(
            region=region,
            zone=f"{region}{zone}",
            machine_type=name,
            spot=spot,
            vcpu=vcpu,
            memory_bytes=memory * gib,
            price_uusd_per_hour=vcpu * 48_000 // (3 if spot else 1),
            capacity=(Step(0.0, 10_000),),
        )
        for zone in zones
        for name, vcpu, memory in sizes
        for spot in (False, True)
    )


def _offer(pool: Pool, now: datetime) -> Offer:
    return Offer(
        cloud=Cloud.SIM,
        region=pool.region,
        zone=pool.zone,
        machine_type=pool.machine_type,
        spot=pool.spot,
        arch=pool.arch,
        vcpu=pool.vcpu,
        memory_bytes=pool.memory_bytes,
        price_uusd_per_hour=pool.price_uusd_per_hour,
        as_of=now,
    )
