"""A region's quotas in Azure: in use, against the limit, and against a cluster.

vCPUs are counted thrice: all on-demand ones of a region, those of the size's family, and all spot
ones together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shoal.clouds.account import Finding, too_little
from shoal.clouds.azure.errors import QUOTA_PAGE
from shoal.core.proposal import Part
from shoal.wire.accounts import AzureAccount
from shoal.wire.specs import Role

ADDRESSES = "StandardSkuPublicIpAddresses"
LEAST = {"cores": 8, "lowPriorityCores": 8, ADDRESSES: 3}  # of a first cluster
_WORDS = {
    "cores": "vCPU, on-demand",
    "lowPriorityCores": "vCPU, spot",
    "virtualMachines": "VMs",
    ADDRESSES: "public addresses",
}


class UsageName(msgspec.Struct, frozen=True, rename="camel"):
    value: str = ""


class Usage(msgspec.Struct, frozen=True, rename="camel"):
    name: UsageName
    current_value: int = 0
    limit: int = 0

    @property
    def left(self) -> int:
        return self.limit - self.current_value


class Usages(msgspec.Struct, frozen=True):
    value: tuple[Usage, ...] = ()


def findings(
    told: Iterable[Usage], region: str, asked: Sequence[Part], account: AzureAccount
) -> list[Finding]:
    """Of what counts for any cluster, and of what is asked."""
    needed = _needed(asked, account)
    found = []
    for it in told:
        name = it.name.value
        if need := needed.get(name.lower()):
            found.append(_held_against(it, region, need))
        elif name in LEAST:
            found.append(_finding(it, region, LEAST[name]))
    return found


def _needed(asked: Iterable[Part], account: AzureAccount) -> Mapping[str, int]:
    """By the quota's name in small letters, what a cluster takes when it has grown."""
    needed: Counter[str] = Counter()
    for part in asked:
        if not part.offers:
            continue
        best, count = part.offers[0], part.most
        public = account.public_scheduler if part.role is Role.SCHEDULER else account.public_workers
        needed["virtualmachines"] += count
        needed[ADDRESSES.lower()] += count if public else 0
        if best.spot:
            needed["lowprioritycores"] += count * best.vcpu
        else:
            needed["cores"] += count * best.vcpu
            needed[f"standard{best.family.replace('_', '')}family".lower()] += count * best.vcpu
    return needed


def _held_against(it: Usage, region: str, needed: int) -> Finding:
    what, found = _what(it, region), f"{it.current_value} of {it.limit} in use"
    if it.left >= needed:
        return Finding(what, found=f"{found}: room for the {needed} of the cluster")
    fix = f"Ask for {it.current_value + needed} or more: {QUOTA_PAGE}"
    return Finding(what, found, too_little(it.left, needed), fix)


def _finding(it: Usage, region: str, least: int) -> Finding:
    what, found = _what(it, region), f"{it.current_value} of {it.limit} in use"
    if it.left >= least:
        return Finding(what, found=found)
    problem, fix = f"Fewer than {least} are left.", f"Ask for more: {QUOTA_PAGE}"
    return Finding(what, found, problem, fix, essential=it.name.value == "cores")


def _what(it: Usage, region: str) -> str:
    name = it.name.value
    return f"quota: {_WORDS.get(name, f'vCPU of {name}')} in {region}"
