"""What Compute Engine's error codes mean: which of the four errors, what to avoid next, the fix.

A table; the scopes stand in CLOUDS.md's words: a type in a zone, a region, the account. Errors come
in two ways: an HTTP error with a reason, and an operation that ends with codes. Knows no client.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from shoal.clouds.provider import LaunchError, NoCapacity, Refused, Scope, Throttled, Unknown
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
REFUSALS = {
    "forbidden": _ROLE,
    "PERMISSIONS_ERROR": _ROLE,
    "accessNotConfigured": "Switch the API on: gcloud services enable compute.googleapis.com",
    "authError": "Log in again: gcloud auth application-default login",
    "required": "Log in again: gcloud auth application-default login",
    "notFound": "Run `shoal setup gcp` for this region: it makes the network.",
    "RESOURCE_NOT_FOUND": "Run `shoal setup gcp` for this region: it makes the network.",
    "billingNotEnabled": "Link a billing account to the project.",
    "CONDITION_NOT_MET": "A policy of the organisation forbids it: ask who keeps it.",
    "invalid": _ASKED,
    "badRequest": _ASKED,
}
_METRIC = re.compile(r"[Qq]uota '?([A-Z][A-Z0-9_]+)'?")


def launch_error(code: str, said: str, offer: Offer, *, now: datetime) -> LaunchError:
    """Of a code that an operation ended with, for what was asked."""
    if code in CAPACITY:
        scope = Scope(offer.region, offer.zone, offer.machine_type, offer.spot)
        words = f"no capacity for {offer.machine_type} in {offer.zone}: {_sentence(said)}"
        return NoCapacity(words, scope=scope)
    if code in QUOTA:
        return _quota(said, offer.region)
    return error_of(code, said, now=now)


def error_of(reason: str, said: str, *, now: datetime) -> LaunchError:
    """Of any call."""
    words = f"Google Cloud says {reason}: {_sentence(said)}"
    if reason in THROTTLES:
        return Throttled(words, until=now + timedelta(seconds=THROTTLED_FOR_S))
    if reason in QUOTA:
        return _quota(said, "*")
    if reason in REFUSALS:
        return Refused(words, scope=Scope(), hint=REFUSALS[reason])
    return Unknown(words)


def _quota(said: str, region: str) -> Refused:
    """GPUS_ALL_REGIONS is the account's, everything else a region's."""
    found = _METRIC.search(said)
    metric = found[1] if found else "a quota"
    everywhere = "ALL_REGIONS" in metric
    place = "" if everywhere or region == "*" else f" in {region}"
    return Refused(
        f"quota {metric}{place}: {_sentence(said)}",
        scope=Scope() if everywhere else Scope(region),
        hint=f"Raise it at {QUOTA_PAGE}",
    )


def _sentence(said: str) -> str:
    return " ".join((said or "no reason was given").split())[:400]
