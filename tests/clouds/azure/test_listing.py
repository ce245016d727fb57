"""What is listed: addresses, ended ones, leftovers, and pages."""

from __future__ import annotations

import pytest

from shoal.clouds.provider import Throttled, Unknown
from tests.clouds.azure.rig import Rig, batch, offer


def test_a_vm_is_listed_with_both_of_its_addresses(rig: Rig) -> None:
    rig.launch(batch(1))
    (vm,) = rig.listed()
    assert vm.address.startswith("203.0.")
    assert vm.inside.startswith("10.80.")
    assert {vm.address.split(":")[1], vm.inside.split(":")[1]} == {"8788"}
    assert (vm.region, vm.zone, vm.machine_type) == ("eastus", "eastus-1", "Standard_D4s_v5")
    assert vm.price_uusd_per_hour == 192_000


def test_a_vm_that_was_powered_off_from_within_is_shown_as_not_running(rig: Rig) -> None:
    """It is billed until somebody deletes it."""
    asked = batch(2)
    rig.launch(asked)
    rig.arm.power_off(asked.instances[0])
    assert {it.name: it.running for it in rig.listed()} == {
        asked.instances[0]: False,
        asked.instances[1]: True,
    }


def test_a_failed_vm_whose_removal_was_lost_is_shown_as_not_running(rig: Rig) -> None:
    asked = batch(1)
    rig.launch(asked)
    rig.vm(asked.instances[0])["properties"]["provisioningState"] = "Failed"
    rig.vm(asked.instances[0])["properties"].pop("instanceView")
    assert [it.running for it in rig.listed()] == [False]


def test_what_a_vm_left_behind_is_listed_and_can_be_ended(rig: Rig) -> None:
    asked = batch(1)
    rig.launch(asked)
    rig.arm.leave_behind(asked.instances[0])
    left = rig.listed()
    assert {it.kind for it in left} == {"disk", "interface", "address"}
    assert {it.name for it in left} == set(asked.instances)
    rig.terminate(left)
    assert rig.arm.left() == []
    assert rig.listed() == []


def test_a_listing_of_several_pages_is_whole(rig: Rig) -> None:
    rig.arm.knobs.page_size = 2
    asked = batch(5)
    rig.launch(asked)
    assert {it.name for it in rig.listed()} == set(asked.instances)


def test_a_listing_is_whole_or_an_error(rig: Rig) -> None:
    rig.launch(batch(1))
    rig.arm.knobs.throttles = 1
    with pytest.raises(Throttled):
        rig.listed()


def test_a_lost_answer_to_a_deletion_ends_the_vm_all_the_same(rig: Rig) -> None:
    vms = list(rig.launch(batch(2, offer())).vms)
    rig.arm.knobs.lost.append("DELETE virtualMachines")
    with pytest.raises(Unknown):
        rig.terminate(vms)
    assert rig.listed() == []


def test_no_more_vms_are_ended_while_azure_asks_for_patience(rig: Rig) -> None:
    vms = list(rig.launch(batch(40)).vms)
    rig.arm.knobs.throttles = 1_000
    with pytest.raises(Throttled):
        rig.terminate(vms)
    assert rig.calls("DELETE virtualMachines") <= 16
    rig.arm.knobs.throttles = 0
    rig.terminate(vms)
    assert rig.listed() == []
