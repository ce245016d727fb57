"""Azure's refusals: whom each concerns. What the double can say is in test_refusals.py."""

from __future__ import annotations

import pytest

from shoal.clouds.azure.errors import Fault, launch_error
from shoal.clouds.provider import NoCapacity, Refused, Scope, Throttled
from tests.clouds.azure.rig import NOW, offer

ALONE = Scope(alone=True)


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        ("AuthorizationFailed", Scope()),
        ("ExpiredAuthenticationToken", Scope()),
        ("ResourceGroupNotFound", Scope()),
        ("RequestDisallowedByPolicy", Scope()),
        ("InvalidResourceReference", Scope("eastus")),
        ("ImageNotFound", ALONE),
        ("PlatformImageNotFound", ALONE),
        ("MarketplacePurchaseEligibilityFailed", ALONE),
    ],
)
def test_a_refusal_reaches_whom_it_concerns(code: str, scope: Scope) -> None:
    told = launch_error(Fault(code, "no"), offer(), status=400, now=NOW)
    assert isinstance(told, Refused)
    assert told.scope == scope
    assert told.hint


@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize("code", ["QuotaExceeded", "OperationNotAllowed"])
def test_spot_and_on_demand_have_limits_of_their_own(code: str, spot: bool) -> None:
    fault = Fault(code, "exceeding approved LowPriorityCores quota")
    told = launch_error(fault, offer(spot=spot), status=409, now=NOW)
    assert isinstance(told, Refused)
    assert told.scope == Scope("eastus", spot=spot)


@pytest.mark.parametrize("code", ["AllocationFailed", "SpotVMNotAvailable"])
def test_a_type_that_is_not_to_be_had_is_avoided_in_its_zone(code: str) -> None:
    told = launch_error(Fault(code, "no"), offer(spot=True), status=409, now=NOW)
    assert isinstance(told, NoCapacity)
    assert told.scope == Scope("eastus", "eastus-1", "Standard_D4s_v5", True)


def test_too_many_calls_are_throttled() -> None:
    told = launch_error(Fault("OperationNotAllowedDueToThrottling", ""), offer(), now=NOW)
    assert isinstance(told, Throttled)
