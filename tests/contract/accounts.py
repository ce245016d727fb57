"""An account of each cloud to hold a provider against: the same few things, whatever the cloud.

A new cloud joins the contract with one class here.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import psutil

from shoal.clouds.aws.cloud import AwsCloud
from shoal.clouds.azure.cloud import AzureCloud
from shoal.clouds.gcp.cloud import GcpCloud
from shoal.clouds.local import LocalCloud
from shoal.clouds.provider import Provider
from shoal.clouds.sim import SimCloud
from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_clock import VirtualClock
from shoal.clouds.sim_knobs import Knobs, Pool, Step
from shoal.core.records import Offer, Timing
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud
from tests.doubles.aws.knobs import Knobs as AwsKnobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.knobs import Knobs as AzureKnobs
from tests.doubles.azure.server import AzureDouble, prepared
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.compute import Knobs as GcpKnobs
from tests.doubles.gcp.server import GcpDouble

OURS, THEIRS = InstallationId("i-ours"), InstallationId("i-theirs")
FEW = 5  # more than this many of the chosen offer cannot be had


class Account(Protocol):
    boot_text: str

    def provider(self, installation: InstallationId = OURS) -> Provider:
        """Another one each time, as after a restart."""
        ...

    def now(self) -> datetime: ...

    def choose(self, offers: Collection[Offer]) -> Offer:
        """An offer of which FEW + 1 cannot be had."""
        ...

    def settle(self) -> None:
        """Until what was asked has happened, and every lag is over."""
        ...

    def left(self) -> str:
        """What is still there of anybody's VMs; empty: nothing."""
        ...


class Sim:
    boot_text = "#!/bin/sh\n"

    def __init__(self, *, named: bool) -> None:
        self._clock = VirtualClock()
        pool = Pool("sim-1", "sim-1a", "s4", capacity=(Step(0.0, FEW),))
        self._account = SimAccount((pool,), self._clock(), Knobs(named=named))

    def provider(self, installation: InstallationId = OURS) -> Provider:
        return SimCloud(self._account, installation, self._clock)

    def now(self) -> datetime:
        return self._clock()

    def choose(self, offers: Collection[Offer]) -> Offer:
        return next(iter(offers))

    def settle(self) -> None:
        self._clock.advance(300)

    def left(self) -> str:
        running = [it.id for it in self._account.vms.values() if it.ended_at is None]
        return " ".join([*running, *self._account.incidents])


class Local:
    """VMs whose boot text is a shell that sleeps, with a child that has left its session."""

    boot_text = "#!/bin/sh\nsetsid sleep 600 &\nexec sleep 600\n"

    def __init__(self, root: Path) -> None:
        self._root = root

    def provider(self, installation: InstallationId = OURS) -> Provider:
        return LocalCloud(
            self._root / "local",
            installation,
            agent_python=lambda: Path(sys.executable),
            environments=self._root / "environments",
            clock=self.now,
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def choose(self, offers: Collection[Offer]) -> Offer:
        """So large that the machine's memory is not promised more often than FEW times."""
        most = 2 * psutil.virtual_memory().total
        fit = [it for it in offers if most // (FEW + 1) < it.memory_bytes <= most // FEW]
        largest = max(offers, key=lambda it: it.memory_bytes)
        return fit[0] if fit else largest

    def settle(self) -> None:
        deadline, waiting = time.monotonic() + 10, threading.Event()
        while self._ending() and time.monotonic() < deadline:
            waiting.wait(0.05)
        waiting.wait(LocalCloud.timing.listing_lag_s)

    def _ending(self) -> bool:
        """A VM whose main process has ended, and whose directory is still there."""
        vms = self._root / "local" / "vms"
        names = [it.name for it in vms.iterdir() if not it.name.startswith(".")]
        return len(names) > len({_vm_of(it) for it in self._processes()} & set(names))

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR", "").startswith(str(self._root)):
                    found.append(process)
            except psutil.Error:
                continue
        return [it for it in found if it.is_running() and it.status() != psutil.STATUS_ZOMBIE]

    def left(self) -> str:
        vms = [it.name for it in (self._root / "local" / "vms").iterdir()]
        return " ".join([*vms, *(str(it.cmdline()) for it in self._processes())])


class Azure:
    """A subscription in which FEW VMs of a size find room."""

    boot_text = "#!/bin/sh\n"

    def __init__(self, root: Path) -> None:
        knobs = AzureKnobs(room={"Standard_D4s_v5": FEW})
        self._double = AzureDouble(prepared(Arm(knobs)), root)
        self._double.__enter__()

    def provider(self, installation: InstallationId = OURS) -> Provider:
        return AzureCloud(
            self._double.account,
            installation,
            clock=self.now,
            offers=lambda _: AZURE_OFFERS,
            trust=self._double.trust,
            timing=Timing(listing_lag_s=0.1),
            poll_s=0.0,
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def choose(self, offers: Collection[Offer]) -> Offer:
        return next(iter(offers))

    def settle(self) -> None:
        """Nothing lags here."""

    def left(self) -> str:
        left = " ".join([*self._double.arm.left(), *self._double.arm.faults])
        self._double.__exit__(None, None, None)
        return left


class Aws:
    """An account in which FEW VMs of a type find room."""

    boot_text = "#!/bin/sh\n"

    def __init__(self) -> None:
        self._double = AwsDouble(
            AwsKnobs(regions=("us-east-1",), room={("us-east-1a", "m7i.xlarge"): FEW})
        )
        self._double.__enter__()

    def provider(self, installation: InstallationId = OURS) -> Provider:
        return AwsCloud(
            self._double.account,
            installation,
            clock=self.now,
            offers=lambda _: AWS_OFFERS,
            session=self._double.session,
            timing=Timing(listing_lag_s=0.1),
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def choose(self, offers: Collection[Offer]) -> Offer:
        return next(iter(offers))

    def settle(self) -> None:
        """Nothing lags here."""

    def left(self) -> str:
        left = self._double.left()
        self._double.__exit__(None, None, None)
        return " ".join(left)


class Gcp:
    """A project in which FEW VMs of a type find room."""

    boot_text = "#!/bin/sh\n"

    def __init__(self) -> None:
        self._double = GcpDouble(Compute(GcpKnobs(room={("us-east1-b", "n2-standard-4"): FEW})))
        self._double.__enter__()

    def provider(self, installation: InstallationId = OURS) -> Provider:
        return GcpCloud(
            self._double.account,
            installation,
            clock=self.now,
            offers=lambda _: GCP_OFFERS,
            credentials=self._double.credentials,
            timing=Timing(listing_lag_s=0.1),
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def choose(self, offers: Collection[Offer]) -> Offer:
        return next(iter(offers))

    def settle(self) -> None:
        """Nothing lags here."""

    def left(self) -> str:
        left = " ".join([*self._double.compute.left(), *self._double.faults])
        self._double.__exit__(None, None, None)
        return left


GCP_OFFERS = (
    Offer(
        cloud=Cloud.GCP,
        region="us-east1",
        zone="us-east1-b",
        machine_type="n2-standard-4",
        spot=False,
        arch="x86_64",
        vcpu=4,
        memory_bytes=16 << 30,
        price_uusd_per_hour=194_200,
    ),
)
AWS_OFFERS = (
    Offer(
        cloud=Cloud.AWS,
        region="us-east-1",
        zone="us-east-1a",
        machine_type="m7i.xlarge",
        spot=False,
        arch="x86_64",
        vcpu=4,
        memory_bytes=16 << 30,
        price_uusd_per_hour=201_600,
    ),
)
AZURE_OFFERS = (
    Offer(
        cloud=Cloud.AZURE,
        region="eastus",
        zone="eastus-1",
        machine_type="Standard_D4s_v5",
        spot=False,
        arch="x86_64",
        vcpu=4,
        memory_bytes=16 << 30,
        price_uusd_per_hour=192_000,
    ),
)


def _vm_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("SHOAL_VM_NAME", "")
    except psutil.Error:
        return ""
