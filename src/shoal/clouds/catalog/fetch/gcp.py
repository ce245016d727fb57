"""Compute Engine's machine types of a region's zones, and prices put together from billing SKUs.

Google sells a predefined machine as so many vCPU-hours and so many GiB-hours of its family; both
SKUs must be there for a price, and that of its GPU, which is sold by itself. Local disks are not
among them yet: machines with such a disk have no price here. (cloudbilling.googleapis.com, service
6F81-5844-456A is Compute Engine.)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from requests import RequestException

from shoal.clouds.catalog.facts import (
    ExtraPrice,
    Facts,
    MachineType,
    PriceList,
    Region,
    extra_price,
)
from shoal.clouds.gcp import accelerators
from shoal.errors import CloudError
from shoal.wire.accounts import GcpAccount
from shoal.wire.specs import Cloud

SOURCE = "Cloud Billing catalog"
_COMPUTE = "https://compute.googleapis.com"
_BILLING = "https://cloudbilling.googleapis.com"
_SKUS = "/v1/services/6F81-5844-456A/skus"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_S = 60.0
_PART = re.compile(
    r"(?:Spot Preemptible )?(?:(?P<family>[A-Z]\d[A-Z]?)(?: Predefined| AMD| Arm)? Instance"
    r"|Compute optimized) (?P<part>Core|Ram) running in .*"
)
_GPU_PART = re.compile(
    r"Nvidia (?:Tesla )?(?P<kind>[A-Z]\d+(?: \d+GB)?) GPU "
    r"(?:attached to Spot Preemptible VMs )?running in .*"
)
_DISK = re.compile(r"Balanced PD Capacity(?: in .*)?")  # what VMs boot from
_ADDRESS = "External IP Charge on a Standard VM"  # of a spot VM it is half of that
# As Compute Engine calls an accelerator: as billing does.
_GPUS = {
    "nvidia-l4": "L4",
    "nvidia-tesla-t4": "T4",
    "nvidia-tesla-v100": "V100",
    "nvidia-tesla-p100": "P100",
    "nvidia-tesla-p4": "P4",
    "nvidia-tesla-a100": "A100",
    "nvidia-a100-80gb": "A100 80GB",
    "nvidia-h100-80gb": "H100 80GB",
}
_ARM = {"ARM64": "aarch64"}


def fetch(account: GcpAccount, region: str, today: date) -> Facts:
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        session = AuthorizedSession(credentials)
        root = f"{account.endpoint or _COMPUTE}/compute/v1/projects/{account.project}"
        machines = list(_listed(session, root, "machineTypes", region))
        gpus = list(_listed(session, root, "acceleratorTypes", region))
        skus = list(_pages(session, f"{account.endpoint or _BILLING}{_SKUS}", "skus"))
    except (GoogleAuthError, RequestException) as error:
        raise CloudError(
            f"Google did not tell its types and prices: {error}",
            hint="The login needs compute.machineTypes.list and compute.acceleratorTypes.list; "
            "see: shoal doctor gcp",
        ) from error
    types = machine_types(machines)
    lists = tuple(prices(types, skus, region, today, spot=spot) for spot in (False, True))
    place, extra = offered(region, machines, gpus), extras(skus, region, today)
    return Facts(Cloud.GCP, today, "Compute Engine", types, (place,), lists, extra)


def machine_types(told: Iterable[Mapping[str, Any]]) -> tuple[MachineType, ...]:
    """Those that GPUs can be attached to, with them too."""
    found = {it["name"]: _machine_type(it) for it in told}
    found |= {it.name: it for it in accelerators.types(list(found.values()))}
    return tuple(found[name] for name in sorted(found))


def _machine_type(it: Mapping[str, Any]) -> MachineType:
    gpus = it.get("accelerators", [])
    family = it["name"].split("-")[0]
    return MachineType(
        it["name"],
        family,
        _ARM.get(it.get("architecture", ""), "x86_64"),
        it["guestCpus"],
        it["memoryMb"],
        gpu=sum(gpu["guestAcceleratorCount"] for gpu in gpus),
        gpu_type=gpus[0]["guestAcceleratorType"] if gpus else "",
        scratch_gib=375 * it.get("bundledLocalSsds", {}).get("partitionCount", 0),
        burstable=it.get("isSharedCpu", False),
        current=family != "n1" and "deprecated" not in it,
    )


def offered(
    region: str, told: Sequence[Mapping[str, Any]], gpus: Iterable[Mapping[str, Any]] = ()
) -> Region:
    """`gpus`: which of them are in which zone, and how many of them a machine may have there."""
    zones: dict[str, set[str]] = defaultdict(set)
    for it in told:
        zones[it["name"]].add(it["zone"])
    every = sorted(set().union(*zones.values()))
    most = {(it["name"], it["zone"]): it["maximumCardsPerInstance"] for it in gpus}
    for made in accelerators.types(map(_machine_type, told)):
        where = zones[accelerators.taken_apart(made.name).machine_type]
        zones[made.name] = {it for it in where if made.gpu <= most.get((made.gpu_type, it), 0)}
    exceptions = {
        name: "".join(sorted(zone[-1] for zone in where))
        for name, where in sorted(zones.items())
        if where
    }
    return Region(region, tuple(every), {}, exceptions)


def prices(
    types: Iterable[MachineType],
    skus: Iterable[Mapping[str, Any]],
    region: str,
    today: date,
    *,
    spot: bool,
) -> PriceList:
    parts = dict(_parts(skus, region, spot=spot))
    found = {}
    for it in types:
        family = it.name.partition("-")[0]
        core, ram = parts.get((family, "Core")), parts.get((family, "Ram"))
        gpu = parts.get((_GPUS.get(it.gpu_type, ""), "GPU")) if it.gpu else 0
        if core and ram and gpu is not None and not (it.scratch_gib or it.burstable):
            nanos = core * it.vcpu + ram * it.memory_mib / 1024 + gpu * it.gpu
            found[it.name] = round(nanos / 1000)
    return PriceList(region, spot, today, SOURCE, found)


def _parts(
    skus: Iterable[Mapping[str, Any]], region: str, *, spot: bool
) -> Iterator[tuple[tuple[str, str], int]]:
    """Nano-dollars an hour of a vCPU, of a GiB, of a GPU."""
    usage = "Preemptible" if spot else "OnDemand"
    for it in skus:
        told = _sold(it["description"])
        if told and region in it["serviceRegions"] and it["category"]["usageType"] == usage:
            yield told, _nanos(it)


def extras(skus: Iterable[Mapping[str, Any]], region: str, today: date) -> tuple[ExtraPrice, ...]:
    """Of a balanced disk, and of a VM's address, which costs the same everywhere; the hours of it
    that are free count for the whole billing account, so they are not counted."""
    disk = address = None
    for it in skus:
        if it["category"]["usageType"] != "OnDemand":
            continue
        if region in it["serviceRegions"] and _DISK.fullmatch(it["description"]):
            disk = round(_nanos(it) / 1000)
        elif it["description"] == _ADDRESS and {region, "global"} & {*it["serviceRegions"]}:
            address = round(_nanos(it) / 1000)
    return extra_price(region, today, SOURCE, disk, address)


def _nanos(sku: Mapping[str, Any]) -> int:
    """Of its last tier: the first may be free."""
    rate = sku["pricingInfo"][-1]["pricingExpression"]["tieredRates"][-1]["unitPrice"]
    return int(rate.get("units", 0)) * 1_000_000_000 + int(rate.get("nanos", 0))


def _sold(description: str) -> tuple[str, str] | None:
    if part := _PART.fullmatch(description):
        return (part["family"] or "C2").lower(), part["part"]
    gpu = _GPU_PART.fullmatch(description)
    return (gpu["kind"], "GPU") if gpu else None


def _listed(
    session: AuthorizedSession, root: str, kind: str, region: str
) -> Iterator[Mapping[str, Any]]:
    for scope in _scopes(session, f"{root}/aggregated/{kind}"):
        for name, held in scope.items():
            zone = name.removeprefix("zones/")
            if zone.rpartition("-")[0] == region:
                yield from ({**it, "zone": zone} for it in held.get(kind, []))


def _scopes(session: AuthorizedSession, url: str) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        page = _asked(session, url, token)
        yield page.get("items", {})
        token = page.get("nextPageToken", "")
        if not token:
            return


def _pages(session: AuthorizedSession, url: str, field: str) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        page = _asked(session, url, token)
        yield from page.get(field, [])
        token = page.get("nextPageToken", "")
        if not token:
            return


def _asked(session: AuthorizedSession, url: str, token: str) -> Mapping[str, Any]:
    query = {"pageToken": token} if token else {}
    answer = session.get(url, params=query, timeout=_TIMEOUT_S)
    answer.raise_for_status()
    page: Mapping[str, Any] = answer.json()
    return page
