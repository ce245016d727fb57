"""What Azure's error codes mean: which of the four errors, what to avoid next, and the fix.

A table, and the reading of Azure's nested error bodies: a template deployment wraps the code that
matters in `details`, several levels deep. The scopes stand in CLOUDS.md; codes that are not in the
table are Unknown, or Refused where the HTTP status says so. Knows nothing of calls or clients.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

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

THROTTLED_FOR_S = 30.0  # where Azure says 429 and not for how long
QUOTA_PAGE = "https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas"


class Fault(msgspec.Struct, frozen=True):
    """Azure's error body: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting"""

    code: str = ""
    message: str = ""
    details: tuple[Fault, ...] | None = None

    def causes(self) -> tuple[Fault, ...]:
        """The innermost ones, which say why. A message may hold an error as JSON text."""
        inner = self.details or _told_in(self.message)
        return tuple(it for each in inner for it in each.causes()) or (self,)


class FaultBody(msgspec.Struct, frozen=True):
    error: Fault = Fault()


# The type is not to be had there now.
CAPACITY = frozenset(
    {
        "SkuNotAvailable",
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "SpotVMNotAvailable",
        "ZoneNotAvailableForRegion",
    }
)
# A limit of the subscription in the region.
QUOTA = frozenset(
    {
        "QuotaExceeded",
        "PublicIPCountLimitReached",
        "PublicIpCountLimitReached",
        "NetworkInterfaceCountLimitReached",
        "SubnetIsFull",
        "SubnetFull",
    }
)
# The subscription cannot do it anywhere until somebody changes something.
REFUSALS = {
    "AuthorizationFailed": "Give the server's identity the role that `shoal setup azure` prints.",
    "LinkedAuthorizationFailed": "Give the server's identity the role that `shoal setup azure` "
    "prints, on the network and the VMs' identity too.",
    "RequestDisallowedByPolicy": "A policy of the subscription forbids it: ask who keeps it.",
    "InvalidAuthenticationToken": "Log in again: az login",
    "ExpiredAuthenticationToken": "Log in again: az login",
    "AuthenticationFailed": "Log in again: az login",
    "ReadOnlyDisabledSubscription": "The subscription is disabled: see its page in the portal.",
    "SubscriptionNotFound": "Check the subscription's id: az account list",
    "MissingSubscriptionRegistration": "az provider register --namespace Microsoft.Compute",
    "ResourceGroupNotFound": "Run `shoal setup azure` to make it.",
    "NotFound": "Run `shoal setup azure` to make it.",
}
# A region that is not prepared.
UNPREPARED = {
    "InvalidResourceReference": "Run `shoal setup azure` for this region: it makes the network. Or "
    "name one of this region that is there: --set network=REGION=ID,REGION=ID.",
}
# What one cluster asked for is wrong.
FAULTS = {
    "MarketplacePurchaseEligibilityFailed": "Accept the image's terms: az vm image terms accept",
    "ImageNotFound": "Name an image that is in this region.",
    "PlatformImageNotFound": "Name an image that is in this region.",
}
# Azure's own trouble, whatever the HTTP status.
UNCERTAIN = frozenset(
    {
        "InternalServerError",
        "InternalExecutionError",
        "NetworkingInternalOperationError",
        "OperationTimedOut",
        "RetryableError",
        "ServiceUnavailable",
    }
)
THROTTLES = frozenset(
    {
        "TooManyRequests",
        "OperationNotAllowedDueToThrottling",
        "SubscriptionRequestsThrottled",
        "ResourceRequestsThrottled",
    }
)


_REFUSALS = (
    (Reach.ACCOUNT, REFUSALS),
    (Reach.REGION, UNPREPARED),
    (Reach.REQUEST, FAULTS),
)


def launch_error(fault: Fault, offer: Offer, *, status: int = 0, now: datetime) -> LaunchError:
    """Of one cause, for what was asked. A 400 says that it will never do: the same again is no
    use, and another size may be."""
    code, said = fault.code, _sentence(fault)
    if code in CAPACITY:
        words = f"{offer.machine_type} in {offer.zone}: {said}"
        return NoCapacity(words, scope=scope(Reach.POOL, offer))
    if code in QUOTA or (code == "OperationNotAllowed" and "quota" in said.lower()):
        return _quota(code, said, offer)
    until = now + timedelta(seconds=THROTTLED_FOR_S)
    told = error_of(fault, status=status, until=until, offer=offer)
    if isinstance(told, Unknown) and status == 400 and code not in UNCERTAIN:
        alone = msgspec.structs.replace(scope(Reach.POOL, offer), alone=True)
        hint = "Ask for another machine type, or look at the account's image and network."
        return Refused(told.message, scope=alone, hint=hint)
    return told


def error_of(
    fault: Fault, *, status: int, until: datetime, offer: Offer | None = None
) -> LaunchError:
    """Of any call. `status` 0: not known."""
    said = f"Azure says {fault.code or status}: {_sentence(fault)}"
    if status == 429 or fault.code in THROTTLES:
        return Throttled(said, until=until)
    for reach, fixes in _REFUSALS:
        if fault.code in fixes:
            return Refused(said, scope=scope(reach, offer), hint=fixes[fault.code])
    if status in (401, 403):
        return Refused(said, scope=Scope(), hint=REFUSALS["AuthorizationFailed"])
    return Unknown(said)


def _quota(code: str, said: str, offer: Offer) -> Refused:
    """Spot and on-demand have quotas of their own, and so has each family of types."""
    addresses = "publicip" in code.lower() or "subnet" in code.lower() or "Network" in code
    limited = scope(Reach.REGION, offer, spot=None if addresses else offer.spot)
    if not addresses and not offer.spot and "family" in said.lower():
        limited = msgspec.structs.replace(limited, machine_type=offer.machine_type)
    hint = f"Ask for more in {offer.region}: {QUOTA_PAGE}"
    if "subnet" in code.lower():
        hint = "Give the subnet more addresses, or name another in the account."
    words = f"A limit of the subscription in {offer.region}: {said}"
    return Refused(words, scope=limited, hint=hint)


def _sentence(fault: Fault) -> str:
    return " ".join((fault.message or fault.code or "no reason was given").split())[:400]


def _told_in(message: str) -> tuple[Fault, ...]:
    if not message.lstrip().startswith("{"):
        return ()
    try:
        told = msgspec.json.decode(message, type=FaultBody)
    except msgspec.DecodeError:
        return ()
    return (told.error,) if told.error.code else ()
