"""What Azure answers when it says no, and what core is told: one of four, and what to avoid."""

from __future__ import annotations

import pytest

from shoal.clouds.provider import NoCapacity, Refused, Scope, Unknown
from tests.clouds.azure.rig import Rig, batch, offer
from tests.doubles.azure.knobs import Refusal

IN_ZONE = Scope("eastus", "eastus-1", "Standard_D4s_v5", False)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    "code",
    [
        "SkuNotAvailable",
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
    ],
)
def test_a_type_that_is_not_to_be_had_is_avoided_in_its_zone(
    rig: Rig, code: str, early: bool
) -> None:
    rig.arm.knobs.refusals.append(Refusal(code, early=early))
    with pytest.raises(NoCapacity) as told:
        rig.launch(batch(2))
    assert told.value.scope == IN_ZONE
    assert rig.arm.left() == []


@pytest.mark.parametrize(
    ("code", "message", "scope"),
    [
        ("QuotaExceeded", "exceeding approved standardDSv5Family Cores quota", "type"),
        ("QuotaExceeded", "exceeding approved Total Regional Cores quota", "region"),
        ("OperationNotAllowed", "exceeding approved Total Regional Cores quota", "region"),
        ("PublicIPCountLimitReached", "Cannot create more than 20 addresses", "addresses"),
        ("SubnetIsFull", "Subnet shoal is full", "addresses"),
    ],
)
def test_a_limit_is_refused_for_what_it_limits(
    rig: Rig, code: str, message: str, scope: str
) -> None:
    rig.arm.knobs.refusals.append(Refusal(code, message=message))
    with pytest.raises(Refused) as told:
        rig.launch(batch(1))
    assert (
        told.value.scope
        == {
            "type": Scope("eastus", machine_type="Standard_D4s_v5", spot=False),
            "region": Scope("eastus", spot=False),
            "addresses": Scope("eastus"),
        }[scope]
    )
    assert told.value.hint


def test_a_limit_counts_the_whole_batch(rig: Rig) -> None:
    rig.arm.knobs.cores["standardDSv5Family"] = 8
    with pytest.raises(Refused):
        rig.launch(batch(3))
    assert rig.listed() == []
    assert len(rig.launch(batch(2)).vms) == 2


@pytest.mark.parametrize("code", ["AuthorizationFailed", "RequestDisallowedByPolicy"])
def test_what_no_alternative_helps_is_refused_for_the_account_at_once(rig: Rig, code: str) -> None:
    rig.arm.knobs.refusals.append(Refusal(code))
    with pytest.raises(Refused) as told:
        rig.launch(batch(1, offer(), offer(zone="eastus-2")))
    assert told.value.scope == Scope()
    assert rig.calls("PUT deployments") == 1


def test_the_next_alternative_is_taken_where_the_first_is_empty(rig: Rig) -> None:
    rig.arm.knobs.refusals.append(Refusal("SkuNotAvailable", zone="1"))
    asked = batch(2, offer(), offer(zone="eastus-2"))
    assert {it.zone for it in rig.launch(asked).vms} == {"eastus-2"}
    assert {it.zone for it in rig.launch(asked).vms} == {"eastus-2"}  # by the record
    assert {it.zone for it in rig.listed()} == {"eastus-2"}


def test_all_empty_alternatives_are_told(rig: Rig) -> None:
    rig.arm.knobs.refusals.append(Refusal("SkuNotAvailable"))
    with pytest.raises(NoCapacity) as told:
        rig.launch(batch(1, offer(), offer(zone="eastus-2")))
    assert [it.zone for it in (told.value.scope, *told.value.also)] == ["eastus-1", "eastus-2"]


def test_an_error_nobody_knows_changes_nothing_at_the_door(rig: Rig) -> None:
    rig.arm.knobs.refusals.append(Refusal("InternalServerError"))
    with pytest.raises(Unknown):
        rig.launch(batch(1))


def test_an_error_nobody_knows_after_acceptance_makes_core_look_elsewhere(rig: Rig) -> None:
    """The deployment is over, and its record would only say the same again."""
    rig.arm.knobs.refusals.append(Refusal("InternalExecutionError", early=False))
    with pytest.raises(NoCapacity, match="InternalExecutionError"):
        rig.launch(batch(1))


def test_a_network_that_is_not_there_names_the_setup(rig: Rig) -> None:
    rig.arm.resources.clear()
    with pytest.raises(Refused, match="InvalidResourceReference") as told:
        rig.launch(batch(1))
    assert "shoal setup azure" in told.value.hint


def test_a_group_that_is_not_there_names_the_setup(rig: Rig) -> None:
    rig.arm.groups.clear()
    with pytest.raises(Refused, match="ResourceGroupNotFound") as told:
        rig.launch(batch(1))
    assert "shoal setup azure" in told.value.hint


def test_what_azure_will_never_do_is_refused_and_the_next_alternative_taken(rig: Rig) -> None:
    nonsense = offer("Standard_Nothing")
    with pytest.raises(Refused, match="is no size") as told:
        rig.launch(batch(1, nonsense))
    assert told.value.scope == Scope("eastus", "eastus-1", "Standard_Nothing", False, alone=True)
    (vm,) = rig.launch(batch(1, nonsense, offer(), number=2)).vms
    assert vm.machine_type == "Standard_D4s_v5"
