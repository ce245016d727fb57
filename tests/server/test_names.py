"""Between a head and the record: EC2's names for VMs, and addresses inside and outside."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from shoal.core.records import Cluster
from shoal.server.names import Names, seen_from_outside
from shoal.store.attendance import Attended
from shoal.wire.environments import Manifest
from shoal.wire.ids import ClusterId, EnvironmentId, InstanceId, UserName, WorkspaceName
from shoal.wire.reports import HeadReport, LogChunk, Orders, SchedulerReport, VmReport
from shoal.wire.specs import Cloud, ClusterSpec, DaskOptions, Role, StopRules, Workers
from shoal.wire.telemetry import Chunk, HostSample, WorkerEvent
from shoal.wire.views import LogLine, Stage

NOW = datetime(2026, 11, 23, tzinfo=UTC)
C = ClusterId("c-abcdefghij")
EC2, OTHER = InstanceId("i-0123456789abcdef0"), InstanceId("i-0fedcba9876543210")
OURS = InstanceId("shoal-c-abcdefghij-2")
NAMES = Names({EC2: OURS})


def a_report(name: InstanceId = EC2) -> HeadReport:
    return HeadReport(
        C,
        NOW,
        7,
        vms=(VmReport(name, Role.WORKER, Stage.READY, NOW),),
        scheduler=SchedulerReport("tls://10.0.0.5:8786", "10.0.0.5:8787", closable=(name,)),
        logs=(LogChunk(1, LogLine(NOW, name, "worker", "hello")),),
        telemetry=(
            Chunk(2, HostSample(NOW, name)),
            Chunk(3, WorkerEvent(NOW, name, "tls://10.0.0.6:1", added=True)),
        ),
    )


def test_everything_that_names_a_vm_is_told_of_its_instance() -> None:
    assert NAMES.told(a_report()) == a_report(OURS)
    assert EC2 not in msgspec.json.encode(NAMES.told(a_report())).decode()


def test_orders_name_vms_as_they_know_themselves() -> None:
    manifest = Manifest(EnvironmentId("env-1"), "", "3.11.7", "x")
    orders = Orders(1, C, manifest, DaskOptions(), StopRules(), 0, 9, NOW, retire=(OURS,))
    assert NAMES.ordered(orders).retire == (EC2,)


def test_a_vm_that_is_not_bound_yet_is_kept_for_later() -> None:
    reports = (*a_report(OTHER).vms, *a_report(EC2).vms, *a_report(OURS).vms)
    assert set(NAMES.unknown(reports)) == {OTHER}
    assert NAMES.told(a_report(OTHER)) == a_report(OTHER)
    assert NAMES.know([EC2, OURS])
    assert not NAMES.know([OTHER])


def attended(address: str, inside: str) -> Attended:
    spec = ClusterSpec("etl", Cloud.GCP, Workers(1, 1, 1), EnvironmentId("env-1"))
    cluster = Cluster(C, WorkspaceName("w"), UserName("u"), spec, 1, NOW)
    return Attended(cluster, address, inside)


def test_a_scheduler_behind_a_public_address_is_shown_by_it() -> None:
    head = attended("203.0.113.7:8788", "10.0.0.5:8788")
    told = seen_from_outside(a_report(), head).scheduler
    assert told is not None
    assert (told.address, told.dashboard_address) == (
        "tls://203.0.113.7:8786",
        "203.0.113.7:8787",
    )


def test_one_that_is_reached_inside_stays_as_it_is() -> None:
    for inside in ("", "10.0.0.5:8788"):
        head = attended("10.0.0.5:8788", inside)
        assert seen_from_outside(a_report(), head) == a_report()
