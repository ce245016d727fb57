"""A region's and a project's quotas, asked against their limits, and against a cluster's size.

What is counted apart: spot vCPUs (until Google grants them a quota of their own they count as the
others), vCPUs of some families, GPUs of each kind in a region and of all kinds in all regions,
addresses in use, disks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from shoal.clouds.account import Finding, too_little
from shoal.clouds.gcp import requests
from shoal.clouds.gcp.errors import QUOTA_PAGE
from shoal.core.proposal import Part
from shoal.wire.accounts import GcpAccount
from shoal.wire.specs import Role

WORKER_CPU = 4  # of the worker that "room for so many" means
# Of a first cluster: a scheduler and some workers.
LEAST = {
    "CPUS": 8.0,
    "CPUS_ALL_REGIONS": 8.0,
    "INSTANCES": 3.0,
    "IN_USE_ADDRESSES": 3.0,
    "SSD_TOTAL_GB": 100.0,
}
ALWAYS_TOLD = frozenset({*LEAST, "PREEMPTIBLE_CPUS", "GPUS_ALL_REGIONS"})


class Quota(msgspec.Struct, frozen=True):
    metric: str
    limit: float = 0.0
    usage: float = 0.0

    @property
    def left(self) -> float:
        return self.limit - self.usage


class Quotas(msgspec.Struct, frozen=True):
    """As `regions.get` and `projects.get` tell them."""

    quotas: tuple[Quota, ...] = ()


def findings(
    told: Sequence[Quota], place: str, asked: Sequence[Part], account: GcpAccount
) -> Iterator[Finding]:
    """Of what counts for clusters; a kind of GPU or a family that none is granted of is left out,
    but for the sums, and for what is asked."""
    needed = _needed(told, asked, account)
    for it in sorted(told, key=lambda it: it.metric):
        if it.metric in needed:
            yield _held_against(it, place, needed[it.metric])
        elif it.metric in ALWAYS_TOLD or (it.limit > 0 and _counts(it.metric)):
            yield _finding(it, place)


def _needed(
    told: Iterable[Quota], asked: Iterable[Part], account: GcpAccount
) -> Mapping[str, float]:
    """By metric, what a cluster takes when it has grown, of its best offers."""
    limits = {it.metric: it.limit for it in told}
    needed: Counter[str] = Counter()
    for part in asked:
        if not part.offers or not part.most:
            continue
        offer, count = part.offers[0], part.most
        public = account.public_scheduler if part.role is Role.SCHEDULER else account.public_workers
        needed["INSTANCES"] += count
        needed["IN_USE_ADDRESSES"] += count if public else 0
        needed[_cpus(offer.machine_type, limits, spot=offer.spot)] += count * offer.vcpu
        needed["CPUS_ALL_REGIONS"] += count * offer.vcpu
        if requests.disk_type(offer.machine_type) == "pd-balanced":
            needed["SSD_TOTAL_GB"] += count * part.disk_gib
        if offer.gpu:
            needed[_gpus(offer.gpu_type, spot=offer.spot)] += count * offer.gpu
            needed["GPUS_ALL_REGIONS"] += count * offer.gpu
    return {metric: float(it) for metric, it in needed.items() if it}


def _cpus(machine_type: str, limits: Mapping[str, float], *, spot: bool) -> str:
    if spot and limits.get("PREEMPTIBLE_CPUS"):
        return "PREEMPTIBLE_CPUS"
    own = f"{machine_type.partition('-')[0].upper()}_CPUS"
    return own if own in limits else "CPUS"


def _gpus(gpu_type: str, *, spot: bool) -> str:
    """NVIDIA_A100_80GB_GPUS of "nvidia-a100-80gb"."""
    kind = gpu_type.replace("tesla-", "").replace("-", "_").upper()
    return f"PREEMPTIBLE_{kind}_GPUS" if spot else f"{kind}_GPUS"


def _held_against(it: Quota, place: str, needed: float) -> Finding:
    what, found = f"quota {it.metric} in {place}", f"{it.usage:g} of {it.limit:g} in use"
    if it.left >= needed:
        return Finding(what, found=f"{found}: room for the {needed:g} of the cluster")
    fix = f"Raise it to {it.usage + needed:g} or more at {QUOTA_PAGE}"
    return Finding(what, found, too_little(it.left, needed), fix)


def _counts(metric: str) -> bool:
    return metric.endswith(("_CPUS", "_GPUS")) and not metric.startswith("COMMITTED_")


def _finding(it: Quota, place: str) -> Finding:
    what = f"quota {it.metric} in {place}"
    found = f"{it.usage:g} of {it.limit:g} in use{_room(it)}"
    if it.left >= LEAST.get(it.metric, 0.0):
        return Finding(what, found=found)
    problem = f"Only {max(it.left, 0):g} are left; a first cluster takes {LEAST[it.metric]:g}."
    fix = f"Raise it at {QUOTA_PAGE}"
    return Finding(what, found=found, problem=problem, fix=fix, essential=False)


def _room(it: Quota) -> str:
    left = max(it.left, 0)
    if it.metric == "PREEMPTIBLE_CPUS" and not it.limit:
        return ": spot VMs count as the others"
    if "GPUS" in it.metric:
        return f": room for {left:g} GPUs" if left else ": no GPU can be had"
    if "CPUS" in it.metric:
        return f": room for {int(left // WORKER_CPU)} workers of {WORKER_CPU} vCPU"
    if it.metric in ("IN_USE_ADDRESSES", "INSTANCES"):
        return f": room for {left:g} VMs"
    return ""
