"""Worlds to plan in: rows, observations and listings; what does not matter is filled in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from shoal.core.actions import Action
from shoal.core.provision import plan
from shoal.core.records import (
    Batch,
    Cluster,
    EndKind,
    HeadObservation,
    Instance,
    Listing,
    Observation,
    Offer,
    PoolMark,
    Tally,
    Timing,
    Vm,
    World,
)
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    InstallationId,
    UserName,
    WorkspaceName,
    batch_id,
    instance_id,
)
from shoal.wire.specs import Cloud, ClusterSpec, Role, Workers
from shoal.wire.views import InstanceState, Stage

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(seconds=120)  # longer than any lag, shorter than any patience
TIMING = Timing(listing_lag_s=30.0, boot_timeout_s=300.0, silence_timeout_s=600.0)
C1 = ClusterId("c-1111111111")
HEAD = "10.0.0.1:8788"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def offer(zone: str = "z1", machine_type: str = "m4", **changes: object) -> Offer:
    made = Offer(
        Cloud.SIM,
        "r1",
        zone,
        machine_type,
        False,
        "x86_64",
        4,
        16 << 30,
        price_uusd_per_hour=200_000,
    )
    return msgspec.structs.replace(made, **changes)


def cluster(wanted: int = 2, **changes: object) -> Cluster:
    """Field names of a spec go into its spec."""
    spec = ClusterSpec("etl", Cloud.SIM, Workers(wanted, wanted, wanted), EnvironmentId("env-1"))
    of_spec = {k: v for k, v in changes.items() if k in ClusterSpec.__struct_fields__}
    made = Cluster(
        C1,
        WorkspaceName("team"),
        UserName("ada"),
        msgspec.structs.replace(spec, **of_spec),
        generation=1,
        created_at=ago(60),
    )
    return msgspec.structs.replace(made, **{k: v for k, v in changes.items() if k not in of_spec})


def ended(wanted: int = 2, kind: EndKind = EndKind.USER) -> Cluster:
    return cluster(wanted, ended_at=ago(10), end_kind=kind, end_reason="closed by ada")


def scheduler(**changes: object) -> Instance:
    return _instance(1, 1, Role.SCHEDULER, {"address": HEAD, "zone": "z1"} | changes)


def worker(number: int, **changes: object) -> Instance:
    return _instance(number, 2, Role.WORKER, changes)


def _instance(number: int, batch: int, role: Role, changes: dict[str, object]) -> Instance:
    """Launched long ago, unless said otherwise."""
    state = changes.get("state", InstanceState.LAUNCHED)
    launched = state is not InstanceState.INTENDED
    made = Instance(
        id=instance_id(C1, number),
        batch=batch_id(C1, batch),
        cluster=C1,
        role=role,
        state=InstanceState.LAUNCHED,
        since=BEFORE,
        why="accepted",
        created_at=BEFORE + timedelta(seconds=number),
        launched_at=BEFORE if launched else None,
        released_at=BEFORE if state is InstanceState.RELEASED else None,
        vm=f"vm-{number}" if launched else "",
        zone="z1",
        machine_type="m4",
    )
    return msgspec.structs.replace(made, **changes)


def batch(number: int, instances: Iterable[Instance], **changes: object) -> Batch:
    of_it = tuple(instances)
    made = Batch(
        id=batch_id(C1, number),
        cluster=C1,
        role=of_it[0].role,
        count=len(of_it),
        offers=(offer(),),
        instances=tuple(it.id for it in of_it),
        cluster_created_at=BEFORE,
        head_address="" if of_it[0].role is Role.SCHEDULER else HEAD,
        image="",
        disk_gib=30,
        tags=(),
        lifetime_s=0.0,
        created_at=BEFORE,
    )
    return msgspec.structs.replace(made, **changes)


def vm_of(it: Instance, **changes: object) -> Vm:
    made = Vm(it.vm or f"vm-of-{it.id}", it.id, it.batch, it.cluster, BEFORE, address=it.address)
    return msgspec.structs.replace(made, **changes)


def stranger(number: int, **changes: object) -> Vm:
    made = Vm(f"vm-x{number}", f"shoal-c-xxxxxxxxxx-{number}", "c-xxxxxxxxxx-b1", "c-x", BEFORE)
    return msgspec.structs.replace(made, **changes)


def seen(it: Instance, stage: Stage = Stage.READY, **changes: object) -> Observation:
    made = Observation(it.id, stage, since=BEFORE, heard_at=NOW)
    return msgspec.structs.replace(made, **changes)


def head(**changes: object) -> HeadObservation:
    made = HeadObservation(C1, NOW, "tls://10.0.0.1:8786", ready_at=BEFORE)
    return msgspec.structs.replace(made, **changes)


def mark(offer: Offer, why: str = "no capacity", **changes: object) -> PoolMark:
    until = NOW + timedelta(seconds=60)
    made = PoolMark(Cloud.SIM, offer.region, offer.zone, offer.machine_type, offer.spot, until, why)
    return msgspec.structs.replace(made, **changes)


def pause() -> PoolMark:
    return PoolMark(Cloud.SIM, "*", "*", "*", None, NOW + timedelta(seconds=10), "too many calls")


def world(
    cluster: Cluster,
    *instances: Instance,
    observations: Iterable[Observation] = (),
    listed: Iterable[Vm] | None = None,
    **changes: object,
) -> World:
    """All instances' VMs are listed unless `listed` says otherwise."""
    numbers = {
        it.batch: [other for other in instances if other.batch == it.batch] for it in instances
    }
    living = [it for it in instances if it.state is not InstanceState.INTENDED]
    vms = tuple(vm_of(it) for it in living) if listed is None else tuple(listed)
    made = World(
        now=NOW,
        installation=InstallationId("i-1"),
        cloud=Cloud.SIM,
        timing=TIMING,
        clusters=(cluster,),
        batches=tuple(batch(int(id.rpartition("-b")[2]), of_it) for id, of_it in numbers.items()),
        instances=instances,
        observations={it.instance: it for it in observations},
        heads={},
        tallies={C1: Tally(C1, len(numbers), len(instances), len(living))},
        marks=(),
        offers=(offer(),),
        listing=Listing(NOW, vms),
    )
    return msgspec.structs.replace(made, **changes)


def planned(world: World, *kinds: type[Action]) -> list[Action]:
    """The plan; of these kinds only, if any are given."""
    return [it for it in plan(world) if not kinds or isinstance(it, kinds)]
