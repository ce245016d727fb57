"""EC2's quotas of vCPU in a region: what is in use, against the limit, and against a cluster."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

from shoal.clouds.account import Finding, too_little
from shoal.clouds.aws import names
from shoal.clouds.aws.clients import Clients
from shoal.clouds.aws.errors import QUOTA_PAGE
from shoal.clouds.provider import LaunchError
from shoal.core.proposal import Part

LEAST_VCPU = 8.0  # for a first cluster
# Quotas of vCPU by what they count (Service Quotas, service "ec2"), and the families in each.
_QUOTAS = {
    "on-demand": "L-1216C47A",
    "spot": "L-34B43A08",
    "on-demand G and VT": "L-DB2E81BA",
    "spot G and VT": "L-3819A6DF",
    "on-demand P": "L-417A185B",
    "spot P": "L-7212CCBC",
}
_FAMILIES = dict.fromkeys((*"acdhimrtz", "im", "is"), "") | {
    "g": " G and VT",
    "vt": " G and VT",
    "p": " P",
}


async def findings(clients: Clients, region: str, asked: Sequence[Part]) -> Sequence[Finding]:
    used, needed = await clients.call(partial(_vcpus, clients, region)), Counter[str]()
    for part in asked:
        if part.offers:
            best = part.offers[0]
            needed[_kind(best.machine_type, spot=best.spot)] += part.most * best.vcpu
    return [await _quota(clients, region, it, used[it], needed[it]) for it in _QUOTAS]


async def _quota(clients: Clients, region: str, kind: str, used: int, needed: int) -> Finding:
    """`needed`: of a cluster that is asked about; 0: it takes none of this kind."""
    what = f"quota of {kind} vCPU in {region}"
    quotas = clients.quotas(region)
    ask = partial(quotas.get_service_quota, ServiceCode="ec2", QuotaCode=_QUOTAS[kind])
    try:
        limit = float((await clients.call(ask))["Quota"]["Value"])
    except LaunchError as error:
        problem = f"It could not be asked: {error.message}"
        fix = "Allow servicequotas:GetServiceQuota to whoever runs shoal doctor."
        return Finding(what, problem=problem, fix=fix, essential=False)
    found = f"{used} of {limit:g} in use"
    if needed:
        if limit - used >= needed:
            return Finding(what, found=f"{found}: room for the {needed} of the cluster")
        fix = f"Raise it to {used + needed} or more at {QUOTA_PAGE}"
        return Finding(what, found, too_little(limit - used, needed), fix)
    if limit - used >= LEAST_VCPU:
        return Finding(what, found=found)
    if limit == 0:  # as each account begins
        problem = "No VM with a GPU of this kind may run."
        fix = f"If clusters need one, ask for vCPU at {QUOTA_PAGE}"
        return Finding(what, found, problem, fix, essential=False)
    problem = f"Only {max(limit - used, 0):g} are left."
    return Finding(what, found, problem, f"Raise it at {QUOTA_PAGE}", essential=False)


def _vcpus(clients: Clients, region: str) -> dict[str, int]:
    """In use, of everybody's VMs, by what they count against."""
    used = dict.fromkeys(_QUOTAS, 0)
    pages = clients.ec2(region).get_paginator("describe_instances")
    for page in pages.paginate(Filters=[names.where("instance-state-name", "pending", "running")]):
        for vm in (vm for it in page["Reservations"] for vm in it["Instances"]):
            cpu = vm.get("CpuOptions", {})
            if (
                kind := _kind(vm["InstanceType"], spot=vm.get("InstanceLifecycle") == "spot")
            ) in used:
                used[kind] += cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 1)
    return used


def _kind(machine_type: str, *, spot: bool) -> str:
    """The quota; of families that are no worker's (Trainium, F1), none of these."""
    family = re.match("[a-z]*", machine_type)
    bought = "spot" if spot else "on-demand"
    return bought + _FAMILIES.get(family[0] if family else "", " other")
