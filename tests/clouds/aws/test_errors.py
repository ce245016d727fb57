"""Each of Amazon's signals: which of the four errors, and what is avoided next."""

from __future__ import annotations

import msgspec
import pytest

from shoal.clouds.aws.errors import error_of, launch_error
from shoal.clouds.provider import NoCapacity, Refused, Scope, Throttled, Unknown
from tests.clouds.aws.test_cloud import NOW, offer

OFFER = offer()
REGION, ZONE, TYPE = OFFER.region, OFFER.zone, OFFER.machine_type
ALONE = Scope(alone=True)

REFUSED = [
    ("UnauthorizedOperation", Scope()),
    ("OptInRequired", Scope()),
    ("ExpiredToken", Scope()),
    ("InvalidClientTokenId", Scope()),
    ("InvalidSubnetID.NotFound", Scope(REGION)),
    ("InvalidGroup.NotFound", Scope(REGION)),
    ("InvalidVpcID.NotFound", Scope(REGION)),
    ("InvalidAMIID.NotFound", ALONE),
    ("InvalidAMIID.Malformed", ALONE),
    ("InvalidAMIID.Unavailable", ALONE),
    ("InvalidParameterValue", ALONE),
    ("InvalidParameterCombination", ALONE),
    ("InvalidBlockDeviceMapping", ALONE),
    ("ParameterNotFound", ALONE),
    ("MaxSpotInstanceCountExceeded", Scope(REGION, spot=True)),
    ("SpotInstanceCountLimitExceeded", Scope(REGION, spot=True)),
    ("VcpuLimitExceeded", Scope(REGION, spot=False)),
    ("InstanceLimitExceeded", Scope(REGION, spot=False)),
    ("MaxFleetCountExceeded", Scope(REGION)),
    ("VolumeLimitExceeded", Scope(REGION)),
]


@pytest.mark.parametrize(("code", "scope"), REFUSED)
def test_a_refusal_reaches_whom_it_concerns(code: str, scope: Scope) -> None:
    told = launch_error(code, "no", OFFER, now=NOW)
    assert isinstance(told, Refused)
    assert told.scope == scope
    assert told.hint


@pytest.mark.parametrize(
    "code",
    [
        "InsufficientInstanceCapacity",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "InvalidFleetConfiguration",
    ],
)
def test_a_type_that_is_not_to_be_had_is_avoided_in_its_zone(code: str) -> None:
    told = launch_error(code, "not now", OFFER, now=NOW)
    assert isinstance(told, NoCapacity)
    assert told.scope == Scope(REGION, ZONE, TYPE, OFFER.spot)


def test_a_full_subnet_is_its_zones() -> None:
    told = launch_error("InsufficientFreeAddressesInSubnet", "full", OFFER, now=NOW)
    assert isinstance(told, NoCapacity)
    assert told.scope == Scope(REGION, ZONE)


@pytest.mark.parametrize("code", ["VcpuLimitExceeded", "MaxSpotInstanceCountExceeded"])
def test_a_limit_of_gpus_forbids_no_other_types(code: str) -> None:
    """New accounts have none: types with GPUs are counted apart."""
    told = launch_error(code, "0 allowed", msgspec.structs.replace(OFFER, gpu=1), now=NOW)
    assert isinstance(told, Refused)
    assert told.scope.machine_type == TYPE


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "Throttling", "EC2ThrottledException"])
def test_too_many_calls_are_throttled(code: str) -> None:
    assert isinstance(launch_error(code, "", OFFER, now=NOW), Throttled)


def test_a_code_that_nobody_knows_is_unknown() -> None:
    assert isinstance(launch_error("InternalError", "", OFFER, now=NOW), Unknown)


def test_a_refusal_of_a_call_that_asks_for_nothing_reaches_no_other_cluster() -> None:
    for code in ("InvalidParameterValue", "InvalidVpcID.NotFound", "SecurityGroupLimitExceeded"):
        told = error_of(code, "", now=NOW)
        assert isinstance(told, Refused)
        assert told.scope == ALONE
