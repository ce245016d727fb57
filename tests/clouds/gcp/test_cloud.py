"""Google Cloud's provider against the double: what it asks for, what it makes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shoal.clouds.gcp import names
from shoal.clouds.gcp.cloud import GcpCloud
from shoal.clouds.gcp.requests import capacity, disk_type
from shoal.clouds.provider import Launched, NoCapacity, Refused, Throttled, Unknown
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Vm
from shoal.wire.ids import ClusterId, InstallationId, batch_id, instance_id
from shoal.wire.specs import Cloud, Role
from tests.doubles.gcp.compute import Compute, Knobs
from tests.doubles.gcp.server import GcpDouble

CLUSTER, OURS = ClusterId("c-abcdefghij"), InstallationId("i-abcdefghij")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def offer(zone: str = "us-east1-b", type_: str = "n2-standard-4", **more: object) -> Offer:
    made = Offer(Cloud.GCP, "us-east1", zone, type_, False, "x86_64", 4, 16 << 30, 194_200)
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
        tags=(("Team", "R&D"), ("shoal-batch", id)),
        lifetime_s=0.0,
        created_at=NOW,
    )
    return msgspec.structs.replace(made, **more)


class Project:
    def __init__(self, double: GcpDouble) -> None:
        self.double, self.compute = double, double.compute
        self.cloud = GcpCloud(
            double.account, OURS, clock=lambda: NOW, credentials=double.credentials, patience_s=5.0
        )

    def launch(self, it: Batch, boot_text: str = "#!/bin/sh\n") -> Launched:
        return asyncio.run(self.cloud.launch(it, boot_text))

    def list(self) -> list[Vm]:
        return list(asyncio.run(self.cloud.list()))

    def only(self) -> dict[str, object]:
        [made] = self.compute.instances.values()
        return made


@pytest.fixture
def project() -> Iterator[Project]:
    """Whatever is asked, Google's own schema has nothing against it."""
    with GcpDouble(Compute()) as double:
        yield Project(double)
    assert double.faults == []


def test_labels_go_in_the_call_and_into_googles_alphabet(project: Project) -> None:
    project.launch(batch(1))
    assert project.only()["labels"] == {
        "team": "r_d",
        names.BATCH_LABEL: f"{CLUSTER}-b1",
        names.CLUSTER_LABEL: CLUSTER,
        names.INSTALLATION_LABEL: OURS,
    }
    [disk] = project.compute.disks.values()
    assert disk["labels"] == project.only()["labels"]


def test_a_spot_vm_is_deleted_when_preempted_and_warned_before(project: Project) -> None:
    project.launch(batch(1, offer(spot=True)))
    scheduling = project.only()["scheduling"]
    assert isinstance(scheduling, dict)
    assert scheduling["provisioningModel"] == "SPOT"
    assert scheduling["instanceTerminationAction"] == "DELETE"
    assert scheduling["preemptionNoticeDuration"] == {"seconds": "120"}


def test_a_limited_life_is_the_clouds_own_timer(project: Project) -> None:
    project.launch(batch(1, lifetime_s=3600.0))
    scheduling = project.only()["scheduling"]
    assert isinstance(scheduling, dict)
    assert scheduling["maxRunDuration"] == {"seconds": "3600"}
    assert scheduling["instanceTerminationAction"] == "DELETE"


@pytest.mark.parametrize(
    ("chosen", "image", "disk"),
    [
        (offer(), "ubuntu-2404-lts-amd64", "pd-balanced"),
        (offer(type_="c4a-standard-4", arch="aarch64"), "ubuntu-2404-lts-arm64", "hyper"),
        (offer(type_="g2-standard-4", gpu=1, gpu_type="nvidia-l4"), "with-nvidia", "pd-balanced"),
    ],
)
def test_the_image_and_the_disk_fit_the_machine(
    project: Project, chosen: Offer, image: str, disk: str
) -> None:
    project.launch(batch(1, chosen))
    [made] = project.compute.disks.values()
    assert image in made["sourceImage"]
    assert made["sizeGb"] == "40"


def test_each_machine_type_of_a_batch_boots_from_a_disk_that_it_can_have(project: Project) -> None:
    types = ("n4-standard-4", "e2-standard-4", "c3-standard-4", "c4a-standard-4")
    offers = [offer(type_=it, arch="aarch64" if it[:3] == "c4a" else "x86_64") for it in types]
    project.compute.knobs.room = {("us-east1-b", it): 1 for it in types}
    assert len(project.launch(batch(4, *offers)).vms) == 4
    images = {
        it["machineType"].rsplit("/", 1)[1]: project.compute.disks[key]["sourceImage"][-5:]
        for key, it in project.compute.instances.items()
    }
    assert images == dict(zip(types, ["amd64", "amd64", "amd64", "arm64"], strict=True))


@pytest.mark.parametrize(
    ("type_", "disk"),
    [
        ("n1-standard-4", "pd-balanced"),
        ("c3-standard-4", "pd-balanced"),
        ("c3-standard-192-metal", "hyperdisk-balanced"),
        ("n4-standard-4", "hyperdisk-balanced"),
        ("a3-highgpu-8g", "pd-balanced"),
        ("a3-ultragpu-8g", "hyperdisk-balanced"),
    ],
)
def test_the_kind_of_disk_follows_from_the_series(type_: str, disk: str) -> None:
    assert disk_type(type_) == disk


def test_a_private_scheduler_is_reached_from_the_networks_that_were_named(
    project: Project,
) -> None:
    account = msgspec.structs.replace(project.double.account, public_scheduler=False)
    cloud = GcpCloud(account, OURS, clock=lambda: NOW, credentials=project.double.credentials)
    head = batch(1, role=Role.SCHEDULER, ingress=("10.0.0.0/8",))
    [vm] = asyncio.run(cloud.launch(head, "#!/bin/sh\n")).vms
    assert vm.address.startswith("10.")
    [rule] = project.compute.firewalls.values()
    assert rule["sourceRanges"] == ["10.0.0.0/8"]
    assert rule["targetTags"][0] in project.only()["tags"]["items"]  # type: ignore[index]


def test_a_head_is_reached_from_the_addresses_that_were_named_and_workers_from_none(
    project: Project,
) -> None:
    head = batch(1, role=Role.SCHEDULER, ingress=("198.51.100.7/32",))
    project.launch(head)
    project.launch(batch(2, number=2))
    again = msgspec.structs.replace(
        head, id=batch_id(CLUSTER, 3), instances=(instance_id(CLUSTER, 9),)
    )
    project.launch(again)
    [rule] = project.compute.firewalls.values()
    assert rule["sourceRanges"] == ["198.51.100.7/32"]
    assert rule["targetTags"] == [names.ingress_rule(project.double.account, head.ingress)]
    bearing = [
        it for it in project.compute.instances.values() if rule["name"] in it["tags"]["items"]
    ]
    assert {it["name"] for it in bearing} == {*head.instances, *again.instances}
    heads = [it for it in project.list() if it.name in head.instances]
    assert heads[0].address.startswith("203.0.113.")
    assert heads[0].inside.startswith("10.142.")
    workers = [it for it in project.list() if it.batch.endswith("b2")]
    assert {it.address for it in workers} == {it.inside for it in workers}


def test_an_end_that_came_to_nothing_is_asked_for_again_and_not_each_pass(project: Project) -> None:
    """Google takes a repeated request's id for the same request, whatever became of it."""
    now = NOW
    cloud = GcpCloud(
        project.double.account, OURS, clock=lambda: now, credentials=project.double.credentials
    )
    made = project.launch(batch(1)).vms
    project.compute.knobs.failing_ends = 1
    for _ in range(3):
        asyncio.run(cloud.terminate(made))
    assert len(project.compute.instances) == 1
    now += timedelta(minutes=6)
    asyncio.run(cloud.terminate(made))
    assert project.compute.instances == {}


def test_a_scheduler_that_nobody_would_reach_is_not_launched(project: Project) -> None:
    project.compute.knobs.failing_rules = 1
    head = batch(1, role=Role.SCHEDULER, ingress=("198.51.100.7/32",))
    with pytest.raises(Refused, match="FIREWALLS"):
        project.launch(head)
    assert project.compute.instances == {}


def test_a_lost_answer_makes_no_second_vm(project: Project) -> None:
    project.compute.knobs.lost_answers = 1
    asked = batch(3)
    with pytest.raises(Unknown):
        project.launch(asked)
    assert len(project.compute.instances) == 3
    assert len(project.launch(asked).vms) == 3
    assert len(project.compute.instances) == 3


def test_several_types_and_zones_are_one_call_the_best_first(project: Project) -> None:
    best, elsewhere = offer(), offer("us-east1-c")
    project.compute.knobs.room = {
        ("us-east1-b", "n2-standard-4"): 2,
        ("us-east1-c", "n2-standard-4"): 1,
    }
    other = offer(type_="n2d-standard-4")
    made = project.launch(batch(5, best, elsewhere, other)).vms
    assert sorted((it.zone, it.machine_type) for it in made) == [
        *[("us-east1-b", "n2-standard-4")] * 2,
        *[("us-east1-b", "n2d-standard-4")] * 2,
        ("us-east1-c", "n2-standard-4"),
    ]
    assert project.compute.calls.count("regionInstances.bulkInsert") == 1


def test_an_empty_pool_names_every_alternative(project: Project) -> None:
    offers = (offer(), offer("us-east1-c"))
    project.compute.knobs.room = {(it.zone, it.machine_type): 0 for it in offers}
    with pytest.raises(NoCapacity) as told:
        project.launch(batch(2, *offers))
    assert [told.value.scope.zone, *(it.zone for it in told.value.also)] == [
        "us-east1-b",
        "us-east1-c",
    ]


def test_a_quota_is_told_with_its_metric_region_and_page(project: Project) -> None:
    project.compute.knobs.quota = {"us-east1": 2}
    told = project.launch(batch(3))
    [missing] = told.shortfalls
    assert missing.count == 1
    assert isinstance(missing.error, Refused)
    assert "CPUS in us-east1" in missing.error.message
    assert "console.cloud.google.com" in missing.error.hint
    assert missing.error.scope.region == "us-east1"


def test_a_slow_operation_is_waited_for_and_then_left_to_the_next_pass(project: Project) -> None:
    project.compute.knobs.slow_polls = 3
    assert len(project.launch(batch(2)).vms) == 2
    project.compute.knobs.slow_polls = 1_000_000
    impatient = GcpCloud(
        project.double.account,
        OURS,
        clock=lambda: NOW,
        credentials=project.double.credentials,
        patience_s=0.0,
    )
    told = asyncio.run(impatient.launch(batch(2, number=2), "#!/bin/sh\n"))
    assert told.shortfalls == ()


@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        (Knobs(throttled=1), Throttled),
        (Knobs(forbidden=frozenset({"regionInstances.bulkInsert"})), Refused),
    ],
)
def test_an_error_of_the_call_is_one_of_the_four(
    project: Project, knobs: Knobs, error: type[Exception]
) -> None:
    project.compute.knobs = knobs
    with pytest.raises(error):
        project.launch(batch(1))


def test_a_listing_that_lacks_a_zone_is_no_listing(project: Project) -> None:
    project.launch(batch(1))
    project.compute.knobs.unlisted_zones = frozenset({"us-east1-d"})
    with pytest.raises(Unknown):
        project.list()


def test_a_server_that_is_not_there_is_unknown() -> None:
    with GcpDouble(Compute()) as double:
        project = Project(double)
    with pytest.raises(Unknown):
        project.launch(batch(1))


def test_a_disk_that_no_vm_uses_is_ours_to_end(project: Project) -> None:
    project.launch(batch(1))
    [disk] = project.compute.disks.values()
    disk["users"] = []
    disk["name"] = "left-over"
    project.compute.disks = {"us-east1-b/left-over": disk}
    [vm, left] = project.list()
    assert (vm.kind, left.kind, left.name) == ("vm", "disk", "left-over")
    asyncio.run(project.cloud.terminate([vm, left]))
    assert project.compute.left() == []


@pytest.mark.long
def test_a_thousand_workers_take_few_calls_and_are_all_ended(project: Project) -> None:
    vms = project.launch(batch(1000)).vms
    assert len(vms) == 1000
    assert len(project.compute.calls) <= 5
    asyncio.run(project.cloud.terminate(vms))
    assert project.compute.left() == []


def test_a_listing_carries_no_boot_text(project: Project) -> None:
    project.launch(batch(600), "#!/bin/sh\n" + "# many words\n" * 500)
    before = project.double.sent
    assert len(project.list()) == 600
    assert (project.double.sent - before) / 600 < 1000


def test_who_is_asked_for_patience_leaves_the_rest_to_the_next_pass(project: Project) -> None:
    vms = project.launch(batch(60)).vms
    project.compute.knobs.throttled = 1
    with pytest.raises(Throttled):
        asyncio.run(project.cloud.terminate(vms))
    assert project.compute.calls.count("instances.delete") < 60
    asyncio.run(project.cloud.terminate(vms))
    assert project.compute.left() == []


def test_the_likely_zone_is_the_one_that_google_recommends(project: Project) -> None:
    project.compute.knobs.obtainability = {"us-east1-b": 0.4, "us-east1-c": 0.9, "us-east1-d": 1.0}
    asked = Question(
        "us-east1", ("us-east1-b", "us-east1-c"), ("n2-standard-4", "n2d-standard-4"), 9
    )
    assert asyncio.run(project.cloud.likely(asked)) == {"us-east1-c": pytest.approx(0.9)}
    project.compute.knobs.obtainability = {}
    assert asyncio.run(project.cloud.likely(asked)) == {}


def test_a_question_that_is_not_allowed_is_refused(project: Project) -> None:
    project.compute.knobs.forbidden = frozenset({"advice.capacity"})
    with pytest.raises(Refused):
        asyncio.run(
            project.cloud.likely(Question("us-east1", ("us-east1-b",), ("n2-standard-4",), 1))
        )


def t4(count: int = 1, zone: str = "us-east1-c", size: int = 8, **more: object) -> Offer:
    name = f"n1-standard-{size}+{count}xt4"
    return offer(zone, name, gpu=count, gpu_type="nvidia-tesla-t4", **more)


def test_gpus_are_attached_to_a_machine_that_has_none_built_in(project: Project) -> None:
    [vm] = project.launch(batch(1, t4(2, price_uusd_per_hour=1_080_000))).vms
    made = project.only()
    assert str(made["machineType"]).endswith("/zones/us-east1-c/machineTypes/n1-standard-8")
    [gpu] = made["guestAccelerators"]  # type: ignore[misc]
    assert gpu["acceleratorType"].endswith("/acceleratorTypes/nvidia-tesla-t4")
    assert gpu["acceleratorCount"] == 2
    assert made["scheduling"]["onHostMaintenance"] == "TERMINATE"  # type: ignore[index]
    assert "with-nvidia" in next(iter(project.compute.disks.values()))["sourceImage"]
    assert (vm.machine_type, vm.price_uusd_per_hour) == ("n1-standard-8+2xt4", 1_080_000)
    assert [it.machine_type for it in project.list()] == ["n1-standard-8+2xt4"]


def test_one_request_attaches_one_kind_of_gpu_and_blames_no_other(project: Project) -> None:
    """What it could not ask for is left for the next batch, unmarked."""
    built_in = offer("us-east1-c", "g2-standard-4", gpu=1, gpu_type="nvidia-l4")
    others = (t4(zone="us-east1-d"), t4(size=16), t4(2), built_in)
    project.compute.knobs.room = {
        (zone, f"n1-standard-{size}"): 0
        for zone in ("us-east1-c", "us-east1-d")
        for size in (8, 16)
    }
    with pytest.raises(NoCapacity) as caught:
        project.launch(batch(1, t4(), *others))
    blamed = (caught.value.scope, *caught.value.also)
    assert {(it.zone, it.machine_type) for it in blamed} == {
        ("us-east1-c", "n1-standard-8+1xt4"),
        ("us-east1-d", "n1-standard-8+1xt4"),
        ("us-east1-c", "n1-standard-16+1xt4"),
    }


def test_more_gpus_than_a_machine_may_have_are_refused_as_the_cloud_does(project: Project) -> None:
    with pytest.raises(Refused, match="not compatible"):
        project.launch(batch(1, t4(1, size=64)))


def test_advice_is_asked_for_machines_with_their_gpus(project: Project) -> None:
    project.compute.knobs.obtainability = {"us-east1-c": 0.4, "us-east1-d": 0.9}
    types = ("n1-standard-8+1xt4", "n1-standard-4+1xt4", "g2-standard-4")
    asked = Question("us-east1", ("us-east1-c", "us-east1-d"), types, 2)
    assert asyncio.run(project.cloud.likely(asked)) == {"us-east1-d": 0.9}
    said = capacity(project.double.account, asked)["capacity_advice_request_resource"]
    selections = said.instance_flexibility_policy.instance_selections
    assert {
        (*it.machine_types, *(gpu.accelerator_type for gpu in it.guest_accelerators))
        for it in selections.values()
    } == {("n1-standard-8", "n1-standard-4", "nvidia-tesla-t4"), ("g2-standard-4",)}
