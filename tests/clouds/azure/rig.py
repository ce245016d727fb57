"""What the tests of this cloud share: offers, batches, and calls that end before they return."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from shoal.clouds.azure.cloud import AzureCloud
from shoal.clouds.provider import Launched
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.accounts import AzureAccount
from shoal.wire.ids import ClusterId, InstallationId, batch_id, instance_id
from shoal.wire.specs import Cloud, Role
from tests.doubles.azure.arm import Arm, Body
from tests.doubles.azure.server import AzureDouble

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CLUSTER = ClusterId("c-azure00000")
OURS = InstallationId("i-ours")


def offer(
    machine_type: str = "Standard_D4s_v5",
    zone: str = "eastus-1",
    *,
    spot: bool = False,
    arch: str = "x86_64",
    gpu: int = 0,
) -> Offer:
    return Offer(
        cloud=Cloud.AZURE,
        region="eastus",
        zone=zone,
        machine_type=machine_type,
        spot=spot,
        arch=arch,
        vcpu=4,
        memory_bytes=16 << 30,
        gpu=gpu,
        price_uusd_per_hour=192_000,
    )


def batch(count: int = 1, *offers: Offer, number: int = 1, **more: Any) -> Batch:
    first = number * 10_000
    fields: dict[str, Any] = {
        "role": Role.WORKER,
        "head_address": "10.0.0.1:8788",
        "image": "",
        "disk_gib": 50,
        "tags": (("team", "ocean"),),
        "lifetime_s": 0.0,
        **more,
    }
    return Batch(
        id=batch_id(CLUSTER, number),
        cluster=CLUSTER,
        count=count,
        offers=offers or (offer(),),
        instances=tuple(instance_id(CLUSTER, first + n) for n in range(count)),
        cluster_created_at=NOW,
        created_at=NOW,
        **fields,
    )


class Rig:
    def __init__(self, azure: AzureDouble) -> None:
        self.azure = azure
        self.account: AzureAccount = azure.account
        self._clouds: dict[tuple[AzureAccount, float], AzureCloud] = {}
        self.boot_text = "#!/bin/sh\necho héllo\n"

    @property
    def arm(self) -> Arm:
        return self.azure.arm

    def cloud(self, patience_s: float = 5.0) -> AzureCloud:
        """One an account: its connections are kept."""
        key = (self.account, patience_s)
        if key not in self._clouds:
            self._clouds[key] = self._cloud(patience_s)
        return self._clouds[key]

    def _cloud(self, patience_s: float) -> AzureCloud:
        return AzureCloud(
            self.account,
            OURS,
            clock=lambda: NOW,
            trust=self.azure.trust,
            timing=Timing(listing_lag_s=0.0),
            poll_s=0.0,
            patience_s=patience_s,
        )

    def launch(self, batch: Batch, patience_s: float = 5.0) -> Launched:
        return asyncio.run(self.cloud(patience_s).launch(batch, self.boot_text))

    def listed(self) -> list[Vm]:
        return list(asyncio.run(self.cloud().list()))

    def terminate(self, vms: list[Vm]) -> None:
        asyncio.run(self.cloud().terminate(vms))

    def vm(self, name: str) -> Body:
        """As the double keeps it."""
        found: Body = next(it for it in self.arm.resources.values() if it["name"] == name)
        return found

    def calls(self, kind: str) -> int:
        return self.azure.calls.count(kind)

    def after(self, seconds: float) -> datetime:
        return NOW + timedelta(seconds=seconds)
