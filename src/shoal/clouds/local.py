"""This machine as a cloud: a VM is a process tree with an address, a directory and a memory limit.

Every fact is on disk below the root, none in memory, so that another server goes on where a killed
one stopped. A VM's directory is made before its process and is its idempotency token; an ended
VM leaves a tombstone, so that a repeated launch does not raise it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import psutil

from shoal.clouds import local_offers
from shoal.clouds.local_vms import LocalVm, VmDirectories
from shoal.clouds.provider import Launched, NoCapacity, Scope, Shortfall
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud

T = TypeVar("T")
_THREADS = 16
_OVERCOMMIT = 2
_GIB = 1 << 30


class LocalCloud:
    cloud = Cloud.LOCAL
    timing = Timing(
        listing_lag_s=1.0,
        boot_timeout_s=60.0,
        silence_timeout_s=60.0,
        drain_timeout_s=300.0,
        farewell_s=1.0,
        capacity_mark_s=30.0,
        retry_s=0.5,
    )

    def __init__(
        self,
        root: Path,
        installation: InstallationId,
        *,
        agent_python: Callable[[], Path],
        environments: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._directories = VmDirectories(root, installation, environments)
        self._agent_python = agent_python
        self._clock = clock
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._launching = asyncio.Lock()  # so that memory is not promised twice

    async def offers(self, region: str | None) -> Sequence[Offer]:
        return local_offers.offers()

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        async with self._launching:
            return await self._in_thread(lambda: self._launch(batch, boot_text))

    async def list(self) -> Sequence[Vm]:
        return await self._in_thread(self._directories.list)

    async def terminate(self, vms: Collection[Vm]) -> None:
        names = [it.id for it in vms]
        await self._in_thread(lambda: self._directories.end(names))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _launch(self, batch: Batch, boot_text: str) -> Launched:
        python = self._agent_python()
        offer = batch.offers[0]
        free = _limit_bytes() - self._directories.promised_bytes()
        made: list[Vm] = []
        missing = 0
        for name in batch.instances:
            known = self._directories.known(name)
            if not known and free < offer.memory_bytes:
                missing += 1
                continue
            free -= 0 if known else offer.memory_bytes
            vm = LocalVm.new(name, batch, offer, self._clock())
            started = self._directories.start(vm, boot_text, python)
            made += [started] if started else []
        if not missing:
            return Launched(tuple(made))
        error = self._full(offer, missing, batch.count)
        if not made:
            raise error
        return Launched(tuple(made), (Shortfall(missing, error),))

    def _full(self, offer: Offer, missing: int, asked: int) -> NoCapacity:
        used = self._directories.promised_bytes()
        return NoCapacity(
            f"this machine has no memory for {missing} of {asked} × {offer.machine_type} "
            f"({offer.memory_bytes / _GIB:g} GiB each): {used / _GIB:.1f} of "
            f"{_limit_bytes() / _GIB:.1f} GiB are in use by VMs",
            scope=Scope(machine_type=offer.machine_type),
            hint="Ask for fewer or smaller workers, or stop another cluster.",
        )


def _limit_bytes() -> int:
    """VMs' sizes are limits rather than reservations: together they may be twice the memory."""
    return _OVERCOMMIT * int(psutil.virtual_memory().total)
