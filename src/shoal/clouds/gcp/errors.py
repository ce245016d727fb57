"""What Compute Engine's error codes mean: which of the four errors, what to avoid next, the fix.

A table; the scopes stand in CLOUDS.md's words: a type in a zone, a region, the account. Errors come
in two ways: an HTTP error with a reason, and an operation that ends with codes. Knows no client.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from shoal.clouds.provider import (
    LaunchError,
    NoCapacity,
    Reach,
    Refused,
    Scope,
    Throttled,
    Unknown,
    scope,
)
from shoal.core.records import Offer

THROTTLED_FOR_S = 30.0  # Google says neither how long
QUOTA_PAGE = "https://console.cloud.google.com/iam-admin/quotas"

# The type is not to be had there now; UNSUPPORTED_OPERATION at creation: preempted meanwhile.
CAPACITY = frozenset(
    {
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "RESOURCE_POOL_EXHAUSTED",
        "STOCKOUT",
        "VM_MIN_COUNT_NOT_REACHED",
        "RESOURCE_NOT_READY",
        "UNSUPPORTED_OPERATION",
        "insufficientCapacity",
    }
)
THROTTLES = frozenset(
    {
        "RESOURCE_OPERATION_RATE_EXCEEDED",
        "RATE_LIMIT_EXCEEDED",
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "concurrentOperationQuotaExceeded",
    }
)
QUOTA = frozenset({"QUOTA_EXCEEDED", "quotaExceeded", "limitExceeded", "IP_SPACE_EXHAUSTED"})
_ROLE = "Give the server's identity the role that `shoal setup gcp --print` shows."
_ASKED = "Look at what was asked for: a machine type, an image, a disk or a label is wrong."
LOG_IN = "Log in again: gcloud auth application-default login"
SET_UP = "Run `shoal setup gcp` for this region: it makes the network."
# Whom it concerns, and the fix.
REFUSALS = {
    "forbidden": (Reach.ACCOUNT, _ROLE),
    "PERMISSIONS_ERROR": (Reach.ACCOUNT, _ROLE),
    "accessNotConfigured": (
        Reach.ACCOUNT,
        "Switch the API on: gcloud services enable compute.googleapis.com",
    ),
    "authError": (Reach.ACCOUNT, LOG_IN),
    "required": (Reach.ACCOUNT, LOG_IN),
    "billingNotEnabled": (Reach.ACCOUNT, "Link a billing account to the project."),
    "CONDITION_NOT_MET": (
        Reach.ACCOUNT,
        "A policy of the organisation forbids it: ask who keeps it.",
    ),
    "notFound": (Reach.REQUEST, _ASKED),
    "RESOURCE_NOT_FOUND": (Reach.REQUEST, _ASKED),
    "invalid": (Reach.REQUEST, _ASKED),
    "badRequest": (Reach.REQUEST, _ASKED),
    "INVALID_USAGE": (Reach.REQUEST, _ASKED),
}
_NOT_FOUND = frozenset({"notFound", "RESOURCE_NOT_FOUND"})
_METRIC = re.compile(r"[Qq]uota '?([A-Z][A-Z0-9_]+)'?")
_NETWORK = re.compile(r"/(?:sub)?networks/")
# Metrics of the region that are no family's: https://cloud.google.com/compute/resource-usage
_OF_ALL = frozenset({"CPUS", "PREEMPTIBLE_CPUS", "INSTANCES", "IN_USE_ADDRESSES", "DISKS_TOTAL_GB"})


def launch_error(code: str, said: str, offers: Sequence[Offer], *, now: datetime) -> LaunchError:
    """Of a code that an operation ended with; `offers`: what was asked for, the best first."""
    if code in CAPACITY:
        return _no_capacity(said, offers)
    if code in QUOTA:
        return _quota(said, offers)
    return error_of(code, said, now=now, offers=offers)


def error_of(reason: str, said: str, *, now: datetime, offers: Sequence[Offer] = ()) -> LaunchError:
    """Of any call."""
    words = f"Google Cloud says {reason}: {_sentence(said)}"
    if reason in THROTTLES:
        return Throttled(words, until=now + timedelta(seconds=THROTTLED_FOR_S))
    if reason in QUOTA:
        return _quota(said, offers)
    if reason in _NOT_FOUND and _NETWORK.search(said):
        return Refused(words, scope=scope(Reach.REGION, _first(offers)), hint=SET_UP)
    if reason in REFUSALS:
        reach, hint = REFUSALS[reason]
        return Refused(words, scope=scope(reach, _first(offers)), hint=hint)
    return Unknown(words)


def _first(offers: Sequence[Offer]) -> Offer | None:
    return offers[0] if offers else None


def _no_capacity(said: str, offers: Sequence[Offer]) -> NoCapacity:
    """All alternatives were tried."""
    tried = list(dict.fromkeys(scope(Reach.POOL, it) for it in offers))
    places = ", ".join(dict.fromkeys(it.zone for it in offers))
    types = ", ".join(dict.fromkeys(it.machine_type for it in offers))
    words = f"no capacity for {types} in {places}: {_sentence(said)}"
    return NoCapacity(words, scope=tried[0], also=tuple(tried[1:]))


def _quota(said: str, offers: Sequence[Offer]) -> Refused:
    """Of spot VMs (PREEMPTIBLE_CPUS), of a family (N2_CPUS), of GPUs of a kind, of everything; in
    the region or (GPUS_ALL_REGIONS) in all of them."""
    found = _METRIC.search(said)
    metric = found[1] if found else "a quota"
    everywhere = "ALL_REGIONS" in metric
    place = f" in {offers[0].region}" if offers and not everywhere else ""
    first, *others = _limited(metric, offers)
    return Refused(
        f"quota {metric}{place}: {_sentence(said)}",
        scope=first,
        also=tuple(others),
        hint=f"Raise it at {QUOTA_PAGE}",
    )


def _limited(metric: str, offers: Sequence[Offer]) -> Sequence[Scope]:
    """Other clusters may ask for what this metric does not count."""
    if not offers:
        return [Scope(alone=True)]
    region = "*" if "ALL_REGIONS" in metric else offers[0].region
    spot = True if "PREEMPTIBLE" in metric else None
    types = dict.fromkeys(it.machine_type for it in offers if _counts(metric, it))
    return [Scope(region, machine_type=it, spot=spot) for it in types] or [Scope(region, spot=spot)]


def _counts(metric: str, offer: Offer) -> bool:
    """Only such machines: GPUs, or a family's vCPUs."""
    if "GPUS" in metric:
        return offer.gpu > 0
    family = offer.machine_type.partition("-")[0].upper()
    return metric not in _OF_ALL and metric.removeprefix("PREEMPTIBLE_").startswith(f"{family}_")


def _sentence(said: str) -> str:
    return " ".join((said or "no reason was given").split())[:400]
