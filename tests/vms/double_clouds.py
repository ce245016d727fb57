"""Doubles of the clouds' APIs whose VMs boot: the vendors' own clients, and real guests.

Each is made for `double_server`: how the server reaches it, the account to be registered, and what
its ledger still holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from shoal.clouds.aws.cloud import AwsCloud
from shoal.clouds.azure.cloud import AzureCloud
from shoal.clouds.gcp.cloud import GcpCloud
from shoal.clouds.provider import Provider
from shoal.core.records import Offer, Timing
from shoal.wire.accounts import AwsAccount, AzureAccount, CloudAccount, GcpAccount
from shoal.wire.ids import InstallationId
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.server import AzureDouble, prepared
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.server import GcpDouble
from tests.vms.fabric import Fabric
from tests.vms.machines import VmMachines
from tests.vms.vm import Boot

reached: Callable[..., Provider]  # set by double_server

_TIMING = Timing(listing_lag_s=1.0, boot_timeout_s=300.0, farewell_s=1.0)

Offers = Callable[[str | None], Sequence[Offer]]


class Double(NamedTuple):
    adapter: Callable[..., Provider]
    account: CloudAccount
    left: Callable[[], list[str]]


@contextlib.contextmanager
def gcp(network: Fabric, boot: Boot, folder: Path) -> Iterator[Double]:
    compute = Compute()
    with VmMachines(network, boot=boot, ended=compute.power_off) as machines:
        compute.machines = machines
        with GcpDouble(compute) as double:

            def adapter(
                account: GcpAccount,
                installation: InstallationId,
                *,
                clock: Callable[[], datetime],
                offers: Offers,
            ) -> GcpCloud:
                return GcpCloud(
                    account,
                    installation,
                    clock=clock,
                    offers=offers,
                    credentials=double.credentials,
                    timing=_TIMING,
                )

            account = msgspec.structs.replace(
                double.account, public_scheduler=False, public_workers=False
            )

            def left() -> list[str]:
                """Rules for heads are shared, cost nothing, and go with `shoal setup --remove`."""
                held = (it for it in compute.left() if not it.startswith("shoal-head-"))
                return [*held, *double.faults]

            yield Double(adapter, account, left)


@contextlib.contextmanager
def aws(network: Fabric, boot: Boot, folder: Path) -> Iterator[Double]:
    double = AwsDouble(Knobs(regions=("us-east-1",)))
    with VmMachines(network, boot=boot, ended=double.end) as machines, double:
        double.machines = machines

        def adapter(
            account: AwsAccount,
            installation: InstallationId,
            *,
            clock: Callable[[], datetime],
            offers: Offers,
        ) -> AwsCloud:
            return AwsCloud(
                account,
                installation,
                clock=clock,
                offers=offers,
                session=double.session,
                timing=_TIMING,
            )

        account = msgspec.structs.replace(
            double.account, public_scheduler=False, public_workers=False
        )
        yield Double(adapter, account, double.left)


@contextlib.contextmanager
def azure(network: Fabric, boot: Boot, folder: Path) -> Iterator[Double]:
    arm = prepared(Arm())

    def is_off(id: str) -> None:
        arm.power_off(id.rpartition("/")[2])

    with VmMachines(network, boot=boot, ended=is_off) as machines:
        arm.machines = machines
        with AzureDouble(arm, folder) as double:

            def adapter(
                account: AzureAccount,
                installation: InstallationId,
                *,
                clock: Callable[[], datetime],
                offers: Offers,
            ) -> AzureCloud:
                def known(region: str | None) -> Sequence[Offer]:
                    return [it for it in offers(region) if it.machine_type in arm.skus]

                return AzureCloud(
                    account,
                    installation,
                    clock=clock,
                    offers=known,
                    trust=double.trust,
                    timing=_TIMING,
                    poll_s=0.1,
                )

            account = AzureAccount(
                double.account.subscription,
                double.account.region,
                endpoint=double.url,
                public_scheduler=False,
                public_workers=False,
            )
            yield Double(adapter, account, lambda: [*arm.left(), *arm.faults])
