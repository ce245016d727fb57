"""What this machine has on offer: sizes up to its own, at the price of a like machine in a cloud.

Nobody is billed: the price says what the same hours would have cost on demand on Google's n2 family
in us-central1, $0.031611 a vCPU-hour and $0.004237 a GiB-hour (n2-standard-4: $0.1942; checked
2026-11-01). It makes an estimate possible before anything runs in a cloud.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime

import psutil

from shoal.core.records import Offer
from shoal.wire.specs import Cloud

REGION = ZONE = "local"
_UUSD_PER_CPU_HOUR = 31_611
_UUSD_PER_GIB_HOUR = 4_237
_AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
_GIB = 1 << 30


def offers() -> tuple[Offer, ...]:
    cores = psutil.cpu_count() or 1
    total_gib = psutil.virtual_memory().total / _GIB
    return tuple(
        _offer(cpus, gib) for cpus in _doubling(cores) for gib in _doubling(int(total_gib)) if gib
    )


def _doubling(most: int) -> list[int]:
    """1, 2, 4, … and the most itself."""
    sizes = [1 << n for n in range(most.bit_length()) if 1 << n <= most]
    return sizes if not sizes or sizes[-1] == most else [*sizes, most]


def _offer(cpus: int, gib: int) -> Offer:
    arch = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower())
    return Offer(
        cloud=Cloud.LOCAL,
        region=REGION,
        zone=ZONE,
        machine_type=f"local-{cpus}x{gib}",
        spot=False,
        arch=arch or platform.machine().lower(),
        vcpu=cpus,
        memory_bytes=gib * _GIB,
        price_uusd_per_hour=cpus * _UUSD_PER_CPU_HOUR + gib * _UUSD_PER_GIB_HOUR,
        as_of=_AS_OF,
    )
