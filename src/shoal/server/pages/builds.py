"""How an environment came onto a cluster's VMs: how long it took, and where it could not be made.

The installer's last words are in the event of the VM that failed, all of them in its log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from shoal.server.pages.share import Slice, slices
from shoal.store.events import Staged
from shoal.wire.ids import InstanceId
from shoal.wire.reports import PhaseTime
from shoal.wire.views import InstanceView, Stage


class Failure(msgspec.Struct, frozen=True):
    why: str  # the installer's own words, with the package that it names
    vms: int
    last: InstanceId  # on which it was so


class Builds(msgspec.Struct, frozen=True):
    made: int  # VMs on which it is there
    under_way: int
    fastest_s: float
    median_s: float
    slowest_s: float
    slowest: InstanceId | None
    failures: tuple[Failure, ...]


class Made(msgspec.Struct, frozen=True):
    """Of the environment on one VM: how long each phase of making it took."""

    vm: InstanceId
    phases: tuple[PhaseTime, ...]
    seconds: float
    slices: tuple[Slice, ...]


# In the words of people who wait.
PHASES: Mapping[str, str] = {
    "wheels": "wheels from the client",
    "waiting": "waiting for its turn",
    "python": "Python",
    "conda": "conda packages",
    "installing": "packages",
    "compiling": "byte code",
    "cloning": "copying",
}


def made(told: Mapping[InstanceId, Sequence[PhaseTime]], most: int | None = None) -> list[Made]:
    """Those that took longest, first."""
    sums = {vm: sum(it.seconds for it in phases) for vm, phases in told.items()}
    longest = max(sums.values(), default=0.0) or 1.0
    return [
        Made(vm, tuple(told[vm]), sums[vm], slices(_named(told[vm]), longest))
        for vm in sorted(told, key=lambda it: (-sums[it], it))[:most]
    ]


def _named(phases: Sequence[PhaseTime]) -> dict[str, float]:
    return {PHASES.get(it.phase, it.phase): it.seconds for it in phases}


class Use(msgspec.Struct, frozen=True):
    """Which environment VMs run, or cannot."""

    environment: str
    vms: int
    broken: str = ""  # why no VM can run it


def uses(vms: Iterable[InstanceView]) -> list[Use]:
    """Of VMs that are had; what cannot be run first, then what most run."""
    had = [it for it in vms if it.gone_at is None]
    broken = Counter((it.broken, it.detail) for it in had if it.broken)
    runs = Counter(it.environment for it in had if it.environment)
    return [
        *(Use(id, count, why or "no agent said why") for (id, why), count in broken.items()),
        *(Use(id, count) for id, count in runs.most_common()),
    ]


def builds(vms: Iterable[InstanceView], stages: Mapping[InstanceId, Sequence[Staged]]) -> Builds:
    """From what agents said: preparing, then starting."""
    took: dict[InstanceId, float] = {}
    under_way = 0
    failures: dict[str, list[InstanceId]] = {}
    for vm in vms:
        told = stages.get(vm.id, ())
        began = next((it.at for it in told if it.stage is Stage.PREPARING), None)
        after = next((it for it in told if began and it.stage is not Stage.PREPARING), None)
        if began is None:
            continue
        if after is None:
            under_way += vm.gone_at is None
        elif after.stage is Stage.FAILED:
            failures.setdefault(vm.detail or vm.why, []).append(vm.id)
        elif after.stage is Stage.STARTING:
            took[vm.id] = max((after.at - began).total_seconds(), 0.0)
    slowest = max(took, key=lambda it: took[it]) if took else None
    most = sorted(failures.items(), key=lambda it: -len(it[1]))
    return Builds(
        len(took),
        under_way,
        min(took.values(), default=0.0),
        median(took.values()) if took else 0.0,
        max(took.values(), default=0.0),
        slowest,
        tuple(Failure(why, len(ids), ids[-1]) for why, ids in most),
    )
