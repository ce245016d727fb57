"""A cloud without an API: a provider whose VMs are started here and now, and boot for real.

What a VM finds when it wakes is a real cloud's (firmware, metadata, user data); what the provider
does is the least that one may. So the guest's side is tested apart from the vendors' clients.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from shoal.clouds.provider import Launched
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.accounts import CloudAccount
from shoal.wire.boot import AGENT_PORT
from shoal.wire.ids import InstallationId, InstanceId
from shoal.wire.specs import Cloud
from tests.doubles.machines import Machine
from tests.vms.machines import VmMachines

reached: Callable[..., PlainCloud]  # set by plain_server


class PlainAccount:
    """The VMs of the cloud, the ended ones too. Providers come and go; it stays."""

    def __init__(self, cloud: Cloud, machines: VmMachines) -> None:
        self.cloud = cloud
        self.machines = machines
        self.vms: dict[str, Vm] = {}  # by the name that was asked for
        self.numbers = itertools.count(2)

    def running(self) -> list[Vm]:
        running = self.machines.running()
        return [it for it in self.vms.values() if it.id in running]

    def preempt(self, lead_s: float) -> None:
        """The newest spot VM gets its notice now, and ends after `lead_s`."""
        taken = [it for it in self.running() if it.spot][-1]
        self.machines.warn(taken.id, datetime.now(UTC) + timedelta(seconds=lead_s))
        threading.Timer(lead_s, self.machines.stop, [taken.id]).start()


class PlainCloud:
    """A Provider."""

    timing = Timing(listing_lag_s=1.0, boot_timeout_s=120.0, farewell_s=1.0)

    def __init__(
        self,
        has: PlainAccount,
        account: CloudAccount,
        installation: InstallationId,
        *,
        clock: Callable[[], datetime],
        offers: Callable[[str | None], Sequence[Offer]],  # of the catalog; it has its own
    ) -> None:
        self.cloud = has.cloud
        self._has = has
        self._clock = clock
        self._offers = offers

    async def offers(self, region: str | None) -> Sequence[Offer]:
        return self._offers(region)

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        made = tuple(self._launch(name, batch, boot_text) for name in batch.instances)
        running = self._has.running()
        return Launched(tuple(it for it in made if it in running))

    async def list(self) -> Sequence[Vm]:
        return self._has.running()

    async def terminate(self, vms: Collection[Vm]) -> None:
        for it in vms:
            self._has.machines.stop(it.id)

    def _launch(self, name: InstanceId, batch: Batch, boot_text: str) -> Vm:
        if name in self._has.vms:
            return self._has.vms[name]
        number, offer = next(self._has.numbers), batch.offers[0]
        machine = Machine(
            cloud=self.cloud,
            id=_id(self.cloud, number),
            name=name,
            zone=offer.zone,
            machine_type=offer.machine_type,
            arch=offer.arch,
            user_data=boot_text.encode(),
            address=f"10.142.0.{number}",
            mac=f"02:00:0a:8e:00:{number:02x}",
            spot=offer.spot,
            tags=dict(batch.tags),
        )
        self._has.vms[name] = Vm(
            id=machine.id,
            name="" if self.cloud is Cloud.AWS else name,  # EC2 names nobody
            batch=batch.id,
            cluster=batch.cluster,
            created_at=self._clock(),
            address=f"{machine.address}:{AGENT_PORT}",
            region=offer.region,
            zone=offer.zone,
            machine_type=offer.machine_type,
            spot=offer.spot,
            price_uusd_per_hour=offer.price_uusd_per_hour,
        )
        self._has.machines.start(machine)
        return self._has.vms[name]


def _id(cloud: Cloud, number: int) -> str:
    match cloud:
        case Cloud.AWS:
            return f"i-{number:017x}"
        case Cloud.AZURE:
            return f"aaaaaaaa-1111-2222-3333-{number:012}"
        case _:
            return str(4 * 10**18 + number)
