"""A batch, made so that nothing is left to choose: ids by count, alternatives, tags, all frozen.

Ids count batches and instances of the cluster, so two reconcilers that decide the same thing at the
same time write the same primary keys, and one of them is told.
"""

from __future__ import annotations

from shoal.core.actions import Intend
from shoal.core.limits import lifetime
from shoal.core.records import Batch, Cluster, Offer, Tally, World
from shoal.wire.ids import BatchId, batch_id, instance_id
from shoal.wire.specs import Hardware, Role

INSTALLATION_TAG = "shoal-installation"
CLUSTER_TAG = "shoal-cluster"
BATCH_TAG = "shoal-batch"
NAME_TAG = "shoal-name"

_GIB = 1 << 30
_LEAST_DISK_GIB, _MOST_DISK_GIB = 30, 100
_GPU_DISK_GIB = 100  # images with NVIDIA's drivers take up to 64 themselves
_LIFETIME_MARGIN_S = 600.0  # the stop rule comes first; the dead man is for when it cannot


def tally_of(world: World, cluster: Cluster) -> Tally:
    return world.tallies.get(cluster.id) or Tally(cluster.id)


def intend(
    world: World,
    cluster: Cluster,
    role: Role,
    count: int,
    offers: tuple[Offer, ...],
    head_address: str,
    why: str,
) -> Intend:
    spec, tally = cluster.spec, tally_of(world, cluster)
    asked = spec.scheduler if role is Role.SCHEDULER else spec.worker
    id = batch_id(cluster.id, tally.batches + 1)
    first = tally.instances + 1
    batch = Batch(
        id=id,
        cluster=cluster.id,
        role=role,
        count=count,
        offers=offers,
        instances=tuple(instance_id(cluster.id, n) for n in range(first, first + count)),
        cluster_created_at=cluster.created_at,
        head_address=head_address,
        image="",
        disk_gib=disk_gib(asked, offers),
        tags=_tags(world, cluster, id),
        lifetime_s=_lifetime_s(world, cluster),
        created_at=world.now,
        ingress=spec.ingress if role is Role.SCHEDULER else (),
        preferred=bool(asked.vm_types),
    )
    return Intend(batch, cluster.generation, why)


def disk_gib(asked: Hardware, offers: tuple[Offer, ...]) -> int:
    """That each VM of a batch boots from."""
    if asked.disk_gib is not None:
        return asked.disk_gib
    if any(it.gpu for it in offers):
        return _GPU_DISK_GIB
    memory_gib = max(it.memory_bytes for it in offers) // _GIB
    return min(_MOST_DISK_GIB, max(_LEAST_DISK_GIB, 2 * memory_gib))


def _tags(world: World, cluster: Cluster, id: BatchId) -> tuple[tuple[str, str], ...]:
    ours = {
        INSTALLATION_TAG: world.installation,
        CLUSTER_TAG: cluster.id,
        BATCH_TAG: id,
        NAME_TAG: cluster.spec.name,
    }
    return tuple(sorted((cluster.spec.tags | ours).items()))


def _lifetime_s(world: World, cluster: Cluster) -> float:
    """Of a VM that is born now; 0: no limit."""
    longest = lifetime(world.held.get(cluster.id, ()))
    ends = [cluster.spec.stop.cluster_timeout_s, longest.seconds if longest else None]
    known = [it for it in ends if it is not None]
    if not known:
        return 0.0
    lived = (world.now - cluster.created_at).total_seconds()
    return max(0.0, min(known) - lived) + _LIFETIME_MARGIN_S
