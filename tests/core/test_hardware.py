"""Choosing hardware of what clouds offer: the defaults, and why a type is left out."""

from __future__ import annotations

import functools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.clouds.catalog import Catalog
from shoal.core.choose import fitting, rank, why_not
from shoal.core.defaults import resolve
from shoal.core.records import Offer
from shoal.errors import InvalidRequest, NotPossible
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, Range, Role, SpotPolicy, Workers
from tests.core.worlds import cluster

HOME = {Cloud.GCP: "us-east1", Cloud.AWS: "us-east-1", Cloud.AZURE: "eastus"}
CLOUDS = list(HOME)


@functools.cache
def offers(cloud: Cloud) -> tuple[Offer, ...]:
    return Catalog().offers(cloud, HOME[cloud])


def asked(cloud: Cloud, **changes: object) -> ClusterSpec:
    spec = msgspec.structs.replace(cluster(2).spec, cloud=cloud, region=HOME[cloud])
    return msgspec.structs.replace(spec, **changes)


def best(spec: ClusterSpec, role: Role = Role.WORKER) -> Offer:
    resolved = resolve(spec, offers(spec.cloud))
    hardware = resolved.worker if role is Role.WORKER else resolved.scheduler
    return rank(fitting(resolved, role, offers(spec.cloud)), hardware)[0]


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("arm", [False, True])
def test_by_default_a_worker_is_balanced_and_never_burstable(cloud: Cloud, arm: bool) -> None:
    it = best(asked(cloud, worker=Hardware(arm=arm), scheduler=Hardware(arm=arm)))
    assert it.vcpu == 4
    assert 12 <= it.memory_bytes >> 30 <= 20
    assert it.current or it.price_uusd_per_hour is not None
    assert not it.burstable
    assert (it.arch == "aarch64") is arm


@pytest.mark.parametrize(
    ("cloud", "name"),
    [
        (Cloud.GCP, "e2-standard-4"),
        (Cloud.AWS, "m5.xlarge"),
        (Cloud.AZURE, "Standard_D4s_v5"),
    ],
)
def test_the_cheapest_known_price_is_taken_before_an_unknown_one(cloud: Cloud, name: str) -> None:
    assert best(asked(cloud)).machine_type == name


@pytest.mark.parametrize(("workers", "cpus"), [(4, 4), (100, 8), (1000, 16)])
def test_the_scheduler_grows_with_the_cluster_and_is_never_spot(workers: int, cpus: int) -> None:
    spec = asked(Cloud.AWS, workers=Workers(workers, workers, workers), spot_policy=SpotPolicy.SPOT)
    it = best(spec, Role.SCHEDULER)
    assert it.vcpu == cpus
    assert not it.spot


def test_a_burstable_machine_is_taken_by_its_name() -> None:
    spec = asked(Cloud.AWS, worker=Hardware(vm_types=("t3.large",)))
    assert best(spec).machine_type == "t3.large"


def test_arm_workers_by_name_have_an_arm_scheduler() -> None:
    spec = asked(Cloud.AWS, worker=Hardware(vm_types=("m7g.xlarge",)))
    assert best(spec, Role.SCHEDULER).arch == "aarch64"


@pytest.mark.parametrize("name", ["nvidia-l4", "L4"])
def test_a_gpu_goes_by_its_clouds_name_or_its_plain_one(name: str) -> None:
    spec = asked(Cloud.GCP, worker=Hardware(gpu=1, gpu_type=name))
    assert best(spec).machine_type == "g2-standard-4"


@pytest.mark.parametrize(
    ("cloud", "changes", "said", "hint"),
    [
        (Cloud.GCP, {"region": "us-east-1"}, "no region 'us-east-1'", "us-east1"),
        (Cloud.GCP, {"zone": "us-east1-a"}, "no zone 'us-east1-a'", "us-east1-b"),
        (Cloud.GCP, {"worker": Hardware(vm_types=("n2-standart-4",))}, "n2-standart-4", "-4"),
        (Cloud.AWS, {"worker": Hardware(gpu=1, gpu_type="L44")}, "no GPU 'L44'", "L4"),
        (Cloud.AWS, {"worker": Hardware(gpu=3)}, "3 GPU", "GPU)"),
        (
            Cloud.GCP,
            {"worker": Hardware(cpu=Range(7, 7))},
            "7 vCPU",
            "e2-standard-8 (8 vCPU, 32 GiB)",
        ),
        (
            Cloud.AWS,
            {"worker": Hardware(vm_types=("m5.large", "m7g.large"))},
            "different processors",
            "one kind",
        ),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest_that_is(
    cloud: Cloud, changes: dict[str, object], said: str, hint: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolve(asked(cloud, **changes), offers(cloud))
    assert said in refused.value.message
    assert hint in refused.value.hint


def test_each_type_that_is_left_out_has_its_reason() -> None:
    spec = resolve(asked(Cloud.GCP, spot_policy=SpotPolicy.SPOT), offers(Cloud.GCP))
    reasons = {it.machine_type: it.why for it in why_not(spec, Role.WORKER, offers(Cloud.GCP))}
    assert reasons["e2-standard-8"] == "has 8 vCPU"
    assert reasons["n2-highmem-4"] == "has 32 GiB"
    assert reasons["g2-standard-4"] == "has 1 GPUs"
    assert reasons["c4a-standard-4"] == "its processor is aarch64"
    assert "e2-standard-4" not in reasons


SIZES = st.integers(1, 128)


@given(
    cpu=st.none() | SIZES, gib=st.none() | SIZES, gpu=st.sampled_from([0, 0, 1]), arm=st.booleans()
)
def test_a_type_either_fits_or_has_a_reason(
    cpu: int | None, gib: int | None, gpu: int, arm: bool
) -> None:
    hardware = Hardware(
        cpu=Range(cpu, cpu) if cpu else None,
        memory_bytes=Range(gib << 30, gib << 31) if gib else None,
        gpu=gpu,
        arm=arm,
    )
    spec = asked(Cloud.AZURE, worker=hardware)
    known = offers(Cloud.AZURE)
    fit = {it.machine_type for it in fitting(spec, Role.WORKER, known)}
    out = {it.machine_type for it in why_not(spec, Role.WORKER, known)}
    assert fit | out == {it.machine_type for it in known}
    assert not fit & out


@given(least=SIZES, more=SIZES, cloud=st.sampled_from(CLOUDS))
def test_a_spec_that_is_accepted_has_an_offer_for_each_role(
    least: int, more: int, cloud: Cloud
) -> None:
    spec = asked(cloud, worker=Hardware(cpu=Range(least, least + more)))
    try:
        resolved = resolve(spec, offers(cloud))
    except NotPossible:
        return
    for role in Role:
        assert fitting(resolved, role, offers(cloud))
    assert resolve(resolved, offers(cloud)) == resolved
