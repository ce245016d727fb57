"""What a test may turn in the double."""

from __future__ import annotations

import msgspec


class Sku(msgspec.Struct, frozen=True):
    """A size of VM as Resource SKUs tells it."""

    name: str
    family: str
    vcpu: int
    memory_gib: float
    arch: str = "x64"
    zones: tuple[str, ...] = ("1", "2", "3")
    gpu: int = 0
    spot: bool = True


SKUS = (
    Sku("Standard_D4s_v5", "standardDSv5Family", 4, 16),
    Sku("Standard_D8s_v5", "standardDSv5Family", 8, 32),
    Sku("Standard_D4ps_v6", "standardDpsv6Family", 4, 16, arch="Arm64", zones=("1",)),
    Sku("Standard_NC40ads_H100_v5", "StandardNCadsH100v5Family", 40, 320, gpu=1),
)


class Refusal(msgspec.Struct, frozen=True):
    """Of VMs of this size (and zone), at the front door or when Azure looks for room."""

    code: str
    size: str = "*"
    zone: str = "*"
    early: bool = True  # by the deployment's check; else of each VM, afterwards
    message: str = ""

    def matches(self, size: str, zone: str) -> bool:
        return self.size in ("*", size) and self.zone in ("*", zone)


class Knobs(msgspec.Struct):
    room: dict[str, int] = {}  # VMs of a size that fit; absent: all
    cores: dict[str, int] = {}  # the limit of a family; absent: 10,000
    refusals: list[Refusal] = []
    throttles: int = 0  # so many of the next calls get 429
    retry_after_s: int = 7
    lost: list[str] = []  # "PUT deployments": done, and the connection is cut before the answer
    page_size: int = 100
    polls: int = 1  # requests until an operation is over
    scores: dict[tuple[str, str], str] = {}  # (size, zone) → "High", of spot placement
    lag_s: float = 0.0  # lists are as old as that
    denied: frozenset[str] = frozenset()  # actions that the caller's role lacks
    unregistered: frozenset[str] = frozenset()  # resource providers
