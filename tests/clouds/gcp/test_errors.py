"""Each of Compute Engine's signals: which of the four errors, and what is avoided next."""

from __future__ import annotations

import pytest

from shoal.clouds.gcp.errors import error_of, launch_error
from shoal.clouds.provider import NoCapacity, Refused, Scope, Throttled, Unknown
from tests.clouds.gcp.test_cloud import NOW, offer

REGION = "us-east1"
POOL = Scope(REGION, "us-east1-b", "n2-standard-4", False)
GPU_TYPE = "g2-standard-4"


def limit(metric: str) -> str:
    return f"Quota '{metric}' exceeded.  Limit: 8.0 in region us-east1."


CAPACITY = [
    "ZONE_RESOURCE_POOL_EXHAUSTED",
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    "insufficientCapacity",
    "RESOURCE_NOT_READY",
    "UNSUPPORTED_OPERATION",
    "VM_MIN_COUNT_NOT_REACHED",
]
QUOTAS = [
    ("CPUS", Scope(REGION)),
    ("IN_USE_ADDRESSES", Scope(REGION)),
    ("PREEMPTIBLE_CPUS", Scope(REGION, spot=True)),
    ("N2_CPUS", Scope(REGION, machine_type="n2-standard-4")),
    ("GPUS_ALL_REGIONS", Scope(machine_type=GPU_TYPE)),
    ("NVIDIA_L4_GPUS", Scope(REGION, machine_type=GPU_TYPE)),
    ("PREEMPTIBLE_NVIDIA_L4_GPUS", Scope(REGION, machine_type=GPU_TYPE, spot=True)),
]
REFUSED = [
    ("PERMISSIONS_ERROR", "Required 'compute.instances.create' permission", Scope()),
    ("forbidden", "Required permission", Scope()),
    ("authError", "Invalid Credentials", Scope()),
    ("accessNotConfigured", "Compute Engine API has not been used", Scope()),
    ("notFound", "The resource 'projects/p/global/networks/shoal' was not found", Scope(REGION)),
    (
        "RESOURCE_NOT_FOUND",
        "The resource 'projects/p/regions/us-east1/subnetworks/shoal' was not found",
        Scope(REGION),
    ),
    (
        "notFound",
        "The resource 'projects/p/global/images/family/mine' was not found",
        Scope(alone=True),
    ),
    ("invalid", "Invalid value for field 'resource.disks[0]'", Scope(alone=True)),
    ("badRequest", "Invalid JSON payload", Scope(alone=True)),
]


@pytest.mark.parametrize("code", CAPACITY)
def test_a_type_that_is_not_to_be_had_is_avoided_in_its_zone(code: str) -> None:
    told = launch_error(code, "not now", [offer(), offer("us-east1-c")], now=NOW)
    assert isinstance(told, NoCapacity)
    assert (told.scope, [it.zone for it in told.also]) == (POOL, ["us-east1-c"])


@pytest.mark.parametrize(("metric", "scope"), QUOTAS)
def test_a_quota_forbids_what_it_counts_and_nothing_else(metric: str, scope: Scope) -> None:
    kind = GPU_TYPE if "GPU" in metric else "n2-standard-4"
    asked = offer(type_=kind, gpu=int("GPU" in metric), spot="PREEMPTIBLE" in metric)
    told = launch_error("QUOTA_EXCEEDED", limit(metric), [asked], now=NOW)
    assert isinstance(told, Refused)
    assert (told.scope, told.also) == (scope, ())
    assert metric in told.message
    assert "console.cloud.google.com" in told.hint


def test_a_familys_quota_forbids_every_type_of_it_that_was_asked_for() -> None:
    asked = [offer(), offer(type_="e2-standard-4"), offer(type_="n2-standard-8")]
    told = launch_error("QUOTA_EXCEEDED", limit("N2_CPUS"), asked, now=NOW)
    assert isinstance(told, Refused)
    assert [it.machine_type for it in (told.scope, *told.also)] == [
        "n2-standard-4",
        "n2-standard-8",
    ]


@pytest.mark.parametrize(("code", "said", "scope"), REFUSED)
def test_a_refusal_reaches_whom_it_concerns(code: str, said: str, scope: Scope) -> None:
    told = launch_error(code, said, [offer()], now=NOW)
    assert isinstance(told, Refused)
    assert told.scope == scope
    assert told.hint


@pytest.mark.parametrize("code", ["RESOURCE_OPERATION_RATE_EXCEEDED", "rateLimitExceeded"])
def test_too_many_calls_are_throttled(code: str) -> None:
    assert isinstance(launch_error(code, "", [offer()], now=NOW), Throttled)
    assert isinstance(error_of(code, "", now=NOW), Throttled)


def test_a_code_that_nobody_knows_is_unknown() -> None:
    assert isinstance(launch_error("INTERNAL_ERROR", "", [offer()], now=NOW), Unknown)


def test_a_refusal_of_a_call_that_asks_for_nothing_reaches_no_other_cluster() -> None:
    for code in ("notFound", "invalid", "QUOTA_EXCEEDED"):
        told = error_of(code, "", now=NOW)
        assert isinstance(told, Refused)
        assert told.scope == Scope(alone=True)
