"""A region's and a project's quotas, asked against their limits, and against a cluster's size.

What is counted apart: spot vCPUs (until Google grants them a quota of their own they count as the
others), vCPUs of some families, GPUs of each kind in a region and of all kinds in all regions,
addresses in use, disks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from shoal.clouds.account import Finding
from shoal.clouds.gcp.errors import QUOTA_PAGE

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


def findings(told: Iterable[Quota], place: str) -> Iterator[Finding]:
    """Of what counts for clusters; a kind of GPU or a family that none is granted of is left out,
    but for the sums."""
    for it in sorted(told, key=lambda it: it.metric):
        if it.metric in ALWAYS_TOLD or (it.limit > 0 and _counts(it.metric)):
            yield _finding(it, place)


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
