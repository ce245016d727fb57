"""What Amazon's errors mean: which pool, region or account to avoid, and the fix for a person.

Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (read 2026-11).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from shoal.clouds.provider import (
    LaunchError,
    NoCapacity,
    Reach,
    Refused,
    Throttled,
    Unknown,
    scope,
)
from shoal.core.records import Offer

THROTTLED_FOR_S = 15.0  # EC2 says neither how long; its buckets refill in seconds
LOG_IN = "Log in again: aws sso login"
QUOTA_PAGE = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas"

# The type is not to be had in that zone now, or never there.
CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "InvalidFleetConfiguration",  # one override of a fleet: the type is not sold in that zone
    }
)
THROTTLES = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "EC2ThrottledException",
        "ResourceCountLimitExceeded",
    }
)
QUOTA = {
    "VcpuLimitExceeded": "vCPUs of on-demand instances",
    "InstanceLimitExceeded": "on-demand instances",
    "MaxSpotInstanceCountExceeded": "vCPUs of spot instances",
    "SpotInstanceCountLimitExceeded": "vCPUs of spot instances",
    "MaxFleetCountExceeded": "fleets",
    "VolumeLimitExceeded": "storage of EBS volumes",
    "MaxIOPSLimitExceeded": "IOPS of EBS volumes",
    "AddressLimitExceeded": "Elastic IP addresses",
    "NetworkInterfaceLimitExceeded": "network interfaces",
    "SecurityGroupLimitExceeded": "security groups",
    "RulesPerSecurityGroupLimitExceeded": "rules of a security group",
}
# Whether it counts spot VMs or the others; those that are not here count both.
_SPOT = {
    "VcpuLimitExceeded": False,
    "InstanceLimitExceeded": False,
    "MaxSpotInstanceCountExceeded": True,
    "SpotInstanceCountLimitExceeded": True,
}
FULL_SUBNET = "InsufficientFreeAddressesInSubnet"
_POLICY = "Give the server's identity the policy that `shoal setup aws --print` shows."
_SET_UP = "Run `shoal setup aws` for this region: it makes the network."
# The account cannot do it until somebody changes something.
REFUSALS = {
    "UnauthorizedOperation": _POLICY,
    "AccessDenied": _POLICY,
    "AccessDeniedException": _POLICY,
    "AuthFailure": LOG_IN,
    "ExpiredToken": LOG_IN,
    "ExpiredTokenException": LOG_IN,
    "RequestExpired": LOG_IN,
    "InvalidClientTokenId": LOG_IN,
    "UnrecognizedClientException": LOG_IN,
    "SignatureDoesNotMatch": LOG_IN,
    "OptInRequired": "Enable the region, or the account, in the AWS console.",
    "PendingVerification": "AWS is still verifying the account: wait for its e-mail.",
    "Blocked": "AWS has blocked the account: ask its support.",
}
# A region that is not prepared.
UNPREPARED = {
    "InvalidSubnetID.NotFound": _SET_UP,
    "InvalidGroup.NotFound": _SET_UP,
    "InvalidVpcID.NotFound": _SET_UP,
}
# What one cluster asked for is wrong.
FAULTS = {
    "InvalidAMIID.NotFound": "The image is not in this region: name another one.",
    "InvalidAMIID.Malformed": "An image is named as ami-…, or by an SSM parameter.",
    "InvalidAMIID.Unavailable": "The image is not available: name another one.",
    "ParameterNotFound": "There is no such SSM parameter in this region: name another image.",
    "InvalidParameterValue": "Look at what was asked for: a type, an image, a disk or a tag.",
    "InvalidParameterCombination": "Look at what was asked for: the type and the image must fit.",
    "InvalidBlockDeviceMapping": "The disk is smaller than its image: ask for more GiB.",
}


_REFUSALS = (
    (Reach.ACCOUNT, REFUSALS),
    (Reach.REGION, UNPREPARED),
    (Reach.REQUEST, FAULTS),
)


def launch_error(code: str, said: str, offer: Offer, *, now: datetime) -> LaunchError:
    """Of one alternative of what was asked."""
    if code in CAPACITY:
        words = f"no capacity for {offer.machine_type} in {offer.zone}: {sentence(said)}"
        return NoCapacity(words, scope=scope(Reach.POOL, offer))
    if code == FULL_SUBNET:
        return NoCapacity(
            f"the subnet of {offer.zone} has no free address: {sentence(said)}",
            scope=scope(Reach.ZONE, offer),
            hint="Stop clusters there, or name a network with a larger subnet.",
        )
    if code in QUOTA:
        return _quota(code, said, offer)
    return error_of(code, said, now=now, offer=offer)


def error_of(code: str, said: str, *, now: datetime, offer: Offer | None = None) -> LaunchError:
    """Of any call."""
    words = f"AWS says {code}: {sentence(said)}"
    if code in THROTTLES:
        return Throttled(words, until=now + timedelta(seconds=THROTTLED_FOR_S))
    if code in QUOTA:
        return _quota(code, said, offer)
    for reach, fixes in _REFUSALS:
        if code in fixes:
            return Refused(words, scope=scope(reach, offer), hint=fixes[code])
    return Unknown(words)


def absent(said: str) -> tuple[str, ...]:
    """Ids that an InvalidInstanceID.NotFound names."""
    return tuple(re.findall(r"\b(?:i|vol|lt|eni)-[0-9a-f]+\b", said))


def _quota(code: str, said: str, offer: Offer | None) -> Refused:
    """On-demand and spot have quotas of their own, and so have the types with GPUs."""
    place = f" in {offer.region}" if offer else ""
    limited = scope(Reach.REGION, offer, spot=_SPOT.get(code))
    if offer and offer.gpu and code in _SPOT:
        limited = msgspec.structs.replace(limited, machine_type=offer.machine_type)
    return Refused(
        f"quota of {QUOTA[code]}{place}: {sentence(said)}",
        scope=limited,
        hint=f"Raise it at {QUOTA_PAGE}",
    )


def sentence(said: str) -> str:
    """One line; without what only AWS can read ("Encoded authorization failure message: …")."""
    plain = said.partition("Encoded authorization failure message")[0]
    return " ".join((plain or "no reason was given").split())[:400]
