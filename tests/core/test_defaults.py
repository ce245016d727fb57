from __future__ import annotations

import msgspec
import pytest

from shoal.core.choose import fitting
from shoal.core.defaults import resolve
from shoal.core.records import Offer
from shoal.errors import InvalidRequest, NotPossible
from shoal.wire.specs import (
    Cloud,
    ClusterSpec,
    Hardware,
    Range,
    Role,
    SpotPolicy,
    StopRules,
    Workers,
)
from tests.core.worlds import cluster, offer

GIB = 1 << 30
OFFERS = (
    offer(machine_type="m2", vcpu=2, memory_bytes=8 * GIB),
    offer(machine_type="m4", vcpu=4, memory_bytes=16 * GIB),
    offer(machine_type="m8", vcpu=8, memory_bytes=32 * GIB),
    offer(machine_type="r4", vcpu=4, memory_bytes=32 * GIB),
    offer(machine_type="a4", vcpu=4, memory_bytes=16 * GIB, arch="aarch64"),
)


def spec(**changes: object) -> ClusterSpec:
    return msgspec.structs.replace(cluster(2).spec, **changes)


def types(resolved: ClusterSpec, role: Role = Role.WORKER) -> list[str]:
    return [it.machine_type for it in fitting(resolved, role, OFFERS)]


def test_machines_are_balanced_and_of_the_usual_kind_by_default() -> None:
    resolved = resolve(spec(), OFFERS)
    assert types(resolved) == ["m4"]
    assert types(resolved, Role.SCHEDULER) == ["m4"]


def test_the_region_is_the_accounts_own_if_none_is_named() -> None:
    assert resolve(spec(), OFFERS).region == "r1"


def test_memory_decides_alone_if_only_memory_was_asked_for() -> None:
    asked = Hardware(memory_bytes=Range(30 * GIB, 34 * GIB))
    assert types(resolve(spec(worker=asked), OFFERS)) == ["m8", "r4"]


def test_gpus_do_not_wait_for_a_machine_of_few_vcpus_unless_it_is_asked_for() -> None:
    """A cloud that attaches GPUs to any machine has the smallest as the cheapest."""
    gpus = tuple(
        offer(machine_type=f"g{vcpu}", vcpu=vcpu, memory_bytes=4 * vcpu * GIB, gpu=n, gpu_type="T4")
        for vcpu, n in ((1, 1), (4, 1), (8, 1), (4, 2), (8, 2), (2, 4))
    )

    def found(asked: Hardware) -> list[str]:
        resolved = resolve(spec(worker=asked), (*OFFERS, *gpus))
        return [it.machine_type for it in fitting(resolved, Role.WORKER, gpus)]

    assert found(Hardware(gpu=1)) == ["g4", "g8"]
    assert found(Hardware(gpu=2, gpu_type="T4")) == ["g8"]
    assert found(Hardware(gpu=1, cpu=Range(1, 1))) == ["g1"]
    assert found(Hardware(gpu=4)) == ["g2"]  # no other has so many


def test_arm_is_chosen_only_if_it_was_asked_for() -> None:
    asked = Hardware(arm=True)
    assert types(resolve(spec(worker=asked), OFFERS)) == ["a4"]


def test_named_types_keep_their_order_of_preference() -> None:
    resolved = resolve(spec(worker=Hardware(vm_types=("m8", "m4"))), OFFERS)
    assert resolved.worker.vm_types == ("m8", "m4")


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"name": "Not A Name"}, "'Not A Name'", "Lower case"),
        ({"workers": Workers(3, 2, 1)}, "minimum 3", "n_workers"),
        ({"region": "r11"}, "no region 'r11'", "r1"),
        ({"zone": "z9"}, "no zone 'z9'", "z1"),
        ({"worker": Hardware(vm_types=("m44",))}, "no machine type 'm44'", "m4"),
        ({"worker": Hardware(cpu=Range(64, 64))}, "64 vCPU", "m8 (8 vCPU, 32 GiB)"),
        ({"worker": Hardware(cpu=Range(4, 2))}, "from 4 to 2", ""),
        ({"worker": Hardware(vm_types=("m4",), cpu=Range(4, 4))}, "cpu or memory too", "one"),
        ({"worker": Hardware(vm_types=("m4", "a4"))}, "different processors", "one kind"),
        ({"spot_policy": SpotPolicy.SPOT}, "not offered as spot", "spot_policy"),
        ({"stop": StopRules(idle_timeout_s=-1.0)}, "idle_timeout_s", ""),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    changes: dict[str, object], said: str, hint: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolve(spec(**changes), OFFERS)
    assert said in refused.value.message
    assert hint in refused.value.hint


def test_on_the_local_cloud_all_workers_fit_into_the_machine() -> None:
    local = tuple(
        offer("local", f"local-{cpu}-{gib}", cloud=Cloud.LOCAL, vcpu=cpu, memory_bytes=gib * GIB)
        for cpu in (1, 2, 4)
        for gib in (1, 2, 4, 8, 16)
    )
    resolved = resolve(spec(cloud=Cloud.LOCAL, workers=Workers(4, 4, 4)), local)
    assert resolved.worker.cpu == Range(1, 1)
    assert resolved.worker.memory_bytes is not None
    assert 4 * resolved.worker.memory_bytes.most <= 16 * GIB
    [cheapest, *_] = fitting(resolved, Role.SCHEDULER, local)
    assert isinstance(cheapest, Offer)


def test_not_possible_is_told_apart_from_not_understood() -> None:
    with pytest.raises(NotPossible):
        resolve(spec(worker=Hardware(cpu=Range(64, 64))), OFFERS)
