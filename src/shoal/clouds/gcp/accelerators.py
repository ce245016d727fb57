"""GPUs that are attached to N1 machines: Compute Engine sells the two apart, core knows machines.

A machine with GPUs attached has a name of its own, "n1-standard-8+2xt4", by which it is offered,
chosen, avoided and billed; only a request and a listing take it apart. How much of a machine a
number of GPUs allows: https://cloud.google.com/compute/docs/gpus (read 2026-11, not tried).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from shoal.clouds.catalog.facts import MachineType

HOST_FAMILY = "n1"
_PREFIX = "nvidia-tesla-"
_NAME = re.compile(r"(?P<machine>[^+]+)\+(?P<count>\d+)x(?P<kind>[a-z0-9]+)")


class Attached(NamedTuple):
    """`number` 0: the machine has none, or those that it is built with."""

    machine_type: str
    accelerator: str = ""  # as Compute Engine calls it
    number: int = 0


class _Most(NamedTuple):
    vcpu: int
    memory_gib: int


# By accelerator and count. Four P100 allow more in some zones; this holds in all of them.
_LIMITS: dict[str, dict[int, _Most]] = {
    "nvidia-tesla-t4": {1: _Most(48, 312), 2: _Most(48, 312), 4: _Most(96, 624)},
    "nvidia-tesla-p4": {1: _Most(24, 156), 2: _Most(48, 312), 4: _Most(96, 624)},
    "nvidia-tesla-v100": {
        1: _Most(12, 78),
        2: _Most(24, 156),
        4: _Most(48, 312),
        8: _Most(96, 624),
    },
    "nvidia-tesla-p100": {1: _Most(16, 104), 2: _Most(32, 208), 4: _Most(64, 208)},
}
KINDS = tuple(_LIMITS)


def named(it: Attached) -> str:
    if not it.number:
        return it.machine_type
    return f"{it.machine_type}+{it.number}x{it.accelerator.removeprefix(_PREFIX)}"


def taken_apart(machine_type: str) -> Attached:
    found = _NAME.fullmatch(machine_type)
    if found is None:
        return Attached(machine_type)
    return Attached(found["machine"], _PREFIX + found["kind"], int(found["count"]))


def allowed(it: Attached, *, vcpu: int, memory_mib: int) -> bool:
    most = _LIMITS.get(it.accelerator, {}).get(it.number)
    return most is not None and vcpu <= most.vcpu and memory_mib <= most.memory_gib * 1024


def types(machines: Iterable[MachineType], kinds: Iterable[str] = KINDS) -> list[MachineType]:
    """Each machine of the family with each number of GPUs that it may have attached."""
    hosts = [it for it in machines if it.family == HOST_FAMILY and not it.burstable and not it.gpu]
    return [
        _with(it, Attached(it.name, kind, count))
        for it in hosts
        for kind in kinds
        for count in _LIMITS.get(kind, ())
        if allowed(Attached(it.name, kind, count), vcpu=it.vcpu, memory_mib=it.memory_mib)
    ]


def family(kind: str) -> str:
    """By which availability is told: an N1 machine is in more zones than each kind of GPU."""
    return f"{kind.removeprefix(_PREFIX)}+{HOST_FAMILY}"


def _with(machine: MachineType, it: Attached) -> MachineType:
    return msgspec.structs.replace(
        machine,
        name=named(it),
        family=family(it.accelerator),
        gpu=it.number,
        gpu_type=it.accelerator,
    )
