"""A batch becomes one deployment: what is asked for, and that it is asked for once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shoal.clouds.provider import Refused, Throttled, Unknown
from shoal.core.obtainability import Question
from shoal.core.records import Offer
from shoal.wire.specs import Role
from tests.clouds.azure.rig import CLUSTER, OURS, Rig, batch, offer


def test_a_vm_bears_its_name_its_tags_and_its_size(rig: Rig) -> None:
    asked = batch(2)
    told = rig.launch(asked)
    assert [it.name for it in told.vms] == list(asked.instances)
    vm = rig.vm(asked.instances[0])
    assert vm["properties"]["hardwareProfile"] == {"vmSize": "Standard_D4s_v5"}
    assert vm["properties"]["osProfile"]["computerName"] == asked.instances[0]
    assert vm["zones"] == ["1"]
    ours = {"shoal-installation": OURS, "shoal-cluster": CLUSTER, "shoal-batch": asked.id}
    ours["shoal-uusd-per-hour"] = "192000"
    assert vm["tags"] == {"team": "ocean", **ours}


def test_everything_of_a_vm_bears_the_tags_and_goes_with_it(rig: Rig) -> None:
    vms = rig.launch(batch(1)).vms
    things = [it.path.id.lower() for it in rig.arm.ledger]
    assert len(things) == 4  # VM, disk, interface, address
    for it in things:
        assert rig.arm.resources[it]["tags"]["shoal-installation"] == OURS
    rig.terminate(list(vms))
    assert rig.arm.left() == []


def test_the_boot_text_arrives_unchanged_and_is_in_no_record(rig: Rig) -> None:
    asked = batch(1)
    rig.launch(asked)
    assert rig.arm.user_data(asked.instances[0]) == rig.boot_text.encode()
    (record,) = rig.azure.deployments.records.values()
    template = record.body["properties"]["template"]
    assert template["parameters"]["bootText"] == {"type": "securestring"}
    boot = record.body["properties"]["parameters"]["bootText"]["value"]
    assert boot not in msgspec.json.encode(template).decode()


def test_a_tag_that_looks_like_an_expression_is_a_tag(rig: Rig) -> None:
    asked = batch(1, tags=(("note", "[parameters('bootText')]"),))
    rig.launch(asked)
    assert rig.vm(asked.instances[0])["tags"]["note"] == "[parameters('bootText')]"


def test_spot_is_evicted_by_deletion_and_pays_up_to_the_full_price(rig: Rig) -> None:
    asked = batch(1, offer(spot=True))
    assert rig.launch(asked).vms[0].spot
    properties = rig.vm(asked.instances[0])["properties"]
    assert properties["priority"] == "Spot"
    assert properties["evictionPolicy"] == "Delete"
    assert properties["billingProfile"] == {"maxPrice": -1}
    assert rig.listed()[0].spot


def test_the_disk_is_as_large_as_asked(rig: Rig) -> None:
    asked = batch(1, disk_gib=77)
    rig.launch(asked)
    disk = rig.vm(asked.instances[0])["properties"]["storageProfile"]["osDisk"]
    assert disk["diskSizeGB"] == 77
    assert disk["deleteOption"] == "Delete"


@pytest.mark.parametrize(
    ("what", "image", "expected"),
    [
        (offer(), "", {"publisher": "Canonical", "sku": "server"}),
        (
            offer("Standard_D4ps_v6", arch="aarch64"),
            "",
            {"publisher": "Canonical", "sku": "server-arm64"},
        ),
        (
            offer("Standard_NC40ads_H100_v5", gpu=1),
            "",
            {"publisher": "microsoft-dsvm", "sku": "2404"},
        ),
        (offer(), "Debian:debian-12:12:1.2", {"publisher": "Debian", "version": "1.2"}),
        (offer(), "/subscriptions/s/images/mine", {"id": "/subscriptions/s/images/mine"}),
    ],
)
def test_the_image_fits_the_machine(
    rig: Rig, what: Offer, image: str, expected: dict[str, str]
) -> None:
    asked = batch(1, what, image=image)
    rig.launch(asked)
    reference = rig.vm(asked.instances[0])["properties"]["storageProfile"]["imageReference"]
    assert expected.items() <= reference.items()


def test_a_head_is_reached_by_those_it_names_and_a_worker_by_nobody(rig: Rig) -> None:
    head = batch(1, role=Role.SCHEDULER, ingress=("198.51.100.7/32",))
    rig.launch(head)
    worker = batch(1, number=2)
    rig.launch(worker)
    assert _doors(rig, head.instances[0]) == [(["198.51.100.7/32"], ["8786", "8787", "8788"])]
    assert _doors(rig, worker.instances[0]) == []


def test_heads_with_the_same_clients_share_a_security_group(rig: Rig) -> None:
    for number in (1, 2):
        cidrs = ("198.51.100.7/32", "192.0.2.0/24")[:: 3 - 2 * number]
        rig.launch(batch(1, number=number, role=Role.SCHEDULER, ingress=cidrs))
    groups = [it for it in rig.arm.resources if "/networksecuritygroups/shoal-head" in it]
    assert len(groups) == 1


def _doors(rig: Rig, name: str) -> list[tuple[list[str], list[str]]]:
    nic = rig.vm(f"{name}-nic")
    group = rig.arm.resources[nic["properties"]["networkSecurityGroup"]["id"].lower()]
    rules = [it["properties"] for it in group["properties"].get("securityRules", [])]
    return [(it["sourceAddressPrefixes"], it["destinationPortRanges"]) for it in rules]


def test_a_private_account_gives_no_public_address(rig: Rig) -> None:
    rig.account = msgspec.structs.replace(rig.account, public_scheduler=False, public_workers=False)
    rig.launch(batch(1))
    (vm,) = rig.listed()
    assert not [it for it in rig.arm.left() if "publicipaddresses" in it.lower()]
    assert vm.address == vm.inside != ""


def test_the_vms_identity_is_the_accounts(rig: Rig) -> None:
    rig.account = msgspec.structs.replace(rig.account, identity="/subscriptions/s/identity/vm")
    asked = batch(1)
    rig.launch(asked)
    assert list(rig.vm(asked.instances[0])["identity"]["userAssignedIdentities"]) == [
        "/subscriptions/s/identity/vm"
    ]


def test_a_launch_whose_answer_was_lost_is_found_by_the_next(rig: Rig) -> None:
    rig.arm.knobs.lost.append("PUT deployments")
    asked = batch(3)
    with pytest.raises(Unknown):
        rig.launch(asked)
    told = rig.launch(asked)
    assert [it.name for it in told.vms] == list(asked.instances)
    assert rig.calls("PUT deployments") == 1
    assert len(rig.listed()) == 3


def test_an_evicted_vm_is_not_raised_again_by_a_repeated_launch(rig: Rig) -> None:
    asked = batch(2, offer(spot=True))
    rig.launch(asked)
    rig.arm.evict(asked.instances[0])
    rig.launch(asked)
    assert [it.name for it in rig.listed()] == [asked.instances[1]]


def test_a_deployment_that_takes_long_is_accepted(rig: Rig) -> None:
    rig.arm.knobs.polls = 1_000_000
    assert len(rig.launch(batch(2), patience_s=0.01).vms) == 2


def test_a_throttled_launch_says_until_when(rig: Rig) -> None:
    rig.arm.knobs.throttles, rig.arm.knobs.retry_after_s = 1, 40
    with pytest.raises(Throttled) as told:
        rig.launch(batch(1))
    assert told.value.until == rig.after(40)
    assert len(rig.azure.calls) == 1  # the SDK does not try again by itself


def test_a_login_that_azure_does_not_know_is_refused(rig: Rig) -> None:
    rig.account = msgspec.structs.replace(rig.account, subscription="another")
    with pytest.raises(Refused, match="SubscriptionNotFound"):
        rig.launch(batch(1))


@pytest.mark.long
def test_a_thousand_workers_are_tens_of_calls(rig: Rig) -> None:
    told = rig.launch(batch(1000))
    assert len(told.vms) == 1000
    assert len(rig.azure.calls) < 30
    assert len(rig.listed()) == 1000
    assert len(rig.azure.calls) < 100


def test_the_likely_zones_are_those_where_any_of_the_sizes_is(rig: Rig) -> None:
    d4, d8 = "Standard_D4s_v5", "Standard_D8s_v5"
    rig.arm.knobs.scores = {(d4, "1"): "Low", (d8, "1"): "High", (d4, "2"): "Medium"}
    zones = ("eastus-1", "eastus-2", "eastus-3")
    said = asyncio.run(rig.cloud().likely(Question("eastus", zones, (d4, d8), 2000)))
    assert said == {"eastus-1": 0.9, "eastus-2": 0.5}
    many = tuple(f"{d4}-{n}" for n in range(10))
    assert asyncio.run(rig.cloud().likely(Question("eastus", zones, many, 1))) == {}
