"""A cloud with one zone and one type that does all it is asked at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shoal.clouds.provider import Launched
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.specs import Cloud


class SmallCloud:
    cloud = Cloud.SIM
    timing = Timing(listing_lag_s=0.0)

    def __init__(self) -> None:
        self.vms: dict[str, Vm] = {}

    async def offers(self, region: str | None) -> Sequence[Offer]:
        return [Offer(Cloud.SIM, "r1", "r1-a", "m4", False, "x86_64", 4, 16 << 30, 190_000)]

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        made = [
            Vm(
                it,
                it,
                batch.id,
                batch.cluster,
                batch.created_at,
                address="127.0.0.1:9",
                zone="r1-a",
                machine_type="m4",
                price_uusd_per_hour=190_000,
            )
            for it in batch.instances
        ]
        for vm in made:
            self.vms.setdefault(vm.id, vm)
        return Launched(tuple(made))

    async def list(self) -> Sequence[Vm]:
        return list(self.vms.values())

    async def terminate(self, vms: Collection[Vm]) -> None:
        for vm in vms:
            self.vms.pop(vm.id, None)
