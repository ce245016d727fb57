"""What a double tells whoever boots something real for each of its VMs."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Machine(msgspec.Struct, frozen=True):
    cloud: str
    id: str
    name: str
    zone: str
    machine_type: str
    arch: str
    user_data: bytes
    address: str  # private IPv4
    mac: str
    spot: bool
    tags: dict[str, str]


class Machines(Protocol):
    def start(self, machine: Machine) -> None: ...

    def stop(self, id: str) -> None: ...
