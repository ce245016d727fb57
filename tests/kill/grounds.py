"""An account of each real cloud to die in: its double, the vendor's own client, a ledger.

What a ground tells of VMs comes from the double's inside, not over its API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shoal.clouds.aws.cloud import AwsCloud
from shoal.clouds.azure.cloud import AzureCloud
from shoal.clouds.gcp.cloud import GcpCloud
from shoal.clouds.provider import Provider
from shoal.core.records import Offer, Timing
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud
from tests.doubles.aws.knobs import Knobs as AwsKnobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.azure.arm import VM, Arm
from tests.doubles.azure.server import AzureDouble, prepared
from tests.doubles.gate import Gate
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.server import GcpDouble

Clock = Callable[[], datetime]
TIMING = Timing(listing_lag_s=1.0, boot_timeout_s=60.0, silence_timeout_s=120.0, capacity_mark_s=25)


class Ground(msgspec.Struct, frozen=True):
    """An account on a cloud's double, and what only its inside can tell."""

    offers: tuple[Offer, ...]
    gate: Gate
    room: dict[Any, int]  # by what `pool` gives of an offer
    pool: Callable[[Offer], object]
    adapter: Callable[..., Provider]  # `provider`, of a new process: it knows nothing
    running: Callable[[], set[str]]  # ids of VMs, as a listing tells them
    left: Callable[[], list[str]]  # all that is billed or in the way, but for what was there before

    def provider(self, installation: InstallationId, clock: Clock) -> Provider:
        return self.adapter(installation, clock=clock, offers=lambda _: self.offers, timing=TIMING)

    def fill(self, full: bool) -> None:
        """There is no room for any VM, or there is."""
        for it in self.offers:
            self.room[self.pool(it)] = 0 if full else 100


def of_gcp(double: GcpDouble) -> Ground:
    compute = double.compute
    return Ground(
        _offers(Cloud.GCP, "us-east1", ("us-east1-b", "us-east1-c"), "n2-standard-4"),
        double.gate,
        compute.knobs.room,
        lambda it: (it.zone, it.machine_type),
        partial(GcpCloud, double.account, credentials=double.credentials, patience_s=5.0),
        lambda: set(compute.instances),
        lambda: [*compute.left(), *double.faults],
    )


def of_aws(double: AwsDouble) -> Ground:
    return Ground(
        _offers(Cloud.AWS, "us-east-1", ("us-east-1a", "us-east-1b"), "m7i.xlarge"),
        double.front.gate,
        double.knobs.room,
        lambda it: (it.zone, it.machine_type),
        partial(AwsCloud, double.account, session=double.session),
        lambda: {str(it.id) for it in double.instances()},
        double.left,
    )


def of_azure(double: AzureDouble) -> Ground:
    arm = double.arm

    def running() -> set[str]:
        """One that found no room is a name alone, and no VM."""
        found = [it for it in arm.of_kind(VM) if it["properties"]["provisioningState"] != "Failed"]
        return {str(it["id"]).lower() for it in found}

    return Ground(
        _offers(Cloud.AZURE, "eastus", ("eastus-1", "eastus-2"), "Standard_D4s_v5"),
        double.gate,
        arm.knobs.room,
        lambda it: it.machine_type,
        partial(AzureCloud, double.account, trust=double.trust, poll_s=0.0),
        running,
        lambda: [*arm.left(), *arm.faults],
    )


@contextmanager
def gcp(folder: Path) -> Iterator[Ground]:
    with GcpDouble(Compute()) as double:
        yield of_gcp(double)


@contextmanager
def aws(folder: Path) -> Iterator[Ground]:
    with AwsDouble(AwsKnobs(regions=("us-east-1",))) as double:
        yield of_aws(double)


@contextmanager
def azure(folder: Path) -> Iterator[Ground]:
    with AzureDouble(prepared(Arm()), folder) as double:
        yield of_azure(double)


GROUNDS: dict[str, Any] = {"gcp": gcp, "aws": aws, "azure": azure}


def _offers(cloud: Cloud, region: str, zones: tuple[str, ...], type_: str) -> tuple[Offer, ...]:
    return tuple(
        Offer(
            cloud=cloud,
            region=region,
            zone=zone,
            machine_type=type_,
            spot=False,
            arch="x86_64",
            vcpu=4,
            memory_bytes=16 << 30,
            price_uusd_per_hour=200_000,
        )
        for zone in zones
    )
