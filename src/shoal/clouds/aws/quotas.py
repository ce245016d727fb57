"""EC2's quotas of vCPU in a region: what is in use, against the limit, and against a cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from shoal.clouds.account import Finding
from shoal.clouds.aws import names
from shoal.clouds.aws.clients import Clients
from shoal.clouds.aws.errors import QUOTA_PAGE
from shoal.clouds.provider import LaunchError

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


async def findings(clients: Clients, region: str) -> Sequence[Finding]:
    used = await clients.call(partial(_vcpus, clients, region))
    return [await _quota(clients, region, kind, used[kind]) for kind in _QUOTAS]


async def _quota(clients: Clients, region: str, kind: str, used: int) -> Finding:
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
            if (kind := _counted(vm)) in used:
                used[kind] += cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 1)
    return used


def _counted(vm: Any) -> str:
    """By which quota; of families that are no worker's (Trainium, F1) by none of these."""
    bought = "spot" if vm.get("InstanceLifecycle") == "spot" else "on-demand"
    family = re.match("[a-z]*", vm["InstanceType"])
    return bought + _FAMILIES.get(family[0] if family else "", " other")
