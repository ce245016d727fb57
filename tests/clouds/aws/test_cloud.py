"""Amazon's provider against the double: what it asks for, what it makes of the answers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from moto.ec2.models import ec2_backends

from shoal.clouds.aws import names
from shoal.clouds.aws.cloud import AwsCloud
from shoal.clouds.provider import Launched, NoCapacity, Refused, Throttled, Unknown
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Vm
from shoal.wire.ids import ClusterId, InstallationId, batch_id, instance_id
from shoal.wire.specs import Cloud, Role
from tests.doubles.aws.front import ACCOUNT
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble

# The vendor's client against a whole double: most of what quick tests would take.
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CLUSTER, OURS = ClusterId("c-abcdefghij"), InstallationId("i-abcdefghij")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEST, ELSEWHERE = ("us-east-1a", "m7i.xlarge"), ("us-east-1b", "m7i.xlarge")

TYPES = ("m7i.xlarge", "m6i.xlarge", "m7a.xlarge")


def offer(place: tuple[str, str] = BEST, **more: object) -> Offer:
    zone, type_ = place
    made = Offer(Cloud.AWS, zone[:-1], zone, type_, False, "x86_64", 4, 16 << 30, 201_600)
    return msgspec.structs.replace(made, **more)


def batch(count: int, *offers: Offer, number: int = 1, **more: object) -> Batch:
    id = batch_id(CLUSTER, number)
    made = Batch(
        id=id,
        cluster=CLUSTER,
        role=Role.WORKER,
        count=count,
        offers=offers or (offer(),),
        instances=tuple(instance_id(CLUSTER, 1000 * number + n) for n in range(count)),
        cluster_created_at=NOW,
        head_address="10.0.0.1:8788",
        image="",
        disk_gib=40,
        tags=(("Team", "R&D"), ("aws:reserved", "x"), ("shoal-batch", id)),
        lifetime_s=0.0,
        created_at=NOW,
    )
    return msgspec.structs.replace(made, **more)


class Rig:
    def __init__(self, double: AwsDouble) -> None:
        self.double, self.knobs = double, double.knobs
        self.cloud = AwsCloud(double.account, OURS, clock=lambda: NOW, session=double.session)

    def launch(self, it: Batch) -> Launched:
        return asyncio.run(self.cloud.launch(it, "#!/bin/sh\n"))

    def list(self) -> list[Vm]:
        return list(asyncio.run(self.cloud.list()))

    def end(self, *vms: Vm) -> None:
        asyncio.run(self.cloud.terminate(vms))

    def only(self) -> Any:
        """moto's instance."""
        [made] = self.double.instances()
        return made


@pytest.fixture
def rig() -> Iterator[Rig]:
    with AwsDouble(Knobs(regions=("us-east-1",))) as double:
        yield Rig(double)


def test_a_batch_is_a_template_a_fleet_and_no_template(rig: Rig) -> None:
    assert len(rig.launch(batch(3)).vms) == 3
    changes = {it: n for it, n in rig.double.front.calls.items() if not it.startswith(("De", "Ge"))}
    assert changes == {"CreateLaunchTemplate": 1, "CreateFleet": 1}
    assert rig.double.front.calls["DeleteLaunchTemplate"] == 1
    assert not any(it.kind == "template" for it in rig.list())


def test_a_vm_is_born_with_its_tags_its_boot_text_and_its_disk(rig: Rig) -> None:
    rig.launch(batch(1))
    made = rig.only()
    tags = {it["key"]: it["value"] for it in made.get_tags()}
    assert tags["Team"] == "R&D"
    assert tags[names.INSTALLATION_TAG] == OURS
    assert tags[names.BATCH_TAG] == f"{CLUSTER}-b1"
    assert "aws:reserved" not in tags
    assert base64.b64decode(str(made.user_data)) == b"#!/bin/sh\n"
    [(root, disk)] = made.get_block_device_mapping
    assert (root, disk.size, disk.delete_on_termination) == ("/dev/sda1", 40, True)
    volume = ec2_backends[ACCOUNT]["us-east-1"].volumes[disk.volume_id]
    assert volume.volume_type == "gp3"
    assert {it["key"]: it["value"] for it in volume.get_tags()} == tags


def test_a_vm_ends_when_it_powers_off_and_its_metadata_needs_a_token(rig: Rig) -> None:
    rig.launch(batch(1))
    assert rig.only().instance_initiated_shutdown_behavior == "terminate"
    assert rig.only().metadata_options.http_tokens == "required"


def test_spot_is_asked_for_and_told(rig: Rig) -> None:
    rig.launch(batch(1, offer(spot=True)))
    [vm] = rig.list()
    assert vm.spot
    assert rig.only().lifecycle == "spot"


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_image_fits_the_processor(rig: Rig, arch: str) -> None:
    place = BEST if arch == "x86_64" else ("us-east-1a", "m7g.xlarge")
    rig.launch(batch(1, offer(place, arch=arch)))
    assert rig.only().architecture == arch.replace("aarch64", "arm64")


@pytest.mark.parametrize("named", ["ami-0123456789abcdef0", "a-name-that-nobody-gave"])
def test_an_image_that_is_not_there_is_refused_by_name(rig: Rig, named: str) -> None:
    with pytest.raises(Refused, match=named):
        rig.launch(batch(1, image=named))
    assert rig.list() == []


def test_an_image_of_the_account_is_found_by_its_name(rig: Rig) -> None:
    rig.launch(batch(1, image="ubuntu-24.04-arm64"))
    assert rig.only().image_id == rig.double.front.images["us-east-1", "arm64"]


def test_a_head_is_reached_from_the_addresses_that_were_named_and_workers_from_none(
    rig: Rig,
) -> None:
    head = batch(1, role=Role.SCHEDULER, ingress=("198.51.100.7/32", "2001:db8::/48"))
    rig.launch(head)
    rig.launch(batch(2, number=2))
    rig.launch(msgspec.structs.replace(head, id=batch_id(CLUSTER, 3)))
    vpc_groups = ec2_backends[ACCOUNT]["us-east-1"].describe_security_groups()
    [group] = [it for it in vpc_groups if it.name.startswith("shoal-head-")]
    assert {rule.from_port for rule in group.ingress_rules} == {8786, 8787, 8788}
    heads = [it for it in rig.list() if not it.batch.endswith("b2")]
    workers = [it for it in rig.list() if it.batch.endswith("b2")]
    assert len(heads) == 2
    assert all(not it.address.startswith("10.") for it in heads)
    assert all(it.inside.startswith("10.142.") for it in heads)
    assert {it.address for it in workers} == {it.inside for it in workers}


def test_a_private_scheduler_is_reached_from_the_networks_that_were_named(rig: Rig) -> None:
    account = msgspec.structs.replace(rig.double.account, public_scheduler=False)
    cloud = AwsCloud(account, OURS, clock=lambda: NOW, session=rig.double.session)
    head = batch(1, role=Role.SCHEDULER, ingress=("10.0.0.0/8",))
    [vm] = asyncio.run(cloud.launch(head, "#!/bin/sh\n")).vms
    [group] = [
        it
        for it in ec2_backends[ACCOUNT]["us-east-1"].describe_security_groups()
        if it.name.startswith("shoal-head-")
    ]
    made = ec2_backends[ACCOUNT]["us-east-1"].get_instance(vm.id)
    assert group.id in {it.id for it in made.security_groups}


@pytest.mark.parametrize("lossy", ["CreateLaunchTemplate", "CreateFleet"])
def test_a_lost_answer_makes_no_second_vm(rig: Rig, lossy: str) -> None:
    asked = batch(3)
    rig.knobs.lossy, rig.knobs.lost_answers = lossy, 1
    with pytest.raises(Unknown):
        rig.launch(asked)
    assert len(rig.launch(asked).vms) == 3
    assert {it.kind for it in rig.list()} == {"vm"}
    assert len(rig.list()) == 3


@pytest.mark.parametrize("lossy", ["CreateLaunchTemplate", "CreateFleet"])
def test_a_lost_request_is_made_again(rig: Rig, lossy: str) -> None:
    rig.knobs.lossy, rig.knobs.lost_requests = lossy, 1
    with pytest.raises(Unknown):
        rig.launch(batch(2))
    assert len(rig.launch(batch(2)).vms) == 2


def test_a_template_that_is_not_needed_any_more_is_listed_and_ended(rig: Rig) -> None:
    rig.knobs.lossy, rig.knobs.lost_requests = "DeleteLaunchTemplate", 1
    [vm] = rig.launch(batch(1)).vms
    [left] = [it for it in rig.list() if it.kind == "template"]
    assert (left.name, left.batch) == ("", f"{CLUSTER}-b1")
    rig.end(vm, left)
    assert rig.list() == []
    assert rig.double.left() == []


def test_the_first_alternatives_come_first_and_each_vm_says_where_it_is(rig: Rig) -> None:
    other = ("us-east-1a", "m6i.xlarge")
    rig.knobs.room = {BEST: 2, ELSEWHERE: 1}
    told = rig.launch(batch(5, offer(BEST), offer(ELSEWHERE), offer(other)))
    assert [(it.zone, it.machine_type) for it in told.vms] == [BEST, BEST, ELSEWHERE, other, other]
    assert told.shortfalls == ()
    assert {(it.zone, it.machine_type) for it in rig.list()} == {BEST, ELSEWHERE, other}


def test_empty_pools_are_named_all(rig: Rig) -> None:
    rig.knobs.room = {BEST: 0, ELSEWHERE: 0}
    with pytest.raises(NoCapacity) as told:
        rig.launch(batch(2, offer(BEST), offer(ELSEWHERE)))
    scopes = [told.value.scope, *told.value.also]
    assert [(it.zone, it.machine_type) for it in scopes] == [BEST, ELSEWHERE]
    assert rig.list() == []


def test_a_quota_is_told_with_its_region_and_page(rig: Rig) -> None:
    rig.knobs.quota = {"us-east-1": 2}
    told = rig.launch(batch(3))
    [missing] = told.shortfalls
    assert (len(told.vms), missing.count) == (2, 1)
    assert isinstance(missing.error, Refused)
    assert "vCPUs of on-demand instances in us-east-1" in missing.error.message
    assert "servicequotas" in missing.error.hint


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("InsufficientFreeAddressesInSubnet", NoCapacity),
        ("Unsupported", NoCapacity),
        ("UnauthorizedOperation", Refused),
        ("InternalError", NoCapacity),
    ],
)
def test_an_error_of_a_fleet_is_one_of_the_four(
    rig: Rig, code: str, error: type[Exception]
) -> None:
    rig.knobs.fleet_errors = {BEST: code}
    with pytest.raises(error):
        rig.launch(batch(1))


def test_a_fleet_that_was_throttled_says_so_once_and_for_all(rig: Rig) -> None:
    """Who repeats the call hears the same: its VMs are asked for anew, a while later."""
    rig.knobs.fleet_errors = {BEST: "RequestLimitExceeded"}
    [lacking] = rig.launch(batch(1)).shortfalls
    assert (lacking.count, type(lacking.error)) == (1, Throttled)


def test_a_throttle_says_until_when(rig: Rig) -> None:
    rig.knobs.throttled = 1
    with pytest.raises(Throttled) as told:
        rig.launch(batch(1))
    assert told.value.until > NOW


def test_a_region_that_is_not_prepared_says_how_to_prepare_it(rig: Rig) -> None:
    elsewhere = offer(("eu-west-1a", "m7i.xlarge"))
    with pytest.raises(Refused) as told:
        rig.launch(batch(1, elsewhere))
    assert "shoal setup aws --region eu-west-1" in told.value.hint


def test_a_zone_without_a_subnet_is_told_and_others_are_taken(rig: Rig) -> None:
    nowhere = offer(("us-east-1f", "m7i.xlarge"))
    with pytest.raises(Refused, match="no subnet in us-east-1f"):
        rig.launch(batch(1, nowhere))
    assert rig.launch(batch(1, nowhere, offer(), number=2)).vms[0].zone == "us-east-1a"


def test_vms_of_all_enabled_regions_are_listed_and_ended() -> None:
    with AwsDouble(Knobs(regions=("us-east-1", "us-west-2"))) as double:
        rig = Rig(double)
        rig.launch(batch(2))
        rig.launch(batch(1, offer(("us-west-2b", "m7i.xlarge")), number=2))
        found = rig.list()
        assert sorted(it.region for it in found) == ["us-east-1", "us-east-1", "us-west-2"]
        rig.end(*found, msgspec.structs.replace(found[0], id="i-0123456789abcdef0"))
        assert rig.list() == []
        assert double.left() == []


def test_a_listing_that_lacks_a_region_is_no_listing(rig: Rig) -> None:
    rig.launch(batch(1))
    rig.list()
    rig.knobs.throttled = 1
    with pytest.raises(Throttled):
        rig.list()


def test_a_server_that_is_not_there_is_unknown() -> None:
    with AwsDouble() as double:
        rig = Rig(double)
    with pytest.raises(Unknown):
        rig.launch(batch(1))


def test_an_interrupted_vm_is_not_there_any_more(rig: Rig) -> None:
    [vm, _] = rig.launch(batch(2, offer(spot=True))).vms
    rig.double.end(vm.id)
    assert vm.id not in {it.id for it in rig.list()}
    assert len(rig.list()) == 1


def test_a_token_with_another_request_is_an_error(rig: Rig) -> None:
    rig.launch(batch(1))
    with pytest.raises(Unknown, match="IdempotentParameterMismatch"):
        rig.launch(batch(2))
    assert len([it for it in rig.list() if it.kind == "vm"]) == 1


def test_hundreds_of_workers_take_few_calls(rig: Rig) -> None:
    assert len(rig.launch(batch(600)).vms) == 600
    found = rig.list()
    rig.end(*found)
    assert sum(rig.double.front.calls.values()) < 30
    assert rig.list() == []


def test_the_likely_zones_are_those_with_scores_by_their_names(rig: Rig) -> None:
    rig.knobs.scores = {"us-east-1a": 3, "us-east-1b": 9}
    asked = Question("us-east-1", ("us-east-1a", "us-east-1b"), TYPES, 9)
    said = asyncio.run(rig.cloud.likely(asked))
    assert said == {"us-east-1a": pytest.approx(0.3), "us-east-1b": pytest.approx(0.9)}


def test_scores_of_few_types_say_nothing_and_are_not_asked_for(rig: Rig) -> None:
    rig.knobs.scores = {"us-east-1a": 3, "us-east-1b": 9}
    asked = Question("us-east-1", ("us-east-1a", "us-east-1b"), TYPES[:2], 9)
    assert asyncio.run(rig.cloud.likely(asked)) == {}


def test_an_order_of_preference_holds_for_spot_too(rig: Rig) -> None:
    preferred = [offer(("us-east-1a", it), spot=True) for it in ("m7i.xlarge", "m6i.xlarge")]
    rig.launch(batch(1, *preferred, preferred=True))
    assert rig.only().instance_type == "m7i.xlarge"
    rig.launch(batch(1, *preferred, number=2))  # by price, as the double has it
    assert sorted(it.instance_type for it in rig.double.instances()) == ["m6i.xlarge", "m7i.xlarge"]
