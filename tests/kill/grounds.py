"""An account of each real cloud to die in: its double, the vendor's own client, a ledger.

What a ground tells of VMs comes from the double's inside, not over its API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

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


class Ground(Protocol):
    gate: Gate
    offers: tuple[Offer, ...]

    def provider(self, installation: InstallationId, clock: Clock) -> Provider:
        """Of a new process: it knows nothing."""
        ...

    def running(self) -> set[str]:
        """Ids of VMs, as a listing tells them."""
        ...

    def left(self) -> list[str]:
        """All that is billed or in the way, but for what was there before."""
        ...

    def fill(self, full: bool) -> None:
        """There is no room for any VM, or there is."""
        ...


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


class Gcp:
    offers = _offers(Cloud.GCP, "us-east1", ("us-east1-b", "us-east1-c"), "n2-standard-4")

    def __init__(self, double: GcpDouble) -> None:
        self._double, self.gate = double, double.gate

    def provider(self, installation: InstallationId, clock: Clock) -> Provider:
        double = self._double
        return GcpCloud(
            double.account,
            installation,
            clock=clock,
            offers=lambda _: self.offers,
            credentials=double.credentials,
            timing=TIMING,
            patience_s=5.0,
        )

    def running(self) -> set[str]:
        return set(self._double.compute.instances)

    def left(self) -> list[str]:
        return [*self._double.compute.left(), *self._double.faults]

    def fill(self, full: bool) -> None:
        room = self._double.compute.knobs.room
        for it in self.offers:
            room[it.zone, it.machine_type] = 0 if full else 100


class Aws:
    offers = _offers(Cloud.AWS, "us-east-1", ("us-east-1a", "us-east-1b"), "m7i.xlarge")

    def __init__(self, double: AwsDouble) -> None:
        self._double, self.gate = double, double.front.gate

    def provider(self, installation: InstallationId, clock: Clock) -> Provider:
        double = self._double
        return AwsCloud(
            double.account,
            installation,
            clock=clock,
            offers=lambda _: self.offers,
            session=double.session,
            timing=TIMING,
        )

    def running(self) -> set[str]:
        return {str(it.id) for it in self._double.instances()}

    def left(self) -> list[str]:
        return self._double.left()

    def fill(self, full: bool) -> None:
        for it in self.offers:
            self._double.knobs.room[it.zone, it.machine_type] = 0 if full else 100


class Azure:
    offers = _offers(Cloud.AZURE, "eastus", ("eastus-1", "eastus-2"), "Standard_D4s_v5")

    def __init__(self, double: AzureDouble) -> None:
        self._double, self.gate = double, double.gate

    def provider(self, installation: InstallationId, clock: Clock) -> Provider:
        double = self._double
        return AzureCloud(
            double.account,
            installation,
            clock=clock,
            offers=lambda _: self.offers,
            trust=double.trust,
            timing=TIMING,
            poll_s=0.0,
        )

    def running(self) -> set[str]:
        """One that found no room is a name alone, and no VM."""
        return {
            str(it["id"]).lower()
            for it in self._double.arm.of_kind(VM)
            if it["properties"]["provisioningState"] != "Failed"
        }

    def left(self) -> list[str]:
        return [*self._double.arm.left(), *self._double.arm.faults]

    def fill(self, full: bool) -> None:
        self._double.arm.knobs.room["Standard_D4s_v5"] = 0 if full else 100


@contextmanager
def gcp(folder: Path) -> Iterator[Ground]:
    with GcpDouble(Compute()) as double:
        yield Gcp(double)


@contextmanager
def aws(folder: Path) -> Iterator[Ground]:
    with AwsDouble(AwsKnobs(regions=("us-east-1",))) as double:
        yield Aws(double)


@contextmanager
def azure(folder: Path) -> Iterator[Ground]:
    with AzureDouble(prepared(Arm()), folder) as double:
        yield Azure(double)


GROUNDS: dict[str, Any] = {"gcp": gcp, "aws": aws, "azure": azure}
